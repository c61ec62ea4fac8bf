#!/usr/bin/env bash
# vmm --inspect on the guest's own programs, on whatever KVM this is.
#
#   tests/cli/inspect_test.sh        VMM and BUILD say where vmm and guest.elf are
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh" || exit 125
context() { head -c 600 "$work/err" 2> /dev/null; }

# inspect WHEN [OPTIONS...] [-- ARGUMENTS...]: what it shows is in $work/shown.
inspect() {
	local options=(--inspect "$1" --inspect-file "$work/shown")
	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do options+=("$1") && shift; done
	rm -f "$work/shown"
	timeout --kill-after=2 100 "$VMM" --quiet --timeout 90 "${options[@]}" "$guest" "$@" \
		> "$work/out" 2> "$work/err" < /dev/null
	status=$?
	touch "$work/shown"
}
# shows NAME PATTERN...: extended regular expressions, each of which some line of what was shown matches.
shows() {
	local name=$1 pattern
	shift
	for pattern in "$@"; do
		if ! grep -Eq -- "$pattern" "$work/shown"; then
			fail "$name" "not shown: $pattern" "$(head -n 20 "$work/shown")" "$(head -n 3 "$work/err")"
			return
		fi
	done
	pass "$name"
}
stops() { grep -c '^Stop ' "$work/shown"; }

need_kvm inspect

inspect all -- crash none
is "all: the run ends as without" "$status" 2
shows "all: every exit" '^Stop 1 after 1 exit: exit IO: OUT of' '^  changed: .*RIP'
shows "registers, segments, MSRs, events" '^  RAX [0-9a-f]{16}' '^  CS  0008 .*code, 64-bit, DPL 0' \
	'CR0 .*\[PE' 'EFER .*\[SCE' 'LSTAR +ffffffffc' '^  events: none'
inspect IO,count=1 -- crash none
is "an exit is shown once, whatever asks for it" "$(grep -c 'after 1 exit:' "$work/shown")" 1
inspect vector=14,first
shows "vector=14" '^Stop 1 .*#PF \(page fault\), error code 0x4, CR2 0xffffffff8.*ring 3 at 0x4'
is "first: one stop" "$(stops)" 1
inspect syscall=60 -- crash none
shows "syscall=N, as this KVM delivers it" '^Stop 1 .*SYSCALL number 60 from ring 3'
is "one such call" "$(stops)" 1
inspect vector=128,first
shows "vector=128, as this KVM delivers it" '^Stop 1 .*(INT 0x80|vector 128)'
inspect cpl-change -- crash none
shows "cpl-change: both ways" 'CPL 0 to 3 by IRETQ' 'CPL 3 to 0 by SYSCALL'
is "after a return the guest is in ring 3" \
	"$(grep -A1 'CPL 0 to 3' "$work/shown" | grep -c 'ring 3 at')" "$(grep -c 'CPL 0 to 3' "$work/shown")"
is "in and out take turns" \
	"$(grep -o 'CPL [03] to [03]' "$work/shown" | uniq -d | wc -l)" 0
all=$(stops)
inspect cpl-change,every=2 -- crash none
is "every=2: half of them" "$(stops)" "$(((all + 1) / 2))"
inspect cr3-write --pti on -- crash none
shows "cr3-write" 'MOV to CR3: 0x[0-9a-f]+ to 0x[0-9a-f]+'  ' CR3 [0-9a-f]+ -> [0-9a-f]+'
inspect pc=syscall64,pc=user_syscall -- crash none
shows "pc=SYMBOL in both rings" 'before the instruction at .*<syscall64>' 'before the instruction at .*<user_syscall>'
inspect cpl-change,all --inspect-format json -- crash none
if python3 - "$work/shown" << 'PYTHON'; then
import json
import sys

stops = [json.loads(line) for line in open(sys.argv[1])]
assert len(stops) > 4
assert [s["stop"] for s in stops] == list(range(1, len(stops) + 1))
for s in stops:
    assert s["cpl"] == s["segments"]["ss"]["dpl"]
    assert int(s["registers"]["RIP"], 16) == int(s["rip"], 16)
    assert s["instruction"] and s["why"] and s["kind"] in ("exit", "cpl-change")
    assert "LSTAR" in s["msrs"] and (s["changed"] is None) == (s["stop"] == 1)
PYTHON
	pass "JSON Lines"
else
	fail "JSON Lines" "$(head -c 600 "$work/shown")"
fi

timeout 100 "$VMM" --quiet --stats json --stats-file "$work/plain.json" "$guest" -- tour 100 > /dev/null 2>&1
inspect cpl-change,cr3-write,all,every=500 --stats json --stats-file "$work/inspected.json" -- tour 100
is "counters and exits are the same as without" "$(counts "$work/inspected.json")" "$(counts "$work/plain.json")"

inspect vector=77 -- crash none
is "a condition that is never the case: the run ends as without" "$status" 2
has "... and a message says so" "$(cat "$work/err")" "--inspect vector=77: was not the case in "
timeout 60 "$VMM" --quiet --timeout 1 "$guest" -- crash storm > "$work/out" 2> "$work/err"
is "crash storm ends with --timeout" $? 124
has "... and says that it does not end by itself" "$(cat "$work/out")" "--timeout, or Ctrl-C, ends them"

for when in '' nonsense vector=256 every=2 pc=a+b first; do
	inspect "$when"
	is "--inspect '$when' is refused" "$status" 2
done
inspect pc=no_such_symbol
is "a symbol that does not exist: status" "$status" 125
inspect pc=syscall64+1
is "the middle of an instruction: status" "$status" 125
timeout 20 "$VMM" --inspect all --gdb 0 "$guest" > "$work/out" 2> "$work/err"
is "--inspect with --gdb is refused" "$?" 2
timeout 20 "$VMM" --inspect-file x "$guest" > "$work/out" 2> "$work/err"
is "--inspect-file alone is refused" "$?" 2
timeout 20 "$VMM" --quiet --inspect all --inspect-file /nonexistent/x "$guest" > "$work/out" 2> "$work/err"
is "a file that cannot be written: status" "$?" 125

finish
