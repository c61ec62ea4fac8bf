#!/usr/bin/env python3
"""Judges what tests/guest/torture has left.

    torture_judge.py HOST=DIRECTORY...

HOST is local, amd or intel.  TAP; status 0 when nothing failed.
"""
import json
import pathlib
import sys

# What a host cannot do, and the kernel text that nothing leads to there.
CANNOT = {
    "amd": {"sysenter_entry", "sysenter_compat", "flush_user_root"},
    "intel": {"compat_entry"},
    "local": {"sysenter_entry", "sysenter_compat", "flush_user_root", "compat_entry", "syscall_entry",
              "slow_exit", "callgate_entry", "trapgate_entry", "int80_clac"},
}
# How many instructions of a symbol an event cannot come to: #DB where it is handled itself.
OUT_OF_REACH = {"nmi": {}, "irq": {}, "step": {"vector_stubs": 3, "paranoid_return": 9}}
MODES = {"amd": {"off", "nopcid"}, "local": {"off", "nopcid"}, "intel": {"off", "pcid", "nopcid"}}
CROSSINGS = {
    "all": {"SYSCALL", "INT 0x80 from 32-bit code", "trap gate", "#UD", "#GP", "#PF", "fault in IRETQ", "sched_yield",
            "fork, exit, wait4", "SYSCALL, IRETQ", "#PF in ring 0, a user copy", "ring 3, interrupted"},
    "amd": {"call gate, far RET", "SYSCALL from 32-bit code"},
    "intel": {"call gate, far RET", "SYSENTER, SYSEXIT", "SYSENTER from 32-bit code", "brk, TLB flush"},
    "local": set(),
}

count = failed = 0


def check(name, good, *details):
    """One line of TAP."""
    global count, failed
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}")
    if not good:
        for detail in details:
            print(f"#   {str(detail)[:600]}")


def places(report):
    """Instructions that were not hit, as symbol+offset."""
    return {insn["place"] for insn in report["coverage"]["not_hit"]}


def tell(name, report):
    """What the run came to, as a comment."""
    coverage = report["coverage"]
    print(f"# {name}: {report['rounds']:,} rounds, {report['failed']} failed; "
          f"{coverage['hit']:,} of {coverage['instructions']:,} instructions hit")


def missing(report):
    """The same: symbol to list of reasons."""
    by_symbol = {}
    for insn in report["coverage"]["not_hit"]:
        by_symbol.setdefault(insn["place"].split("+")[0], []).append(insn["reason"])
    return by_symbol


def judge_full(host, event, report, status):
    """A run of everything: survived, and everywhere."""
    name = f"{host}: {event}"
    coverage = report["coverage"]
    check(f"{name}: everything survived", status == 0 and report["passed"] and report["complete"]
          and not report["failed"], status, report["failures"][:2])
    check(f"{name}: nothing was missed", coverage["missed"] == 0
          and coverage["hit"] + len(coverage["not_hit"]) == coverage["instructions"],
          [insn for insn in coverage["not_hit"] if not insn["reason"]][:5])
    for symbol, reasons in missing(report).items():
        allowed = symbol in CANNOT[host] or len(reasons) <= OUT_OF_REACH[event].get(symbol, 0)
        check(f"{name}: {symbol} is out of reach for a reason", allowed and all(reasons), reasons[:3])
    rows = {(row["crossing"], row["pti"]): row for row in report["crossings"]}
    want = {(crossing, mode) for crossing in CROSSINGS["all"] | CROSSINGS[host] for mode in MODES[host]
            if crossing != "brk, TLB flush" or mode == "pcid"}
    check(f"{name}: each crossing in each mode", want <= set(rows), want - set(rows))
    check(f"{name}: an event at each step", all(
        row["single"] >= row["steps"] or row["crossing"].startswith("fork") or
        (event == "step" and row["crossing"].startswith("#DB")) for row in rows.values()))
    check(f"{name}: each crossing has steps", all(
        rows[key]["steps"] > 40 for key in want & set(rows) if not key[0].startswith("ring 3")))
    if event == "nmi":
        check(f"{name}: NMIs in NMIs", sum(row["nested"] for row in rows.values()) > 3000)
    if host != "local":
        check(f"{name}: nothing came late", report["late"] == 0, report["late"])
    if host == "intel":
        check(f"{name}: STI holds interrupts back", report["early"] == 0, report["early"])


def judge_part(host, name, event, report, status):
    """A run of some crossings: survived."""
    check(f"{host}: {name}: everything survived", status == 0 and report["passed"] and report["complete"]
          and not report["failed"], status, report["failures"][:2])
    check(f"{host}: {name}: an event at each step", report["crossings"] and all(
        row["single"] >= row["steps"] > 40 for row in report["crossings"]), report["crossings"])
    modes = {row["pti"] for row in report["crossings"] if row["crossing"].startswith("SYSENTER")}
    check(f"{host}: {name}: in each mode", modes == MODES[host], modes)
    check(f"{host}: {name}: nothing came late, nothing behind STI", report["torture"] == event
          and report["late"] == 0 and report["early"] == 0, report["late"], report["early"])


def judge_mutant(host, name, report, status):
    """A broken kernel must be found out, and it is told where."""
    failures = report["failures"]
    check(f"{host}: {name}: is found out", status in (1, 126) and not report["passed"] and failures, status)
    if failures:
        first = failures[0]
        check(f"{host}: {name}: it is told how", first["crossing"] and first["event"]
              and (first["differences"] or first["problem"]), first)


def judge(host, name, report, status, missed):
    """One run, by its name; missed[event][host] becomes what it did not hit."""
    event = name.split("_")[-1]
    tell(f"{host}: {name}", report)
    if name.startswith("mutant_"):
        judge_mutant(host, name, report, status)
        return
    if name.startswith("part_"):
        judge_part(host, name, event, report, status)
    else:
        judge_full(host, name, report, status)
    missed[event][host] = places(report)


def main():
    """Every host, and then both faithful ones together: each event at each instruction of the entry paths."""
    missed = {event: {} for event in OUT_OF_REACH}
    for argument in sys.argv[1:]:
        host, directory = argument.split("=", 1)
        names = sorted(path.stem for path in pathlib.Path(directory).glob("*.status"))
        check(f"{host}: the runs are there", {"nmi", "part_nmi"} & set(names), names)
        for name in names:
            try:
                status = int(pathlib.Path(directory, f"{name}.status").read_text())
                report = json.loads(pathlib.Path(directory, f"{name}.json").read_text())
            except (OSError, ValueError) as error:
                errors = pathlib.Path(directory, f"{name}.err")
                check(f"{host}: {name}: a report", False, error,
                      errors.read_text(errors="replace") if errors.exists() else "no message")
                continue
            try:
                judge(host, name, report, status, missed)
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                check(f"{host}: {name}: a whole report", False, f"{type(error).__name__}: {error}")
    for event, by_host in missed.items():
        if {"amd", "intel"} <= set(by_host):
            neither = by_host["amd"] & by_host["intel"]
            out_of_reach = sum(place.split("+")[0] in OUT_OF_REACH[event] for place in neither)
            but = f" but {len(neither)}, where it is handled itself" if neither else ""
            check(f"{event}: AMD and Intel together come to every instruction{but}",
                  len(neither) == out_of_reach <= sum(OUT_OF_REACH[event].values()), neither)
    print(f"1..{count}")
    return failed != 0


sys.exit(main())
