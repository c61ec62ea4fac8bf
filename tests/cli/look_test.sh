#!/usr/bin/env bash
# --walk, --map and --audit against what the guest really gets, what KVM says, and what a KVM-less
# reader would expect.
#
#   tests/cli/look_test.sh        VMM and BUILD say where vmm and guest.elf are
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh" || exit 125
schema=$top/vmm/look/look.schema.json

# ---- Usage: no KVM is needed ---------------------------------------------------------------------

usage() { # NAME STDERR OPTIONS...
	local name=$1 pattern=$2
	shift 2
	vmm "$@" /nonexistent/guest.elf
	expect "$name" 2 "$pattern"
}
for v in '' @cr3=user 1@ 1@cr3 1@cr3= 1@cr3=x; do usage "--walk '$v'" "--walk '.*'" --walk "$v"; done
for v in '' Boot mark mark= mark=0 mark=-1 mark=1x mark=99999999999999999999; do
	usage "--at '$v'" 'must be boot, exit, or mark=N' --map --at "$v"
done
usage "--at alone" 'none is given' --at boot
usage "--inspect-format xml" 'text or json' --map --inspect-format xml
vmm --help
for o in walk map audit at core inspect-core inspect-format; do
	verdict "--help lists --$o" "$(grep -q -- "--$o" out && echo 1)"
done

need_kvm "looking at a guest"

# ---- Against the guest's own faults -----------------------------------------------------------------

vmm --quiet --walk no_such_symbol "$guest"
expect "a symbol that does not exist, before the guest runs" 125 'no symbol'
verdict "... and the guest did not run" "$([ ! -s out ] && echo 1)"

# The check program touches these from ring 3 and reports the error codes it got; it ends as it began, with KPTI on.
cat > judge.py <<'PY'
import json, sys
ADDRESSES = {  # address: error codes of a read, a write and a fetch by ring 3; None: allowed
    '0xffff888000000000': (4, 6, 0x14),    # the direct map
    '0xffffc90000003000': (4, 6, 0x14),    # a kernel stack
    '0xffffc90000000000': (4, 6, 0x14),    # its guard
    '0xffffffffb0000000': (4, 6, 0x14),    # the boot page
    '0xffffffffc0000000': (5, 7, 0x15),    # entry text: in both roots
    '0xffffffffcff00000': (5, 7, 0x15),    # the IDT: in both roots
    '0x400000': (None, 7, None),           # its own text
    '0x7ffffffef000': (None, None, 0x15),  # its own stack
    '0x0': (4, 6, 0x14),                   # null
}
walks = [w for w in map(json.loads, open(sys.argv[1]).read().splitlines()[int(sys.argv[2]):])
         if w['look'] == 'walk']
bad = 0
seen = set()
for walk in walks:
    if walk['kvm'] and not walk['kvm']['agrees']:
        print('KVM_TRANSLATE differs at', walk['address']); bad += 1
    if walk['through'] != 'user root' or walk['address'] not in ADDRESSES:
        continue
    seen.add(walk['address'])
    for kind, want in zip(('read', 'write', 'fetch'), ADDRESSES[walk['address']]):
        got = walk['accesses']['ring3_' + kind]
        if got['error'] != want or got['allowed'] != (want is None) or \
           got['vector'] != (None if want is None else 14):
            print(walk['address'], kind, 'wanted', want, 'got', got); bad += 1
audits = [json.loads(l) for l in open(sys.argv[1]) if l.startswith('{"look": "audit"')]
if [a['broken'] for a in audits] != [0]:
    print('the audit', audits); bad += 1
if seen != set(ADDRESSES):
    print('missing', set(ADDRESSES) - seen); bad += 1
if sum(1 for w in walks if w['kvm']) < len(ADDRESSES):
    print('KVM was asked too little'); bad += 1
sys.exit(bad != 0)
PY
walks=()
for a in ffff888000000000 ffffc90000003000 ffffc90000000000 ffffffffb0000000 ffffffffc0000000 \
	ffffffffcff00000 400000 7ffffffef000 0; do walks+=(--walk "0x$a"); done
# Without a timer, whose ticks nobody can count in advance.
vmm --pti on --no-apic --stats-file looked.json --stats json --inspect-format json --map --audit "${walks[@]}" "$guest" -- check
expect "the check program, watched" 0 '' '^  ok +U/S: read entry text'
verdict "the guest's faults were as it wanted them" "$(grep -q '^  DIFFERS' out || echo 1)"
first=$(grep -n '^{' out | head -n 1 | cut -d: -f1)
judged=$(python3 judge.py out $((first - 1)) 2>&1) && good=1 || good=0
verdict "--walk says what ring 3 got, and KVM_TRANSLATE agrees" "$good" "$judged"

if python3 -c 'import jsonschema; jsonschema.Draft202012Validator' 2> /dev/null; then
	sed -n '/^{/p' out > lines
	"$VMM" --quiet --core dead "$guest" -- crash fault > /dev/null 2>&1
	"$VMM" --inspect-core dead --inspect-format json --map >> lines
	found=$(python3 - "$schema" lines 2>&1 <<-'PY'
		import json, jsonschema, sys
		validator = jsonschema.Draft202012Validator(json.load(open(sys.argv[1])))
		validator.check_schema(validator.schema)
		lines = [json.loads(l) for l in open(sys.argv[2])]
		for line in lines:
		    validator.validate(line)
		assert {l['look'] for l in lines} == {'walk', 'map', 'audit', 'state'}
	PY
	) && good=1 || good=0
	verdict "each line of JSON fits look.schema.json" "$good" "$(tail -n 3 <<< "$found")"
else
	skip "each line of JSON fits look.schema.json" "no python3-jsonschema here"
fi

# ---- Maps and audits ------------------------------------------------------------------------------------

for pti in off on; do
	vmm --quiet --pti $pti --map --audit "$guest" -- crash fault
	expect "--audit with --pti $pti: nothing is broken" 126 '' '^Audit at the end  [0-9]+ rules kept, 0 broken'
done
verdict "two roots: every rule is asked" "$(grep -q ' 0 broken, 0 not asked' out && echo 1)" "$(grep ^Audit out)"
for row in 'r--u- +r-xu- +other rights +user text' 'rw--g +\. +kernel root +direct map of RAM' \
	'r-x-g +r-x-g +both +entry text' 'r---g +r---g +both +IDT' 'rw--g +rw--g +both +TSS' \
	'rw--g +rw--g +both +IST1 stack' 'r-x-g +\. +kernel root +kernel text'; do
	verdict "--map: $row" "$(grep -Eq "$row" out && echo 1)" "$(sed -n '/^Map/,/^Audit/p' out | head -n 30)"
done
verdict "--map fits in 100 columns" \
	"$([ "$(sed -n '/^Map/,/^Audit/p' out | awk 'length > 100' | wc -l)" = 0 ] && echo 1)"
vmm --quiet --at boot --map --audit "$guest" -- crash fault
expect "--at boot" 126 '' '^Map at boot'
verdict "... before the guest says anything" "$([ -z "$(head -n 1 out)" ] && echo 1)" "$(head -n 2 out)"
verdict "... when there is one root" "$(grep -q '^Map at boot  only root' out && echo 1)" "$(grep ^Map out)"
vmm --quiet --at mark=1000000 --audit "$BUILD/hello.elf"
expect "a mark that never comes" 7 'marks, so nothing was looked at'
vmm --quiet --walk 0x400000@cr3=user --at boot "$BUILD/hello.elf"
expect "a user root where there is none" 125 'no user root'
vmm --quiet --map --audit "$BUILD/hello.elf"
expect "a guest without a note" 7 '' 'has no Ringscope note'
vmm --quiet --map --audit "$guest" -- crash fault
expect "a guest that died" 126 'panic' '^Audit at '
vmm --quiet --audit --inspect-format json "$guest" -- crash fault
verdict "JSON: one object a line" "$(grep '^{' out | python3 -c '
import json, sys
a = [json.loads(l) for l in sys.stdin]
assert [x["look"] for x in a] == ["audit"] and a[0]["broken"] == 0 and len(a[0]["rules"]) > 15' && echo 1)"

# ---- A rule that is broken ------------------------------------------------------------------------------

if [ -e "$BUILD/tests/maze.elf" ]; then
	LIMIT=30 vmm --quiet --map --audit "$BUILD/tests/maze.elf"
	expect "tables without end: the audit ends, and says so" 125 '' 'BROKEN +bounded'
	vmm --quiet --map "$BUILD/tests/maze.elf"
	expect "... and the map does, which is no failure" 0 '' 'this is not all'
	LIMIT=30 vmm --quiet --core maze --timeout 20 "$BUILD/tests/maze.elf"
	expect "... and nobody else minds" 0
fi

if [ -e "$BUILD/tests/fractal.elf" ]; then
	slack=10000 # a busy machine takes its time
	[ -z "${EXACT-}" ] || slack=1500
	for t in 0.3 60; do
		before=${EPOCHREALTIME/./}
		vmm --quiet --mem 64M --map --audit --timeout $t "$BUILD/tests/fractal.elf"
		took=$(((${EPOCHREALTIME/./} - before) / 1000))
		if [ "$status" = 124 ]; then # a slow KVM
			expect "tables that lead to themselves: --timeout $t ends the audit" 124 'time to stop|time-out'
			verdict "... in time" "$([ $took -lt $((${t%.*} * 1000 + slack)) ] && echo 1)" "$took ms"
		else
			expect "tables that lead to themselves: the audit ends, and says so" 125 '' 'BROKEN +bounded'
		fi
	done
	"$VMM" --quiet --mem 64M --map --audit "$BUILD/tests/fractal.elf" > out 2> err &
	sleep 0.1
	kill $! 2> /dev/null
	before=${EPOCHREALTIME/./}
	wait $!
	took=$(((${EPOCHREALTIME/./} - before) / 1000))
	verdict "SIGTERM ends it in time" "$([ $took -lt $slack ] && echo 1)" "$took ms"
fi

# ---- It changes nothing ---------------------------------------------------------------------------------

crossings() { # FILE
	python3 -c '
import json, sys
report = json.load(open(sys.argv[1]))
print(json.dumps([report["crossings"], report["cr3"]], sort_keys=True))' "$1"
}
vmm --pti on --no-apic --stats-file plain.json --stats json "$guest" -- check
verdict "the same crossings with and without looking" \
	"$([ "$(crossings plain.json)" = "$(crossings looked.json)" ] && echo 1)"
vmm --stats-file plain.json --stats json "$guest" -- tour 200
vmm --stats-file marked.json --stats json --at mark=3 --map --audit --core never "$guest" -- tour 200
expect "--at mark=3" 0 '' '^Audit at mark 3  '
verdict "... and when looking on the way" \
	"$([ "$(crossings plain.json)" = "$(crossings marked.json)" ] && echo 1)"
verdict "no core of a guest that ended by itself" "$([ ! -e never ] && echo 1)"

finish
