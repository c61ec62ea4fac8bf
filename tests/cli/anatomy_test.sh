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
