#!/usr/bin/env bash
# What measures: bench_run, tests/bench/counts, and the guest's costs and counts programs.  Whether the
# figures are good is make bench's business, but for the exact counts, which are held here too.  Prints TAP
# lines.
set -uo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
build=${BUILD:-build}
[[ $build == /* ]] || build=$top/$build
export BUILD=$build
counts=$top/tests/bench/counts

number=0 failed=0
ok() { printf 'ok %d - %s\n' $((++number)) "$1"; }
not_ok() {
  printf 'not ok %d - %s\n' $((++number)) "$1"
  failed=1
}
skip() { printf 'ok %d - %s # SKIP %s\n' $((++number)) "$1" "$2"; }
same() { # NAME GOT WANTED
  if [[ $2 == "$3" ]]; then ok "$1"; else
    not_ok "$1"
    printf '# got:    %q\n# wanted: %q\n' "$2" "$3"
  fi
}
has() { # NAME TEXT PART
  if [[ $2 == *"$3"* ]]; then ok "$1"; else
    not_ok "$1"
    printf '# got:    %q\n# wanted: ...%q...\n' "$2" "$3"
  fi
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$build" || exit 1

test_bench_run() {
  local text
  text=$(./bench_run --rounds many 2>&1)
  same "bench_run: --rounds: status" $? 2
  has "bench_run: --rounds: message" "$text" "a number from 1"
  ./bench_run --fast >"$scratch/out" 2>&1
  same "bench_run: unknown option" $? 2
  has "bench_run: --help" "$(./bench_run --help)" "usage:"
  if [[ ! -w /dev/kvm ]]; then
    skip "bench_run" "no usable /dev/kvm"
    return
  fi
  text=$(PEERS="nothing=true; lost=/no/such/vmm; broken" ./bench_run --rounds 1 --json "$scratch/bench.json" 2>&1)
  has "bench_run: a peer" "$text" "nothing"
  has "bench_run: a peer that is not there" "$text" "not measured: /no/such/vmm: No such file"
  has "bench_run: a peer without a command" "$text" "PEERS: 'broken' is not name=command"
  text=$(python3 - "$scratch/bench.json" <<'PYTHON'
import json, sys
bench = json.load(open(sys.argv[1]))
for experiment in ("start_to_exit_us", "exit_round_trip_ns", "peak_resident_kib"):
    for name in ("floor", "vmm --stats none", "vmm"):
        assert bench[experiment][name]["median"] > 0, (experiment, name)
assert bench["sizes"]["guest.elf"]["text"] > 0
print(len(bench["targets"]))
PYTHON
  )
  same "bench_run: JSON with every figure and target" "$text" 7
}

# counts_with NAME STATUS PART ARGUMENT...
counts_with() {
  local text status
  text=$("$counts" --expected "$scratch/expected" --readme "$scratch/README" "${@:4}" 2>&1)
  status=$?
  same "counts: $1: status" $status "$2"
  has "counts: $1: message" "$text" "$3"
}

test_counts_script() {
  cp "$top/tests/bench/counts.expected" "$scratch/expected"
  cp "$scratch/expected" "$scratch/now"
  : >"$scratch/README"
  counts_with "the same figures" 0 "met" --from "$scratch/now"
  sed -i 's/^yield-switch off .*/yield-switch off 120/' "$scratch/expected"
  counts_with "a crossing that grew" 1 "GREW" --from "$scratch/now"
  sed -i 's/^yield-switch off .*/yield-switch off 240/' "$scratch/expected"
  counts_with "a crossing that got cheaper" 0 "better" --from "$scratch/now"
  sed -i '/^gp off/d' "$scratch/now"
  counts_with "a crossing that is not there" 1 "MISSING" --from "$scratch/now"
  printf 'syscall off many\n' >"$scratch/now"
  counts_with "no figures" 125 "is not 'crossing mode instructions'" --from "$scratch/now"
  counts_with "no file" 125 "No such file" --from "$scratch/none"

  cp "$top/tests/bench/counts.expected" "$scratch/now"
  printf 'before\n<!-- counts -->\n<!-- /counts -->\nafter\n' >"$scratch/README"
  cp "$scratch/now" "$scratch/expected"
  counts_with "a README that says nothing" 1 "the table in README.md is not that" --from "$scratch/now"
  counts_with "--update" 0 "met" --update --from "$scratch/now"
  same "counts: --update keeps the rest of README" "$(sed -n '1p;$p' "$scratch/README")" $'before\nafter'
  has "counts: ... and writes the table" "$(cat "$scratch/README")" "SYSCALL getpid, there and back | "
  same "counts: ... and the file" "$(cat "$scratch/expected")" "$(cat "$scratch/now")"
}

test_counts_in_box() {
  local text status
  text=$("$counts" 2>&1)
  status=$?
  if ((status == 0)); then
    ok "counts: no crossing costs more than is written down, and every target is met"
  elif [[ $text == *"lacks packages"* || $text == *"cannot download"* ]]; then
    skip "counts in the Intel box" "the box cannot be installed here"
  else
    not_ok "counts: no crossing costs more than is written down, and every target is met"
    sed 's/^/# /' <<<"$text"
  fi
}

test_guest_programs() {
  local text
  if [[ ! -w /dev/kvm ]]; then
    skip "costs" "no usable /dev/kvm"
    return
  fi
  text=$(./vmm --timeout 120 --stats none guest.elf -- costs json)
  same "costs json: status" $? 0
  text=$(python3 -c '
import json, sys
costs = json.loads(sys.stdin.read())
modes = {"off", "nopcid"} | ({"pcid"} if costs["pcid"] else set())
names = ("syscall", "int80", "pf", "ud", "gp", "yield", "fork")
assert {(c["name"], c["mode"]) for c in costs["crossings"]} == {(n, m) for n in names for m in modes}
for c in costs["crossings"]:
    assert c["samples"] >= 10, c
    assert 0 < c["min"] <= c["median"] <= c["p90"] <= c["p99"] <= c["max"], c
for load in costs["loads"] + costs["rate_curve"] + costs["working_set_curve"]:
    assert set(load["modes"]) == modes, load
    assert load["modes"]["off"]["overhead_percent"] == 0
print(costs["verdict"] in ("hardware", "interpreted", "instructions", "emulated"))' <<<"$text" 2>&1)
  same "costs json: one object, every crossing in every mode, in order" "$text" True
  text=$(./vmm --timeout 120 --stats none guest.elf -- costs)
  has "costs: says what its figures are" "$text" "TSC"
  has "costs: published figures beside the measured ones" "$text" "KAISER"
  text=$(./vmm --timeout 20 --stats none guest.elf -- costs yaml)
  same "costs: wrong argument: status" $? 2
  text=$(./vmm --timeout 20 --stats none guest.elf -- counts)
  has "counts: refuses a TSC that does not count instructions" "$text" "does not count instructions"
}

test_bench_run
test_counts_script
test_guest_programs
test_counts_in_box
printf '1..%d\n' $number
exit $failed
