#!/usr/bin/env bash
# vmm --anatomy of every crossing, on whatever KVM this is.
#
#   tests/cli/anatomy_test.sh        VMM and BUILD say where vmm and guest.elf are
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh" || exit 125
context() { head -c 600 "$work/err" 2> /dev/null; }

anatomy() { # CROSSING FILE PROGRAM [OPTIONS...]
	local crossing=$1 file=$2 program=$3
	shift 3
	# shellcheck disable=SC2086 # words
	timeout --kill-after=2 400 "$VMM" --quiet --timeout 380 --anatomy "$crossing" --inspect-file "$file" \
		"$@" "$guest" -- $program > "$work/out" 2> "$work/err" < /dev/null
	status=$?
}

need_kvm anatomy

cat > "$work/check.py" << 'PYTHON'
"""An anatomy must be one unbroken way from ring 3 to ring 3."""
import json
import sys

crossing, pti = sys.argv[2:]
lines = [json.loads(line) for line in open(sys.argv[1])]
head, rows, sums = lines[0], lines[1:-1], lines[-1]
assert head["anatomy"] == crossing, head
assert rows[0]["cpl"] == 3 and rows[-1]["cpl"] == 3, "begins and ends in ring 3"
assert all(row["cpl"] == 0 for row in rows[1:-1]), "is in ring 0 in between"
# A call gate leaves IF alone: CLI is the first thing the guest does; and STI the last but one.
masked = rows[2:-2] if crossing in ("callgate", "sysenter") else rows[1:-1]
assert rows[0]["if"] and rows[-1]["if"] and not any(row["if"] for row in masked), "IF"
assert rows[1]["if"] == (crossing == "callgate"), "IF at the entry"
assert rows[0]["stack"] == "user" and rows[-1]["stack"] == "user"
# What RSP holds where CR3 is on its way through it is no stack.
own = {rows[0]["rsp"], rows[-1]["rsp"]}
assert all((row["stack"] == "user") == (row["rsp"] in own) for row in rows), "stacks of ring 3"
loads = [after["stack"] for row, after in zip(rows, rows[1:-1])
         if row["instruction"].replace("mov rsp, cr3", "cr3 to rsp") != row["instruction"]
         or after["instruction"].split(" <")[0] == "mov cr3, rsp"]
assert all(stack == "none" for stack in loads), ("CR3 in RSP is no stack", loads)
assert not loads or pti == "on"
assert rows[0]["gs"] == "user" and rows[-1]["gs"] == "user"
assert {"kernel"} <= {row["gs"] for row in rows}, "GS is the kernel's for a time"
roots = {row["root"] for row in rows}
assert roots == ({"user", "kernel"} if pti == "on" else {"kernel"}), roots
assert sums["instructions"] == len(rows) - 2 and not sums["cut"]
assert not (rows[-1]["rflags"].__len__() == 0)
assert not int(rows[-1]["rflags"], 16) & 0x100, "TF does not leak"
assert rows[0]["hardware"], "the entry is told"
last = rows[-2]["instruction"].split()[0]
assert last in {"callgate": ("retfq", "lretq"), "sysenter": ("sysexit", "sysexitq")}.get(
    crossing, ("iretq", "sysretq", "sysret")), last
writes = sum(row["instruction"].startswith("mov cr3") for row in rows)
assert writes == sums["cr3_writes"] and (writes >= 2 or pti == "off")
switched = int(rows[0]["cr3"], 16) & ~0x8000000000000fff != int(rows[-1]["cr3"], 16) & ~0x8000000000000fff
assert switched == (crossing == "context-switch") or crossing == "irq", "another process"
for row in rows[1:-1]:
    assert row["symbol"] and row["instruction"] != "(bad)", row
first = rows[0]["instruction"].split()[0]
assert crossing == "irq" or first == {
    "syscall": "syscall", "int80": "int", "pagefault": "mov", "fork": "syscall", "sysenter": "sysenter",
    "callgate": "lcall", "context-switch": "syscall"}[crossing], first
if crossing == "irq" and not switched:
    assert rows[0]["address"] == rows[-1]["address"], "goes on where it was interrupted"
assert rows[0]["file"] and rows[1]["file"] and rows[1]["line"], "source lines"
PYTHON

vendor=$(sed -n 's/^vendor_id[^:]*: //p' /proc/cpuinfo | head -n 1)
for pti in on off nopcid; do
	for crossing in syscall int80 sysenter callgate pagefault irq fork context-switch; do
		if [ $pti = off ] && [ $crossing = fork ]; then continue; fi
		if [ $pti = nopcid ] && [ $crossing != syscall ]; then continue; fi
		options=(--pti "$pti")
		if [ $pti = nopcid ]; then options=(--pti on --no-pcid); fi
		case $crossing in
			sysenter | callgate) program=crossings ;;
			irq) program=processes ;;
			*) program="tour 10" ;;
		esac
		anatomy $crossing "$work/$crossing.json" "$program" --inspect-format json "${options[@]}"
		if [ "$crossing:$vendor" = sysenter:AuthenticAMD ]; then
			is "sysenter, KPTI $pti: AMD has none" "$status:$(grep -c 'no SYSENTER in long mode' "$work/err")" 125:1
			continue
		fi
		if [ $crossing = callgate ] && grep -q 'ended as #UD' "$work/err"; then
			is "callgate, KPTI $pti: this KVM makes it #UD" "$status" 125
			continue
		fi
		problem=$(python3 "$work/check.py" "$work/$crossing.json" $crossing ${options[1]} 2>&1)
		if [ $status = 0 ] && [ -z "$problem" ]; then
			pass "$crossing, KPTI $pti"
		else
			fail "$crossing, KPTI $pti" "status $status" "${problem##*$'\n'}" "$(head -n 3 "$work/err")"
		fi
	done
done

anatomy fork "$work/fork.txt" "tour 10" --pti on --stats json --stats-file "$work/followed.json"
timeout 100 "$VMM" --quiet --pti on --stats json --stats-file "$work/plain.json" "$guest" -- tour 10 > /dev/null 2>&1
is "counters and exits are the same as without" "$(counts "$work/followed.json")" "$(counts "$work/plain.json")"
is "text has 100 columns" "$(awk 'length > 100' "$work/fork.txt" | wc -l)" 0
is "a long way through C is folded" "$(grep -c 'instructions of C in' "$work/fork.txt" | sed 's/[1-9].*/some/')" some
anatomy pagefault "$work/fault.txt" "tour 10" --pti on
is "what the processor pushes is told" \
	"$(grep -A6 'Vector 14' "$work/fault.txt" | tr -d '\n|' | tr -s ' ' | grep -Ec 'RSP0 of the TSS gives the stack .* pushed: SS 23, .*error code 0x4')" 1

cat > "$work/beside.py" << 'PYTHON'
"""--beside tells of both accounts all that is in them, and nothing else."""
import json
import sys

here, beside = ([json.loads(line) for line in open(name)] for name in sys.argv[1:])
at = next(i for i, line in enumerate(here) if "beside" in line)
here, told = here[:at], here[at:]
assert here[0]["machine"] != beside[0]["machine"]
assert told[0]["title"] == beside[0]["title"] and told[0]["machine"] == beside[0]["machine"]
assert all(told[0][key] == value for key, value in beside[-1].items()), "the sums of the file"
marks = [line for line in told if "mark" in line]
functions = [line for line in told if "function" in line]
assert len(told) == 1 + len(marks) + len(functions)
for side, account in (("here", here), ("beside", beside)):
    rows, sums = account[1:-1], account[-1]
    legs = [mark[side] for mark in marks if mark[side]]
    assert [leg["from"] for leg in legs] == [0] + [leg["to"] + 1 for leg in legs[:-1]] and legs[-1]["to"] == len(rows) - 1
    assert sum(leg["instructions"] for leg in legs) == sum(f[side] for f in functions) == sums["instructions"]
    for function in functions:
        assert function[side] == sum(row["symbol"] == function["function"] for row in rows[1:-1]), function
    for mark in marks:
        if mark[side] and mark["mark"].startswith("CR3"):
            last = mark[side]["to"]
            assert rows[last]["instruction"].startswith("mov cr3") and rows[last + 1]["root"] in mark["mark"]
alone = [mark["mark"] for mark in marks if not mark["here"]]
both = [mark["mark"] for mark in marks if mark["here"] and mark["beside"]]
assert {"CR3: the kernel root", "CR3: the user root"} <= set(alone), alone
assert both[0] == "into ring 0" and both[-2:] == ["into ring 3", "the end"] and both.count("SWAPGS") == 2, both
assert "call of C" in both and "back from C" in both
assert here[-1]["instructions"] < beside[-1]["instructions"], "KPTI costs"
PYTHON
anatomy syscall "$work/on.json" "tour 10" --pti on --inspect-format json
anatomy syscall "$work/both.json" "tour 10" --pti off --inspect-format json --beside "$work/on.json"
problem=$(python3 "$work/beside.py" "$work/both.json" "$work/on.json" 2>&1)
is "KPTI off beside on, as JSON" "$status:${problem##*$'\n'}" 0:
anatomy syscall "$work/both.txt" "tour 10" --pti off --beside "$work/both.json"
is "beside itself, which such a run has written: each mark has twice the same" \
	"$status:$(sed -n '/instructions up to/,/^$/p' "$work/both.txt" | awk 'NF > 2 && /[0-9]$/ && $(NF - 1) != $NF' | wc -l)" 0:0
is "both ways are there to ring 3, line by line" "$(grep -c '^3 kernel user .* = 3 kernel user ' "$work/both.txt")" 2
anatomy syscall "$work/both.txt" "tour 10" --pti off --beside "$work/on.json"
is "what KPTI adds stands alone" "$(grep -cE '^  CR3: the (kernel|user) root +- +[1-9][0-9]*$' "$work/both.txt")" 2
is "beside has 100 columns" "$(awk 'length > 100' "$work/both.txt" | wc -l)" 0

head -n 20 "$work/on.json" > "$work/half.json"
timeout 60 "$VMM" --quiet --anatomy syscall --beside "$work/half.json" "$guest" > "$work/out" 2> "$work/err"
is "half an account is refused" "$?:$(grep -c "half.json: it ends before its sums" "$work/err")" 125:1
is "... before the guest has run" "$(wc -c < "$work/out")" 0
sed '3s/"cpl":0/"cpl":"0"/' "$work/on.json" > "$work/wrong.json"
timeout 60 "$VMM" --quiet --anatomy syscall --beside "$work/wrong.json" "$guest" > "$work/out" 2> "$work/err"
is "one that is wrong, with its line" "$?:$(grep -c 'wrong.json: line 3: "cpl" must be a number from 0 to 3;' "$work/err")" 125:1
timeout 20 "$VMM" --beside "$work/on.json" "$guest" > "$work/out" 2> "$work/err"
is "--beside is for --anatomy" "$?:$(grep -c 'not given' "$work/err")" 2:1

timeout 60 "$VMM" --quiet --timeout 50 --anatomy fork "$guest" -- crash none > "$work/out" 2> "$work/err"
is "a guest without such a crossing: status" "$?" 125
is "a guest without such a crossing: message" "$(grep -c 'ended without such a crossing' "$work/err")" 1
anatomy callgate "$work/none" "crash none"
is "... and which program has one" "$status:$(grep -c 'guest.elf has one in: -- crossings' "$work/err")" 125:1
anatomy irq "$work/none" processes --no-apic
is "without local APICs there are no interrupts" "$status:$(grep -c -- '--no-apic takes' "$work/err")" 125:1
timeout 20 "$VMM" --anatomy nonsense "$guest" > "$work/out" 2> "$work/err"
is "nonsense is refused" "$?" 2

finish
