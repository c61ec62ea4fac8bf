#!/usr/bin/env bash
# vmm --anatomy of every crossing, on whatever KVM this is.
#
#   tests/cli/anatomy_test.sh        VMM and BUILD say where vmm and guest.elf are
#
# TAP-like: "ok N - name", "not ok N - name" with details behind it, "# SKIP reason".  Status 0 when
# nothing failed.
set -u
cd "$(dirname "$0")/../.." || exit 125
BUILD=$(realpath "${BUILD:-build}") || exit 125
VMM=$(realpath "${VMM:-$BUILD/vmm}") || exit 125
guest=$BUILD/guest.elf
work=$(mktemp -d "${TMPDIR:-/tmp}/anatomy_test.XXXXXX") || exit 125
trap 'rm -rf "$work"' EXIT

count=0 failed=0
pass() { echo "ok $((++count)) - $1"; }
fail() { # name, details...
	echo "not ok $((++count)) - $1"
	shift
	printf '%s\n' "$@" | head -n 30 | sed 's/^/#   /'
	failed=$((failed + 1))
}
is() { # NAME GOT WANTED
	if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "got $2, wanted $3" "$(head -c 600 "$work/err")"; fi
}
anatomy() { # CROSSING FILE [OPTIONS...]
	local crossing=$1 file=$2
	shift 2
	timeout --kill-after=2 200 "$VMM" --quiet --timeout 180 --anatomy "$crossing" --inspect-file "$file" \
		"$@" "$guest" -- tour 200 > "$work/out" 2> "$work/err" < /dev/null
}

if ! { : < /dev/kvm; } 2> /dev/null; then
	echo "ok 1 - anatomy # SKIP no usable /dev/kvm"
	echo "1..1"
	exit 0
fi

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
assert rows[0]["if"] and rows[-1]["if"] and not any(row["if"] for row in rows[1:-1]), "IF"
assert rows[0]["stack"] == "user" and rows[-1]["stack"] == "user"
assert rows[0]["gs"] == "user" and rows[-1]["gs"] == "user"
assert {"kernel"} <= {row["gs"] for row in rows}, "GS is the kernel's for a time"
roots = {row["root"] for row in rows}
assert roots == ({"user", "kernel"} if pti == "on" else {"kernel"}), roots
assert sums["instructions"] == len(rows) - 2 and not sums["cut"]
assert not (rows[-1]["rflags"].__len__() == 0)
assert not int(rows[-1]["rflags"], 16) & 0x100, "TF does not leak"
assert rows[0]["hardware"], "the entry is told"
assert rows[-2]["instruction"].split()[0] in ("iretq", "sysretq", "sysret"), rows[-2]["instruction"]
writes = sum(row["instruction"].startswith("mov cr3") for row in rows)
assert writes == sums["cr3_writes"] and (writes >= 2 or pti == "off")
switched = int(rows[0]["cr3"], 16) & ~0x8000000000000fff != int(rows[-1]["cr3"], 16) & ~0x8000000000000fff
assert switched == (crossing == "context-switch"), "another process"
for row in rows[1:-1]:
    assert row["symbol"] and row["instruction"] != "(bad)", row
first = rows[0]["instruction"].split()[0]
assert first == {"syscall": "syscall", "int80": "int", "pagefault": "mov", "fork": "syscall",
                 "context-switch": "syscall"}[crossing], first
assert rows[0]["file"] and rows[1]["file"] and rows[1]["line"], "source lines"
PYTHON

for pti in on off; do
	for crossing in syscall int80 pagefault fork context-switch; do
		if [ $pti = off ] && [ $crossing = fork ]; then continue; fi
		anatomy $crossing "$work/$crossing.json" --inspect-format json --pti $pti
		status=$?
		problem=$(python3 "$work/check.py" "$work/$crossing.json" $crossing $pti 2>&1)
		if [ $status = 0 ] && [ -z "$problem" ]; then
			pass "$crossing, KPTI $pti"
		else
			fail "$crossing, KPTI $pti" "status $status" "${problem##*$'\n'}" "$(head -n 3 "$work/err")"
		fi
	done
done

crossings() { python3 -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[1]))["crossings"], sort_keys=True))' "$1"; }
anatomy fork "$work/fork.txt" --pti on --stats json --stats-file "$work/followed.json"
timeout 100 "$VMM" --quiet --pti on --stats json --stats-file "$work/plain.json" "$guest" -- tour 200 > /dev/null 2>&1
is "counters of the tour are the same" "$(crossings "$work/followed.json")" "$(crossings "$work/plain.json")"
is "text has 100 columns" "$(awk 'length > 100' "$work/fork.txt" | wc -l)" 0
is "a long way through C is folded" "$(grep -c 'instructions of C in' "$work/fork.txt" | sed 's/[1-9].*/some/')" some
anatomy pagefault "$work/fault.txt" --pti on
is "what the processor pushes is told" \
	"$(grep -A6 'Vector 14' "$work/fault.txt" | tr -d '\n|' | tr -s ' ' | grep -Ec 'RSP0 of the TSS gives the stack .* pushed: SS 23, .*error code 0x4')" 1

timeout 60 "$VMM" --quiet --timeout 50 --anatomy fork "$guest" -- crash none > "$work/out" 2> "$work/err"
is "a guest without such a crossing: status" "$?" 125
is "a guest without such a crossing: message" "$(grep -c 'ended without such a crossing' "$work/err")" 1
for crossing in sysenter callgate irq; do
	timeout 20 "$VMM" --anatomy $crossing "$guest" > "$work/out" 2> "$work/err"
	is "$crossing: not yet" "$?:$(grep -c 'has no such crossing yet' "$work/err")" 2:1
done
timeout 20 "$VMM" --anatomy nonsense "$guest" > "$work/out" 2> "$work/err"
is "nonsense is refused" "$?" 2

echo "1..$count"
[ "$failed" = 0 ]
