#!/usr/bin/env bash
# What measures: bench_run, tests/bench/counts, and the guest's costs and counts programs.  Whether the
# figures are good is make bench's business, and for the exact counts that of `tests/run counts`.  Prints TAP lines.
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh" || exit 125
set -o pipefail
export BUILD
counts=$top/tests/bench/counts
cd "$BUILD" || exit 125

test_bench_run() {
  local text
  text=$(./bench_run --rounds many 2>&1)
  is "bench_run: --rounds: status" $? 2
  has "bench_run: --rounds: message" "$text" "a number from 1"
  ./bench_run --fast >"$work/out" 2>&1
  is "bench_run: unknown option" $? 2
  has "bench_run: --help" "$(./bench_run --help)" "usage:"
  has "bench_run: --realtime without the right to it" \
    "$(setpriv --reuid 65534 --clear-groups ./bench_run --realtime 2>&1)" "--realtime: Operation not permitted"
  if ! "$top/tests/have-kvm"; then
    skip "bench_run" "no usable /dev/kvm"
    return
  fi
  text=$(PEERS="nothing=true; lost=/no/such/vmm; broken" ./bench_run --rounds 1 --json "$work/bench.json" 2>&1)
  has "bench_run: a peer" "$text" "nothing"
  has "bench_run: a peer that is not there" "$text" "not measured: /no/such/vmm: No such file"
  has "bench_run: a peer without a command" "$text" "PEERS: 'broken' is not name=command"
  text=$(python3 - "$work/bench.json" <<'PYTHON'
import json, sys
bench = json.load(open(sys.argv[1]))
for experiment in ("start_to_exit_us", "exit_round_trip_ns", "peak_resident_kib"):
    for name in ("floor", "vmm --stats none", "vmm"):
        assert bench[experiment][name]["median"] > 0, (experiment, name)
assert bench["sizes"]["guest.elf"]["text"] > 0
print(len(bench["targets"]))
PYTHON
  )
  is "bench_run: JSON with every figure and target" "$text" 7
}

# counts_with NAME STATUS PART ARGUMENT...
counts_with() {
  local text status
  text=$("$counts" --expected "$work/expected" --costs "$work/COSTS" "${@:4}" 2>&1)
  status=$?
  is "counts: $1: status" $status "$2"
  has "counts: $1: message" "$text" "$3"
}

test_counts_script() {
  cp "$top/tests/bench/counts.expected" "$work/expected"
  cp "$work/expected" "$work/now"
  : >"$work/COSTS"
  counts_with "the same figures" 0 "met" --from "$work/now"
  sed -i 's/^yield-switch off .*/yield-switch off 120/' "$work/expected"
  counts_with "a crossing that grew" 1 "GREW" --from "$work/now"
  sed -i 's/^yield-switch off .*/yield-switch off 240/' "$work/expected"
  counts_with "a crossing that got cheaper" 0 "better" --from "$work/now"
  sed -i '/^gp off/d' "$work/now"
  counts_with "a crossing that is not there" 1 "MISSING" --from "$work/now"
  printf 'syscall off many\n' >"$work/now"
  counts_with "no figures" 125 "is not 'crossing mode instructions'" --from "$work/now"
  counts_with "no file" 125 "No such file" --from "$work/none"

  is "counts: COSTS.md has the table" "$(sed -n '/<!-- counts -->/,/<!-- \/counts -->/p' "$top/tests/bench/COSTS.md" | sed '1d;$d')" \
    "$("$counts" --table)"
  cp "$top/tests/bench/counts.expected" "$work/now"
  printf 'before\n<!-- counts -->\n<!-- /counts -->\nafter\n' >"$work/COSTS"
  cp "$work/now" "$work/expected"
  counts_with "a COSTS.md that says nothing" 1 "the table in COSTS.md is not that" --from "$work/now"
  counts_with "--update" 0 "met" --update --from "$work/now"
  is "counts: --update keeps the rest of COSTS.md" "$(sed -n '1p;$p' "$work/COSTS")" $'before\nafter'
  has "counts: ... and writes the table" "$(cat "$work/COSTS")" "SYSCALL getpid, there and back | "
  is "counts: ... and the file" "$(cat "$work/expected")" "$(cat "$work/now")"
}

test_guest_programs() {
  local text
  if ! "$top/tests/have-kvm"; then
    skip "costs" "no usable /dev/kvm"
    return
  fi
  text=$(./vmm --timeout 300 --stats json --stats-file "$work/costs.json" --report "$work/costs.html" \
    --program costs guest.elf)
  is "costs: status" $? 0
  has "costs: says what its figures are" "$text" "TSC"
  has "costs: nanoseconds beside" "$text" " ns "
  has "costs: published figures beside the measured ones" "$text" "KAISER"
  has "costs: the clock is checked" "$text" "off the host's clock"
  text=$(python3 - "$work/costs.json" <<'PYTHON' 2>&1
import json, sys
report = json.load(open(sys.argv[1]))
records = report["records"]
features = report["guest"]["features"]
modes = {"off", "nopcid"} | ({"pcid"} if "PCID" in features else set())
named = lambda name: [r for r in records if r["name"] == name]
ticks = {"cycles", "interp. cycles", "emulated cycles", "instructions"}
names = {r["name"] for r in records if r["unit"] in ticks}
# Every processor and every KVM has these.
assert names >= {"SYSCALL getpid", "INT 0x80 getpid", "INT 0x80, 32-bit code", "#PF to a handler", "#UD to a handler",
                 "#GP to a handler", "two switches by yield", "fork, exit, wait4"}, names
for name in names:
    assert {r["mode"] for r in named(name)} == modes, name
    for r in named(name):
        values = [r["values"][key] for key in ("min", "median", "p90", "p99", "max")]
        assert r["samples"] >= 10 and r["outliers"] >= 0, r
        assert 0 < values[0] and values == sorted(values), r
        ns = r["nanoseconds"]
        if r["unit"] == "instructions":
            assert ns is None, r
        elif report["host"]["tsc_khz"]:
            assert abs(ns["median"] - values[1] * 1e6 / report["host"]["tsc_khz"]) < 0.06, r
for name in ("compute only", "work and system calls", "system calls only"):
    assert {r["mode"] for r in named(name)} == modes - {"off"}, name
sets = [r["x"] for r in named("overhead by working set") if r["mode"] == "nopcid"]
assert sets == [0, 1, 2, 4, 8, 16, 32, 64, 128, 512], sets
rates = [r["x"] for r in named("overhead by system-call rate") if r["mode"] == "nopcid"]
assert len(rates) == len(named("overhead by system-call rate")) / (len(modes) - 1), rates
assert abs(named("the TSC, off the host's clock")[0]["values"]["median"]) < 100000
print(True)
PYTHON
  )
  is "costs: every way in every mode, loads and curves, in the report" "$text" True
  text=$(./vmm --timeout 20 --stats none guest.elf -- costs yaml)
  is "costs: an argument: status" $? 2
  has "costs: ... and where the figures are" "$text" "--stats json"
  text=$(./vmm --timeout 20 --stats none guest.elf -- counts)
  has "counts: refuses a TSC that does not count instructions" "$text" "does not count instructions"
}

test_bench_pt() {
  local text status
  ./bench_pt --fast >"$work/out" 2>&1
  is "bench_pt: unknown option" $? 2
  text=$(./bench_pt)
  status=$?
  has "bench_pt: random pages" "$text" "100,000 pages, each a call"
  has "bench_pt: held against memset" "$text" "of memset of its tables"
  # Whether the figures are good is no test's business; that the status says it is.
  is "bench_pt: status" $status "$(grep -c -m 1 MISSED <<<"$text")"
  text=$(./bench_pt --json | python3 -c 'import json, sys
bench = json.load(sys.stdin)
print(len(bench["cases"]), all(c["map_ns"] > 0 for c in bench["cases"]), [t["measured"] > 0 for t in bench["targets"]])')
  is "bench_pt: JSON" "$text" "5 True [True, True]"
}

test_bench_run
test_bench_pt
test_counts_script
test_guest_programs
finish
