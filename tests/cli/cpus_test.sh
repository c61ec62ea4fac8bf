#!/usr/bin/env bash
# --cpus and --no-apic: what is refused, what is reported, and that no end of a run is ever a hang.  How
# CPUs, APICs and standard input work is tests/guest/cpus's, here and in the boxes.
#
#   tests/cli/cpus_test.sh        VMM and BUILD say where vmm and its test guests are
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh" || exit 125
need_kvm cpus
smp=$BUILD/tests/smp.elf

# ---- Refused

for n in '' 0 9 -1 +2 ' 2' 2x 0x2 99999999999999999999; do
	vmm --cpus "$n" "$smp"
	expect "--cpus '$n'" 2 '--cpus .*: must be 1 to 8'
done
vmm --cpus 2 "$BUILD/tests/hello.elf"
expect "--cpus 2 without a note" 125 '--cpus 2: .*hello.elf has no Ringscope note.*leave it out'
python3 - "$smp" <<- 'PYTHON'
	import struct, sys
	image = bytearray(open(sys.argv[1], "rb").read())
	note = image.index(struct.pack("<3I", 10, 168, 1) + b"Ringscope\0")
	image[note + 24 + 152 : note + 24 + 160] = bytes(8)  # rs_note.cpu_entry
	open("single.elf", "wb").write(image)
PYTHON
vmm --cpus 2 single.elf -- count
expect "--cpus 2 with a note that names no entry" 125 '--cpus 2: .*for one CPU \(cpu_entry is 0\)'
vmm --quiet single.elf -- count
expect "... which runs with one CPU" 0
vmm --mem 1536K --cpus 8 "$smp" -- count
expect "eight CPUs do not fit into 1.5 MiB" 125 'no room in guest RAM'

# ---- Reported

vmm --cpus 3 "$smp" -- count
expect "three CPUs in the report" 0 '' '^  CPU 2 .*'
grep -q '^     3 CPUs, 64 MiB of RAM' out && grep -q 'status 0 on CPU 0 after' out &&
	pass "... and in its head" || fail "... and in its head" "$(head -n 8 out)"
vmm --cpus 4 --quiet --stats json --stats-file stats.json "$smp" -- count
expect "four CPUs in JSON" 0
python3 - > out 2>&1 <<- 'PYTHON'
	import json
	stats = json.load(open("stats.json"))
	cpus = stats["cpus"]
	assert len(cpus) == 4 and all(c["started"] for c in cpus), cpus
	assert [c["crossings"]["context_switches"] for c in cpus] == [10, 20, 30, 40], cpus
	assert stats["crossings"]["context_switches"] == 100
	for key in ("run", "guest", "vmm"):
	    total = sum(c["time"][key] for c in cpus)
	    assert abs(stats["time"][key] - total) <= total / 50 + 1000, (key, stats["time"], total)
	assert stats["exits"]["total"] == sum(c["exits"]["total"] for c in cpus)
	for reason, of_all in stats["exits"]["by_reason"].items():
	    assert of_all["count"] == sum(
	        c["exits"]["by_reason"].get(reason, {"count": 0})["count"] for c in cpus), reason
	assert stats["guest"]["cpu"] == 0 and stats["options"]["cpus"] == 4
	assert stats["services"]["hypercalls"] == 3 + 4
PYTHON
[ -s out ] && fail "... whose sums add up" "$(cat out)" || pass "... whose sums add up"
vmm --cpus 3 --quiet --stats json --stats-file stats.json "$smp" -- exit
expect "which CPU ended the run" 41 '' ''
python3 -c 'import json; assert json.load(open("stats.json"))["guest"]["cpu"] == 2' 2> err
status=$?
expect "... in JSON" 0
vmm --quiet --cpus 2 --stats json --stats-file stats.json "$smp" -- read
python3 -c 'import json; assert json.load(open("stats.json"))["services"]["input_bytes"] == 0' 2> err
status=$?
expect "standard input is counted" 0
vmm --cpus 2 --report page.html --quiet "$smp" -- count
expect "--report with two CPUs" 0
grep -q '<h2>CPUs</h2>' page.html && grep -q '2 CPUs, 64 MiB of RAM' page.html &&
	pass "... has them" || fail "... has them" "$(grep -c . page.html) lines"
vmm --no-apic --quiet --stats json --stats-file stats.json "$smp" -- count
python3 -c 'import json; s = json.load(open("stats.json")); assert s["host"]["apic_khz"] is None and s["options"]["no_apic"] and "x2APIC" not in s["guest"]["features"]' 2> err
status=$?
expect "--no-apic in JSON" 0

# ---- Looked at

vmm --cpus 3 --quiet --core core "$smp" -- panic
expect "three CPUs leave a core" 126 'died on CPU 2'
vmm --inspect-core core "$smp"
expect "--inspect-core shows each, the one that died first" 0 '' '^State at the end, CPU 2, ring 0'
[ "$(grep -c '^State at the end, CPU [012], ring 0' out)" = 3 ] && pass "... all three" ||
	fail "... all three" "$(grep ^State out)"
vmm --inspect-core core --inspect-format json --audit
python3 - > out2 2>&1 <<- 'PYTHON'
	import json
	lines = [json.loads(line) for line in open("out")]
	assert [(l["look"], l["cpu"]) for l in lines] == [("state", 2), ("state", 0), ("state", 1), ("audit", 2)], lines
	assert len({l["registers"]["rsp"] for l in lines[:3]}) == 3
PYTHON
[ -s out2 ] && fail "... as JSON Lines" "$(cat out2)" || pass "... as JSON Lines"
if command -v gdb > /dev/null; then
	timeout 600 gdb -nx -batch -ex 'info threads' -ex 'thread apply all print $rsp' "$smp" core > out 2>&1
	status=$?
	expect "gdb shows them as threads" 0 '' '^\* 1 +LWP 3 .*(cpu_call|out32)'
	[ "$(grep -cE '^ +[23] +LWP [12] ' out)" = 2 ] && [ "$(grep -cE '= \(void \*\) 0xffffffffa00[024]' out)" = 3 ] &&
		pass "... each with its stack" || fail "... each with its stack" "$(cat out)"
fi
# The idle CPU runs on one root, the one that ends the run in ring 3's address space.
vmm --cpus 2 --pti on --quiet --map --audit "$BUILD/guest.elf" -- tour 5
expect "--audit looks at what each CPU runs on" 0 '' '^Audit at the end, CPU 1  .* 0 broken'
grep -Eq '^Audit at the end, CPU 0  .* 0 broken' out && [ "$(grep -c 'entry stack, CPU [01]$' out)" = 2 ] &&
	pass "--map and --audit know all CPUs' places" || fail "--map and --audit know all CPUs' places" "$(grep ^Audit out)"

# ---- Under a debugger

vmm --cpus 2 --quiet --pti on --anatomy syscall "$BUILD/guest.elf" -- tour 3
expect "--anatomy with two CPUs" 0 '' 'instructions in ring 0'
vmm --cpus 2 --quiet --inspect vector=14 --inspect-format json --inspect-file stops "$BUILD/guest.elf" -- tour 3
expect "--inspect with two CPUs" 0
python3 - > out 2>&1 <<- 'PYTHON'
	import json
	stops = [json.loads(line) for line in open("stops")]
	assert len(stops) > 5 and all(s["cpu"] in (0, 1) and s["kind"] == "vector" for s in stops), stops
PYTHON
[ -s out ] && fail "... and which of them stopped" "$(cat out)" || pass "... and which of them stopped"

# session OPTIONS GUEST ARGUMENT GDB-COMMANDS...: gdb's words are in out, vmm's in err; its status is vmm's
session() {
	local options=$1 guest=$2 word=$3 commands=() command pid
	shift 3
	for command in "$@"; do commands+=(-ex "$command"); done
	rm -f socket
	# shellcheck disable=SC2086
	timeout --kill-after=2 600 "$VMM" $options --quiet --gdb ./socket "$guest" -- $word > guest.out 2> err < /dev/null &
	pid=$!
	for _ in {1..600}; do [ -S socket ] && break; sleep 0.1; done
	timeout 590 gdb -nx -batch -ex 'set pagination off' -ex 'target remote ./socket' "${commands[@]}" "$guest" > out 2>&1
	wait $pid
	status=$?
}
shows() { # NAME REGEX...
	local name=$1 regex
	shift
	for regex in "$@"; do
		grep -Eq -- "$regex" out && continue
		fail "$name" "not shown: $regex" "$(tail -n 30 out)"
		return
	done
	pass "$name"
}
if command -v gdb > /dev/null; then
	session "--cpus 3" "$smp" count 'break do_count' continue 'info threads' continue continue 'info threads' \
		'thread 1' 'print/x $rsp' 'thread 3' 'print/x $rsp' continue
	expect "gdb: the guest runs to its end" 0
	shows "gdb: info threads" '1 +Thread 1 \(vCPU 0, ring 0, CR3 0x[0-9a-f]+\) do_count \(cpu=(cpu@entry=)?0\)' '2 +Thread 2 \(vCPU 1' \
		'^\* 3 +Thread 3 \(vCPU 2.*do_count \(cpu=(cpu@entry=)?2\)|^\* 2 +Thread 2 \(vCPU 1.*do_count \(cpu=(cpu@entry=)?1\)'
	shows "gdb: each thread stops at a breakpoint" 'Thread 1 hit Breakpoint 1' 'Thread 2 hit Breakpoint 1' 'Thread 3 hit Breakpoint 1'
	shows "gdb: each thread has its registers" '= 0xffffffffa0006' '= 0xffffffffa0046'
	session "--cpus 2" "$smp" ready 'break say_name' continue 'break spin' continue 'set scheduler-locking on' 'thread 2' \
		'print $other = $pc' 'thread 1' stepi stepi stepi 'thread 2' 'print $pc == $other' kill
	shows "gdb: one thread steps, the others stand still" '= 1$'
	expect "gdb: kill ends all CPUs" 137
	session "--cpus 2" "$smp" panic continue 'info threads' 'thread 1' 'print $rip' continue
	expect "gdb: a CPU that dies" 126
	shows "... is the one that gdb looks at" 'Thread 2 received signal SIGABRT' '^\* 2 +Thread 2 '
	session "--cpus 2" "$BUILD/guest.elf" "tour 3" 'break user_loop_syscall' continue bt stepi stepi 'watch next_pid' \
		'delete 1' 'delete 2' detach
	expect "gdb: after detach both CPUs run on" 0
	grep -q 'Cycles per crossing' guest.out && pass "... to the guest's own end" || fail "... to the guest's own end"
	shows "gdb: a breakpoint in ring 3" 'hit Breakpoint 1' '#1 .*run_turns'
	# A watched guest is stepped: it comes to where it writes by itself.
	session "--cpus 2" "$BUILD/guest.elf" "tour 3" 'break new_process' continue 'watch next_pid' continue 'delete 2' \
		continue 'watch next_pid' continue kill
	shows "gdb: a watchpoint, whichever CPU writes" 'Old value = 1' 'New value = 2' 'Old value = 2' 'New value = 3'
	# Time enough for gdb to come and say continue, which an emulated machine takes ten times as long for.
	session "--cpus 2 --timeout ${KVMBOX:+4}3" "$smp" spin continue 'info threads'
	expect "gdb: a time-out ends all CPUs" 124 'CPU 1 was in ring 0'
else
	echo "ok $((++count)) - gdb # SKIP no gdb here (make deps)"
fi

# ---- Never a hang: ends that meet other ends, again and again

LIMIT=60
bad=
for i in {1..25}; do
	vmm --quiet --cpus $((i % 7 + 2)) "$smp" -- exit
	[ $status = 41 ] || bad="$bad $i:$status"
	vmm --quiet --cpus $((i % 7 + 2)) --timeout "0.0$((i % 9 + 1))" "$smp" -- flood
	[ $status = 124 ] || bad="$bad $i:$status"
	vmm --quiet --cpus $((i % 7 + 2)) --timeout "0.00$((i % 9 + 1))" "$smp" -- count
	[ $status = 124 ] || [ $status = 0 ] || bad="$bad $i:$status"
done
[ -z "$bad" ] && pass "75 runs end" || fail "75 runs end" "$bad"
LIMIT=60
# A shell's background would ignore it.  There is a thread for each CPU when they run.
env --default-signal=INT "$VMM" --quiet --timeout 60 --cpus 4 "$smp" -- spin > out 2> err &
for i in {1..300}; do
	[ "$(find "/proc/$!/task" -mindepth 1 -maxdepth 1 2> /dev/null | wc -l)" -ge 4 ] && break
	sleep 0.1
done
kill -INT $!
wait $!
status=$?
expect "SIGINT ends all CPUs" 130 'stopped by signal 2'

# ---- One CPU pays nothing

if command -v strace > /dev/null && ASAN_OPTIONS=detect_leaks=0 strace -o trace "$VMM" --quiet "$BUILD/tests/exit42.elf" 2> err; [ -s trace ]; then
	! grep -Eq 'clone|futex|KVM_ENABLE_CAP|KVM_SET_MP_STATE' trace &&
		pass "one CPU: no thread, no lock, no APIC" ||
		fail "one CPU: no thread, no lock, no APIC" "$(grep -E 'clone|futex|KVM_ENABLE_CAP' trace)"
else
	skip "one CPU: no thread, no lock, no APIC" "no strace"
fi

finish
