#!/usr/bin/env bash
# --trace: the file is a trace whatever happens to the guest, says what is missing, and changes nothing.
#
#   tests/cli/trace_test.sh        VMM and BUILD say where vmm and its guests are
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh" || exit 125
need_kvm trace

cat > trace.py << 'PYTHON'
"""Checks a trace: trace.py FILE RULE..."""
import collections
import json
import sys

with open(sys.argv[1], encoding="ascii") as file:
    trace = json.load(file)
events, about = trace["traceEvents"], trace["otherData"]


def named(name):
    return [e for e in events if e["name"] == name]


def shape():
    """Fields that every event has, and no others than the format knows."""
    for e in events:
        assert e["ph"] in "XiCM", e
        assert isinstance(e["pid"], int) and isinstance(e["tid"], int), e
        if e["ph"] != "M":
            assert e["ts"] >= 0, e
        if e["ph"] == "X":
            assert e["dur"] >= 0, e
        if e["ph"] == "i":
            assert e["s"] == "t", e
        if e["ph"] == "C":
            assert all(isinstance(v, int) for v in e["args"].values()), e
    assert about["events"] == len(events), about


def nesting():
    """Spans of one track lie beside or inside each other."""
    tracks = collections.defaultdict(list)
    for e in events:
        if e["ph"] == "X":
            begin = round(e["ts"] * 1000)
            tracks[e["pid"], e["tid"]].append((begin, -(begin + round(e["dur"] * 1000)), e["name"]))
    for track, spans in tracks.items():
        stack = []
        for span in sorted(spans):
            while stack and -stack[-1][1] <= span[0]:
                stack.pop()
            assert not stack or -span[1] <= -stack[-1][1] + 1, (track, stack[-1], span)
            stack.append(span)


def tour():
    """What the tour is known to do."""
    kinds = collections.Counter(e.get("cat") for e in events)
    for kind in ("guest", "exit", "system call", "fault", "context switch", "process", "mark", "mode"):
        assert kinds[kind], f"no event of the kind {kind}: {kinds}"
    assert len(named("guest")) == about["exits"] == len([e for e in events if e.get("cat") == "exit"])
    for name in ("SYSCALL getpid", "INT 0x80 getpid", "SYSCALL sched_yield", "SYSCALL fork",
                 "INT 0x80 fork", "SYSCALL write", "#PF in ring 3", "#UD in ring 3", "#GP in ring 3"):
        assert named(name), f"no {name}"
    missing = [e for e in named("SYSCALL 999")]
    assert len(missing) == 1 and missing[0]["args"]["result"] == -38, missing
    ends = [e["args"] for e in named("ends")]
    assert {"exit status": 7, "signal": 0} in ends and {"exit status": 0, "signal": 11} in ends, ends
    assert about["complete"] == "yes" and about["records without sense"] == 0, about


def writes():
    """The guest's clock agrees with the VMM's: the exit of a write happens inside the write."""
    exits = [(e["ts"], e["ts"] + e["dur"]) for e in named("IO call")]
    for e in named("SYSCALL write"):
        begin, end = e["ts"], e["ts"] + e["dur"]
        assert sum(begin <= a and b <= end for a, b in exits) == 1, e


def counters():
    """The counters only grow."""
    last = {}
    for e in events:
        if e["ph"] == "C":
            for key, value in e["args"].items():
                assert value >= last.get((e["name"], key), 0), e
                last[e["name"], key] = value
    assert last


def crossings():
    """What --calls sees from outside is what the guest's kernel notes itself."""
    seen = [e for e in events if e["pid"] == 3 and e["ph"] != "M"]
    for number, name in ((24, "SYSCALL sched_yield"), (39, "SYSCALL getpid"), (57, "SYSCALL fork")):
        got = [e for e in seen if e["args"].get("number") == number and e["args"]["by"] == "SYSCALL"]
        assert len(got) == len(named(name)) > 0, (name, len(got), len(named(name)))
    faults = [e for e in events if e["pid"] == 2 and e["name"] == "#PF in ring 3"]
    assert len([e for e in seen if e["name"] == "#PF"]) == len(faults) > 0, len(faults)
    spaces = [e["args"]["name"] for e in events if e["name"] == "thread_name" and e["pid"] == 3]
    assert len(set(spaces)) == len(spaces) > 2 and all(name.startswith("CR3 0x") for name in spaces), spaces


def full():
    assert about["dropped"] > 0 and "--trace-limit" in about["complete"], about
    assert "full" in events[-1]["name"], events[-1]


def cpus():
    """Two CPUs, each with its tracks and what happened there."""
    tracks = {e["args"]["name"]: e["tid"] for e in events if e["name"] == "thread_name" and e["pid"] == 1}
    assert len(tracks) == 4, tracks
    exits = collections.Counter(e["tid"] for e in events if e.get("cat") == "exit")
    runs = collections.Counter(e["tid"] for e in events if e["pid"] == 1 and e.get("cat") == "process")
    for cpu in range(2):
        assert exits[tracks[f"vCPU {cpu}"]], exits
        assert runs[tracks[f"running on vCPU {cpu}"]], runs
    assert sum(exits.values()) == about["exits"], (exits, about)
    # A process is never on two CPUs at a time, but for what the clocks differ.
    spans = sorted((e["ts"], e["ts"] + e["dur"], e["name"], e["tid"]) for e in events
                   if e["pid"] == 1 and e.get("cat") == "process")
    last = {}
    for begin, end, name, tid in spans:
        before = last.get(name, (0, tid))
        assert begin >= before[0] - 1000 or tid == before[1], (name, begin, before)
        last[name] = max(before, (end, tid))
    assert about["complete"] == "yes" and about["records without sense"] == 0, about


for rule in sys.argv[2:]:
    globals()[rule]()
PYTHON
check() { # NAME FILE RULE...
	local name=$1
	shift
	works "$name" python3 trace.py "$@"
}
same_counts() {
	python3 - "$@" << 'PYTHON'
import json, sys
a, b = (json.load(open(name)) for name in sys.argv[1:3])
for key in ("crossings", "cr3", "quirks"):
    assert a[key] == b[key], f"{key}: {a[key]} is not {b[key]}"
assert a["exits"]["total"] == b["exits"]["total"]
PYTHON
}

# ---- The tour ---------------------------------------------------------------------------------

vmm --stats json --stats-file plain.json "$guest" -- tour 40
vmm --trace tour.json --stats json --stats-file traced.json "$guest" -- tour 40
expect "the tour runs while traced" 0
check "the trace has the shape of the format" tour.json shape
check "spans nest on every track" tour.json nesting
check "all that the tour does is in it" tour.json tour
check "the guest's clock is brought to the VMM's" tour.json writes
check "counters only grow" tour.json counters
works "the guest counts the same with and without" same_counts plain.json traced.json
LIMIT=600 vmm --trace check.json --quiet "$guest" -- check
expect "the guest's own checks pass while traced" 0
works "... all of them" awk '/ differ/ { rows++; if (!/; 0 differ/) bad = 1; } END { exit bad || !rows }' out

# ---- With --calls --------------------------------------------------------------------------------

vmm --calls calls.txt --trace both.json --quiet "$guest" -- tour 40
expect "the tour runs while traced and its calls are watched" 0
check "... and the trace is one still, with both" both.json shape nesting tour writes counters crossings
lines() { grep -cE "$1" calls.txt; }
works "... and has what the text has" python3 - "$(lines '^ .* call [0-9]+\(')" "$(lines '^ .* #PF\(')" << 'PYTHON'
import json, sys
seen = [e for e in json.load(open("both.json"))["traceEvents"] if e["pid"] == 3]
for category, lines in zip(("system call", "fault"), sys.argv[1:]):
    got = len([e for e in seen if e.get("cat") == category])
    assert got == int(lines) > 0, (category, got, lines)
PYTHON
works "... which says what the watching took" grep -qE \
	'^# [1-9][0-9]* exits were planted for this; they took [0-9]+\.[0-9] % of the run.s [0-9.]+ s$' calls.txt
vmm --timeout 0.5 --calls late.txt --trace late.json --stats none "$guest" -- tour 100000
expect "a run that is out of time while its calls are watched" 124
check "... leaves a trace" late.json shape nesting
works "... and the calls' text, to its last line" grep -q '^# [1-9][0-9]* exits were planted' late.txt
vmm --calls died.txt --trace died.json --stats none "$guest" -- crash triple
expect "a triple fault while calls are watched" 126
check "... leaves a trace" died.json shape nesting
vmm --calls small.txt --trace small.json --trace-limit 16K --stats none "$guest" -- tour 40
check "what --calls sees keeps to the trace's limit" small.json shape full

# ---- Every end --------------------------------------------------------------------------------

vmm --timeout 0.3 --trace timeout.json --stats none "$guest" -- tour 100000
expect "a run that is out of time" 124
check "... leaves a trace" timeout.json shape nesting
timeout --foreground -s INT 0.3 "$VMM" --trace signal.json --stats none "$guest" -- tour 100000 > out 2> err
check "a signal leaves a trace" signal.json shape nesting
vmm --trace crash.json --stats none "$guest" -- crash fault
expect "a guest that panics" 126
check "... leaves a trace" crash.json shape nesting
vmm --trace triple.json --stats none "$guest" -- crash triple
check "a triple fault leaves a trace" triple.json shape nesting
vmm --trace hello.json --quiet "$BUILD/hello.elf"
expect "a guest without a note is traced" 7
check "... with its exits" hello.json shape nesting

# ---- Several CPUs -----------------------------------------------------------------------------

# Which CPU takes a process is chance: a run in which one had none shows less.
for _ in 1 2 3 4 5 6 7 8; do
	vmm --cpus 2 --trace two.json --stats none "$guest" -- tour 10
	if python3 trace.py two.json cpus > /dev/null 2>&1; then break; fi
done
expect "two CPUs are traced" 0
check "... each on its tracks" two.json shape nesting counters cpus
vmm --cpus 3 --timeout 0.3 --trace three.json --stats none "$BUILD/tests/smp.elf" -- flood
expect "three CPUs that are stopped" 124
check "... leave a trace" three.json shape nesting

# ---- The limit --------------------------------------------------------------------------------

vmm --trace small.json --trace-limit 32K --stats none "$guest" -- tour 40
expect "a trace that does not fit: the run is none the worse, and it is said" 0 'events dropped'
check "... and the file says so, and is whole" small.json shape full
works "... and keeps the limit" test "$(stat -c %s small.json)" -le 32768
for limit in 15K 0 1T 64 x -1 '' 1MM; do
	vmm --trace t.json --trace-limit "$limit" "$guest"
	expect "--trace-limit '$limit' is refused" 2 'trace-limit'
done

# ---- Places ------------------------------------------------------------------------------------

vmm --trace '' "$guest"
expect "--trace '' is refused" 2
vmm --trace /nonexistent/t.json "$guest"
expect "a trace that cannot be written ends it before the guest runs" 125 '/nonexistent/t.json'
works "... and the guest did not run" test ! -s out
echo before > kept.json
vmm --trace kept.json "$BUILD/nothing.elf"
works "a guest that cannot be run leaves the old file alone" grep -q before kept.json
if [ -w /dev/full ]; then
	vmm --trace /dev/full --quiet "$BUILD/hello.elf"
	expect "a full device: the guest's status stays, and it is said" 7 '/dev/full'
	vmm --trace /dev/full --stats none "$guest" -- tour 40
	expect "... and success becomes failure" 125 '/dev/full'
fi
"$VMM" --quiet --trace >(cat > piped.json) "$BUILD/hello.elf" > out 2> err
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -s piped.json ] && break; sleep 0.1; done
check "a pipe takes it too" piped.json shape
works "nothing is left behind" test -z "$(find . -name '.vmm-*')"

finish
