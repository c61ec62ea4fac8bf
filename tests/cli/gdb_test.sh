#!/usr/bin/env bash
# vmm --gdb, driven by the real gdb in batch mode and by a client that keeps to no protocol.
#
#   tests/cli/gdb_test.sh        VMM and BUILD say where vmm and guest.elf are
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh" || exit 125
vmm_pid=
at_exit() {
	if [ -n "$vmm_pid" ]; then kill "$vmm_pid" 2> /dev/null; fi
}
skip_all() {
	skip gdb "$1"
	finish
}

need_kvm gdb
if ! command -v gdb > /dev/null; then skip_all "no gdb"; fi
if ! command -v python3 > /dev/null; then skip_all "no python3"; fi

socket=$work/gdb
log=$work/log
context() { tail -qn 20 "$log" "$work/err" 2> /dev/null; }

# Starts vmm in the background, waiting for gdb at $socket; arguments: options, then -- and the guest's.
start_vmm() {
	local options=()
	while [ $# -gt 0 ] && [ "$1" != -- ]; do options+=("$1") && shift; done
	timeout --kill-after=2 200 "$VMM" --quiet --timeout 190 --gdb "$socket" "${options[@]}" "$guest" "$@" \
		> "$work/out" 2> "$work/err" < /dev/null &
	vmm_pid=$!
	for _ in $(seq 200); do
		if [ -S "$socket" ]; then return; fi
		sleep 0.05
	done
}
end_vmm() {
	wait "$vmm_pid"
	status=$?
	vmm_pid=
}
# gdb COMMAND...: all of them in one session.
run_gdb() {
	local commands=(-ex 'set pagination off' -ex 'set confirm off' -ex "directory $top" -ex "target remote $socket")
	for command in "$@"; do commands+=(-ex "$command"); done
	timeout --kill-after=2 190 gdb -nx -batch "${commands[@]}" "$guest" > "$log" 2>&1 < /dev/null
}
# session GUEST-PROGRAM COMMAND...
session() {
	local program=$1
	shift
	# shellcheck disable=SC2086 # words
	start_vmm -- $program
	run_gdb "$@"
	end_vmm
}
# shows NAME PATTERN...: extended regular expressions that the log must have, in this order.
shows() {
	local name=$1 text pattern
	shift
	text=$(cat "$log")
	for pattern in "$@"; do
		if [[ ! $text =~ $pattern ]]; then
			fail "$name" "not shown: $pattern"
			return
		fi
		text=${text#*"${BASH_REMATCH[0]}"}
	done
	pass "$name"
}

# ---- Ring 0 ------------------------------------------------------------------------------------------

session "crash none" 'info registers rip cs cr0 cr4 efer fs_base gs_base' 'stepi' 'x/i $pc' \
	'break kernel_main' 'continue' 'backtrace 1' 'next' 'info symbol $pc' 'hbreak process_init' 'continue' 'step' \
	'finish' 'finish' 'info threads' 'kill'
shows "waits before the first instruction" 'rip +0x[0-9a-f]+ +0x[0-9a-f]+ <kernel_start>'
shows "control registers with their bits" 'cr0 .*PE .*PG' 'efer .*LME LMA' 'gs_base +0xffffffffd0000000'
shows "break, hbreak, continue" 'Breakpoint 1, kernel_main' 'Breakpoint 2, process_init'
shows "backtrace shows the caller" '#0 +kernel_main \(boot='
shows "next, step and finish" 'kernel_main \+ [1-9][0-9]* in section' 'Breakpoint 2' 'new_process \(' 'in process_init|process_init \(' \
	'kernel_main \('
shows "info threads" 'Thread 1 .*vCPU 0, ring 0'
is "kill ends the guest" "$status" 137

# ---- Across the boundary -------------------------------------------------------------------------------

session "crash none" 'break user_syscall' 'continue' 'backtrace 2' 'info registers cs ss' \
	'display/i $pc' 'stepi 30' 'info registers cs' 'delete' 'break syscall64' 'continue' 'backtrace' \
	'info registers xmm0 mxcsr' 'detach'
shows "a breakpoint in ring 3" 'Breakpoint 1, (user_)?syscall \(' '#1 ' 'cs +0x2b' 'ss +0x23'
shows "stepping enters ring 0" 'Breakpoint 1' 'cs +0x8 '
shows "backtrace across the boundary" 'Breakpoint 2, syscall64 \(' '#1 ' '(syscall_entry|vector_entry) \(\) at guest/entry.S' \
	'<signal handler called>' 'user_raw_syscall \(\) at guest/user/calls.S' 'user_syscall \(\)' 'main \(argc=3'
shows "SSE registers" 'xmm0 +\{' 'mxcsr +0x'
is "after detach the guest runs on to its own end" "$status" 2

session "crash none" 'break kernel_main' 'continue' 'set $r15 = 0x1234' 'print/x $r15' \
	'print next_pid' 'watch next_pid' 'continue' 'print next_pid' 'delete' 'set var next_pid = 77' \
	'print next_pid' 'x/2i kernel_main' 'monitor help' 'monitor walk 0xffffffff80100000' 'monitor stats' \
	'monitor nonsense' 'continue'
shows "registers and variables can be set" '= 0x1234' 'next_pid|\$2 = 1' '= 77'
shows "watch stops behind the write" 'Hardware watchpoint' 'Old value = 1' 'New value = 2'
shows "monitor help, walk, stats" 'monitor walk VA' 'PML4E' 'ring 3 read of .*#PF' 'returns from KVM_RUN|Returns from KVM_RUN'
shows "monitor says what it does not know" 'no such command'
shows "the guest's status" 'exited with code 02'
is "vmm's status is the guest's" "$status" 2

# ---- Back ------------------------------------------------------------------------------------------------

session "tour 1" 'break user_raw_syscall' continue delete reverse-stepi 'monitor back 1' 'monitor checkpoint' \
	'set $before = $rip' 'set $cr3_before = $cr3' 'stepi 40' 'set $in = $rip' 'monitor history' reverse-stepi \
	'reverse-stepi 39' 'printf "back %d %d\n", $rip == $before, $cr3 == $cr3_before' reverse-stepi \
	'stepi 40' 'printf "forth %d\n", $rip == $in' 'break syscall64' continue 'set $first = $rsp' 'monitor history' \
	'set $place = (long *)$rsp' 'watch *$place' reverse-continue 'x/i $rip' 'delete 3' 'monitor back 3' \
	'maintenance flush register-cache' 'monitor history' 'set $rbx = 77' 'monitor history' 'monitor checkpoint off' \
	'monitor history' delete continue
shows "no way back before a checkpoint" 'no way back from here' 'no checkpoint|so far back nothing'
shows "back to ring 3, and no further" 'at 40 of 0 to 40' 'back 1 1' 'No more reverse-execution history' 'forth 1'
shows "back to where a word was written" 'Breakpoint 2, syscall64' '[Ww]atchpoint 3' 'Old value' 'call.*syscall64'
shows "monitor back, another future, none" 'gdb does not know yet' 'instructions since the checkpoint' 'no checkpoint'
is "and the guest's own status" "$status" 0

# What the guest says is said once, and the way leads back from its end.
session "crash none" 'break kernel_main' continue delete 'monitor checkpoint' 'break process_init' continue 'delete' \
	'reverse-continue' 'info symbol $rip' 'break process_init' continue kill
shows "reverse-continue to the checkpoint, and forth again" 'Breakpoint 2, process_init' 'No more reverse-execution history' \
	'kernel_main' 'Breakpoint 3, process_init'

# Which CPU is stepped belongs to the place: here another one than was selected at the checkpoint.
start_vmm --cpus 2 -- processes
run_gdb 'break syscall64' continue delete 'set $before = $rip' 'set $stack = $rsp' 'thread 2' 'monitor checkpoint' 'thread 1' \
	'stepi 100' 'set $in = $rip' 'reverse-stepi 100' 'printf "back %d %d\n", $rip == $before, $rsp == $stack' 'stepi 100' \
	'printf "forth %d\n", $rip == $in' reverse-continue 'printf "first %d\n", $rip == $before' 'monitor checkpoint off' continue
end_vmm
shows "two CPUs" 'back 1 1' 'forth 1' 'No more reverse-execution history' 'first 1'
is "and their guest's own status" "$status" 0

# ---- Backtraces, at every instruction of a crossing -------------------------------------------------------

cat > "$work/walk.gdb" << 'GDB'
set width 0
# From the last instruction of ring 3 to the first one after it.
define walk
	while ($cs & 3) == 3
		stepi
	end
	walk_on
end
define walk_on
	while ($cs & 3) == 0
		printf "@ %lx\n", $pc
		backtrace
		stepi
	end
	printf "back at %lx\n", $pc
	backtrace
end
# Arrives in ring 0 by INT, and makes of that what the entry would find: so each is seen on every KVM.
define arrive
	set $user_rsp = $rsp
	set $user_rip = $pc + 2
	stepi
	set $top = $rsp + (*(long *)($rsp + 32) == 0x23 ? 40 : 48)
	set $rax = 39
	set $pc = (unsigned long)&$arg0
end
define walk_syscall
	arrive syscall_entry
	set $rsp = $user_rsp
	set $rcx = $user_rip
	set $r11 = 0x202
	walk_on
end
define walk_to
	while $pc != (unsigned long)&$arg0
		printf "@ %lx\n", $pc
		backtrace
		stepi
	end
	backtrace
end
define walk_compat
	arrive compat_entry
	set $rsp = $user_rsp
	set $rcx = $user_rip
	set $r11 = 0x202
	walk_to syscall32
end
define walk_sysenter
	arrive sysenter_entry
	set $rsp = $top
	set $rcx = $user_rsp
	set $rdx = $user_rip
	walk_on
end
define walk_sysenter_in
	arrive sysenter_entry
	set $rsp = $top
	set $rcx = $user_rsp
	set $rdx = $user_rip
	walk_to syscall64
end
define walk_callgate
	arrive callgate_entry
	set $rsp = $top - 32
	set *(long *)$rsp = $user_rip
	set *(long *)($rsp + 8) = 0x2b
	set *(long *)($rsp + 16) = $user_rsp
	set *(long *)($rsp + 24) = 0x23
	walk_on
end
# As an NMI would come, to $pc with $rsp: its frame on the entry stack.
define interrupt
	set $at = $rsp
	set $frame = (long *)($top - 64)
	set $frame[0] = 2
	set $frame[1] = 0
	set $frame[2] = (long)$pc
	set $frame[3] = 8
	set $frame[4] = 2
	set $frame[5] = (long)$at
	set $frame[6] = 0
	set $rsp = (long)$frame
	set $pc = (unsigned long)&ist_entry
	walk_to trap
end
define walk_nmi_at_once
	arrive syscall_entry
	set $rsp = $user_rsp
	set $rcx = $user_rip
	interrupt
end
define walk_nmi_behind_swapgs
	arrive syscall_entry
	set $rsp = $user_rsp
	set $rcx = $user_rip
	stepi
	interrupt
end
GDB
cat > "$work/walked.py" << 'PYTHON'
"""walked.py LOG ENTRIES FUNCTIONS: each backtrace leads through one of the entries to one of the functions, and
on to main, or the function has no caller."""
import re
import sys

log, entries, functions = sys.argv[1], set(sys.argv[2].split("|")), set(sys.argv[3].split("|"))
steps, lost, entered = [], 0, False
for line in open(log, errors="replace"):
    if line.startswith(("@ ", "back at")):
        steps.append([line.strip()])
    elif steps and re.match(r"#\d+ ", line):
        steps[-1].append(re.sub(r"^#\d+ +(0x[0-9a-f]+ in )?", "", line.strip()).split(" (")[0])
    elif re.search(r"Backtrace stopped|Cannot|optimized out$|E01", line):
        sys.exit(f"{steps[-1:]}: {line}")
for at, *names in steps:
    if len(names) == 1 and names[0] in entries:
        lost += 1
        continue
    # GCC does not tell of the PUSH and POP by which -Oz loads a small number: a frame more in the kernel's C.
    ring3 = names.index("<signal handler called>") + 1 if "<signal handler called>" in names else 0
    if not (functions & set(names) and names[-1] in functions | {"main"} and "??" not in names[ring3:]):
        sys.exit(f"{at}: {names}")
    entered |= bool(entries & set(names))
if len(steps) < 40 or not entered:
    sys.exit(f"{len(steps)} instructions, not through {entries}")
# SYSCALL: while RSP is CR3's value or the stack has no frame yet, nothing tells where ring 3's stack is.
if lost > (8 if entries & {"syscall_entry", "compat_entry"} else 0):
    sys.exit(f"{lost} times without a caller")
PYTHON
walk() { # ENTRIES FUNCTIONS BREAK-AT WALK OPTIONS...
	local entries=$1 functions=$2 at=$3 how=$4
	shift 4
	start_vmm "$@" -- tour 1
	run_gdb "source $work/walk.gdb" "break $at" continue delete "$how" kill
	end_vmm
	works "backtraces from ${entries##*|}, $how, $*" python3 "$work/walked.py" "$log" "$entries" "$functions"
}
# The INT of mark_int80.
int80="*(user_mark_int80 + 22)"
# An AMD CPU has no SYSEXIT in long mode, so that there is no way back to walk.
[ "${KVMBOX-}" = amd ] && sysenter=sysenter_in || sysenter=sysenter
for pti in on off; do
	walk "vector_entry|syscall_entry" user_mark_syscall user_mark_syscall walk --pti $pti
	walk "vector_entry|int80_entry" user_mark_int80 "$int80" walk --pti $pti
	walk vector_entry "user_fault_pf|user_mark_fault_resume" "*&user_fault_pf" walk --pti $pti
	for entry in syscall compat $sysenter callgate; do
		walk ${entry%_in}_entry user_mark_int80 "$int80" walk_$entry --pti $pti
	done
done
for walk in walk_nmi_at_once walk_nmi_behind_swapgs; do
	walk "ist_entry|paranoid" user_mark_int80 "$int80" $walk --pti on
done
session "tour 1" 'break begin_process' continue backtrace kill
shows "a process that has not run yet has a caller" '#0 +begin_process' '#1 .*first_return' '<signal handler called>' \
	'user_start \(\)'

# The guest's own instructions of the kind that the debugger plants, under plants and next to them.
guest=$BUILD/tests/outs.elf
break_all=('break *before_outs' 'break *first_out' 'break *second_out' 'break *behind_outs')
round=('Breakpoint 1,' 'Breakpoint 2,' 'Breakpoint 3,' 'Breakpoint 4,')
session "" "${break_all[@]}" continue continue continue continue continue continue continue continue continue
shows "points on the guest's own OUT and beside it" "${round[@]}" "${round[@]}" 'exited normally'
is "each of them runs once" "$(cat "$work/out")" aabb
for point in "${break_all[@]}"; do
	session "" "$point" continue stepi stepi delete continue
	is "one such point: $point" "$status:$(cat "$work/out")" 0:aabb
done
guest=$BUILD/guest.elf

session "crash fault" 'continue' 'backtrace 3' 'continue'
shows "a guest that dies can be looked at" 'SIGABRT' '#0 '
is "a dead guest's status" "$status" 126

# ---- Ctrl-C, as gdb sends it ---------------------------------------------------------------------------

start_vmm -- tour 1000000
run_gdb "shell (sleep 1; kill -INT \$PPID) &" 'continue' 'info registers rip' 'detach'
vmm_is=$vmm_pid
shows "Ctrl-C stops a running guest" 'SIGINT' 'rip +0x'
kill -TERM "$(pgrep -P "$vmm_is" | head -n 1)" 2> /dev/null
end_vmm

# ---- The guest sees nothing of it ------------------------------------------------------------------------

timeout 90 "$VMM" --quiet --stats json --stats-file "$work/plain.json" "$guest" -- tour 200 > "$work/plain.out" 2>&1
start_vmm --stats json --stats-file "$work/gdb.json" -- tour 200
run_gdb 'break user_mark_syscall' 'continue' 'stepi 40' 'break user_wait_for_child' 'continue' 'stepi 300' \
	'delete' 'detach'
end_vmm
is "counters and exits are the same as without" "$(counts "$work/gdb.json")" "$(counts "$work/plain.json")"

# ---- The line --------------------------------------------------------------------------------------------

cat > "$work/client.py" << 'PYTHON'
"""Talks to the stub without gdb: what it answers to each packet, and to garbage."""
import random
import socket
import sys
import time

def packet(data):
    return b"$" + data + b"#%02x" % (sum(data) & 255)

def read_reply(line, wait=20):
    line.settimeout(wait)
    data = b""
    while True:
        byte = line.recv(1)
        if not byte:
            return None
        if not data and byte in b"+-":
            continue
        data += byte
        if data[-3:-2] == b"#" and data[:1] == b"$":
            return data[1:-3]

def ask(line, data):
    line.sendall(packet(data))
    return read_reply(line)

line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
what = sys.argv[2]
if what == "fuzz":
    ask(line, b"?")
    random.seed(1)
    letters = b"?gGpPmMXcCsSZzHTDkvqQ0123456789abcdef,:;=#$}*\x03\x00\xff"
    for _ in range(2000):
        data = bytes(random.choice(letters.replace(b"c", b"").replace(b"C", b"").replace(b"s", b"")
                     .replace(b"S", b"").replace(b"k", b"").replace(b"D", b"").replace(b"v", b""))
                     for _ in range(random.randrange(40)))
        line.sendall(data if random.random() < 0.3 else packet(data.replace(b"#", b"").replace(b"$", b"").replace(b"}", b"")))
        if random.random() < 0.05:
            time.sleep(0.001)
        line.setblocking(False)
        try:
            while line.recv(65536):
                pass
        except BlockingIOError:
            pass
        line.setblocking(True)
    line.sendall(b"$" + b"m" * 100000 + b"#00")
    line.sendall(packet(b"QStartNoAckMode") * 2)
    time.sleep(0.5)
    line.setblocking(False)
    try:
        while line.recv(65536):
            pass
    except BlockingIOError:
        pass
    line.setblocking(True)
    print(ask(line, b"qC"), ask(line, b"vMustReplyEmpty"), ask(line, b"m0,zz"))
elif what == "interrupt":
    line.sendall(packet(b"c"))
    time.sleep(0.7)
    line.sendall(b"\x03")
    print(read_reply(line)[:3])
elif what == "gone":
    line.sendall(packet(b"c"))
    time.sleep(0.1)
elif what == "idle":
    # A CPU that cannot run is let run: how much of a CPU that takes, of 100 a second; then an interrupt.
    def ticks():
        return sum(int(word) for word in open(f"/proc/{sys.argv[3]}/stat").read().rsplit(")", 1)[1].split()[11:13])
    line.sendall(packet(b"vCont;c:2"))
    time.sleep(0.5)
    before = ticks()
    time.sleep(1)
    print("busy" if ticks() - before > 50 else "waits")
    if sys.argv[4:] == ["interrupt"]:
        line.sendall(b"\x03")
        print(read_reply(line)[:3])
    else:
        print(read_reply(line, 60)[:3])
elif what == "ask":
    print(" ".join((ask(line, word.encode().decode("unicode_escape").encode("latin1")) or b"").decode() or "-"
                   for word in sys.argv[3:]))
elif what == "raw":
    line.sendall(sys.argv[3].encode().decode("unicode_escape").encode("latin1"))
    line.settimeout(20)
    print(line.recv(100) or "dropped")
if what not in ("gone", "ask", "raw", "idle"):
    line.sendall(packet(b"k"))
line.close()
PYTHON
start_vmm
python3 "$work/client.py" "$socket" fuzz > "$log" 2>&1
end_vmm
is "garbage does not confuse the stub" "$(cat "$log")" "b'QC1' b'' b'E01'"
start_vmm -- tour 1000000
python3 "$work/client.py" "$socket" interrupt > "$log" 2>&1
end_vmm
is "0x03 stops the guest" "$(cat "$log")" "b'T02'"
start_vmm -- crash none
python3 "$work/client.py" "$socket" gone > "$log" 2>&1
end_vmm
is "when the connection ends the guest runs on" "$status" 2

# Each parser is exact about where its packet ends, and each name is a whole one.
start_vmm -- tour 1000000
end=$(printf '%s' 'g?cs' | sed 's/./&x /g')
# shellcheck disable=SC2086 # words
python3 "$work/client.py" "$socket" ask H Hg Hgx Hg1x Hx1 p p0,1 P0 P0=0 m m0 m0,1x M0,1:0 M0,1:000 'X0,1:ab' Z0,0 \
	Z0,0,1x z0,0,1x G T T1,2 vCont 'vCont;' 'vCont;c;' 'vCont;;c' 'vCont;x' 'vCont;cx' 'vCont;c:' 'vCont;c:1x' 'vCont;c:63' \
	'vCont;r' 'vCont;r5,1' 'vCont;C' C S C05x s1 c1 'qRcmd,6' 'qThreadExtraInfo,1x' 'qCRC' 'qCRC:0' 'qCRC:0,1x' \
	'D;x' 'vKill;x' 'qC\x00' '?\x00x' 'k\x00' > "$log" 2>&1
is "a packet that is not at its end, or beyond it, is an error" "$(tr ' ' '\n' < "$log" | sort -u)" E01
python3 "$work/client.py" "$socket" ask $end kx qCx qCRCx qCanything qSupportedx qfThreadInfox 'vCont?x' vContx vKillx Dx qAttachedx \
	QStartNoAckModex qXfer:features:read:target.xmlx qRcmdx > "$log" 2>&1
is "a longer name is another name" "$(tr ' ' '\n' < "$log" | grep -v E01 | sort -u)" -
python3 "$work/client.py" "$socket" ask qC 'qSupported:noswbreak+' 'qSupported:swbreak+;hwbreak+' qAttached:1 Hc-1 'vCont?' D > "$log" 2>&1
is "the names that there are" "$(tr ' ' '\n' < "$log" | grep -cE '^(QC1|PacketSize=.*|1|OK|vCont;c;C;s;S;r)$')" 7
kill "$(pgrep -P "$vmm_pid" | head -n 1)" 2> /dev/null
end_vmm

session "crash none" 'break kernel_main' 'compare-sections -r' 'compare-sections' 'kill'
shows "compare-sections: what is there is what was loaded" 'Section .text, [^:]*: matched' 'Section .user.text, [^:]*: matched' 'Section .user.data, [^:]*: matched'
is "compare-sections: nothing else" "$(grep -c 'MIS-MATCHED\|fault' "$log")" 0

# ---- Who comes, and who comes next -----------------------------------------------------------------------

start_vmm -- crash none
is "a socket is its owner's" "$(stat -c %a "$socket")" 600
post='POST / HTTP/1.1\r\nContent-Length: 40\r\n\r\n$k#6b'
for words in "$post" '\n$k#6b' '\x16\x03\x01' '+POST / $k#6b' '$POST /#00$k#6b' 'qC$k#6b'; do
	python3 "$work/client.py" "$socket" raw "$words" > "$log" 2>&1
	is "who does not speak the protocol is dropped: ${words:0:10}" "$(tail -n 1 "$log")" dropped
done
run_gdb 'break kernel_main' continue kill
shows "gdb can connect after all of them" 'Breakpoint 1, kernel_main'
end_vmm
is "... and they have done nothing" "$status" 137
has "each has its message" "$(cat "$work/err")" "does not speak gdb's protocol (it says 'POST / HTTP/1.1"

start_vmm -- crash none
python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); time.sleep(20)' "$socket" &
silent=$!
sleep 0.5
run_gdb 'break kernel_main' continue kill
shows "one that says nothing does not keep gdb out" 'Breakpoint 1, kernel_main'
end_vmm
kill "$silent" 2> /dev/null
wait "$silent" 2> /dev/null

again() { # NAME PROGRAM OPTIONS...
	local name=$1 program=$2 vmm_is
	shift 2
	# shellcheck disable=SC2086 # words
	start_vmm "$@" -- $program
	vmm_is=$vmm_pid
	run_gdb 'break syscall64' continue detach
	shows "$name: the first gdb" 'Breakpoint 1, syscall64'
	python3 "$work/client.py" "$socket" gone
	sleep 0.3
	python3 "$work/client.py" "$socket" raw "$post" > "$log" 2>&1
	is "$name: a stranger does not stop the guest" "$(tail -n 1 "$log")" dropped
	run_gdb 'break syscall64' continue backtrace 'info threads' delete detach
	shows "$name: another one, after one has vanished" 'Breakpoint 1, syscall64' '#0 +syscall64' 'vCPU 0'
	run_gdb 'info registers rip' 'hbreak syscall64' continue stepi kill
	shows "$name: and one more" 'rip +0x' 'Breakpoint 1, syscall64'
	end_vmm
	is "$name: which ends it" "$status" 137
}
again "one CPU" "tour 1000000"
again "two CPUs" "processes 1000000 10" --cpus 2
timeout 90 "$VMM" --quiet --stats json --stats-file "$work/plain.json" "$guest" -- tour 2000 > /dev/null 2>&1
start_vmm --stats json --stats-file "$work/gdb.json" -- tour 2000
for _ in 1 2 3; do
	if [ -S "$socket" ]; then run_gdb 'info registers rip' detach; fi
done
end_vmm
is "the guest counts the same, however often gdb came" "$(counts "$work/gdb.json")" "$(counts "$work/plain.json")"

# ---- A CPU that cannot run -------------------------------------------------------------------------------

idle() { # HOW WANTED OPTIONS...
	local how=$1 wanted=$2 vmm_is
	shift 2
	start_vmm --cpus 2 "$@" -- tour 20
	vmm_is=$(pgrep -P "$vmm_pid" | head -n 1)
	if [ "$how" = term ]; then (sleep 3 && kill "$vmm_is") & fi
	python3 "$work/client.py" "$socket" idle "$vmm_is" "$how" > "$log" 2>&1
	if [ "$how" = interrupt ]; then kill -KILL "$vmm_is"; fi
	end_vmm
	is "only a CPU that was not started may run: $how" "$(tr '\n' ' ' < "$log")$status" "$wanted"
}
idle interrupt "waits b'T02' 137"
idle timeout "waits b'X0e' 124" --timeout 4
idle term "waits b'X0f' 143"

# ---- Addresses -------------------------------------------------------------------------------------------

python3 -c 'import socket, sys, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); print(s.getsockname()[1], flush=True); time.sleep(20)' > "$work/port" &
holder=$!
for _ in $(seq 100); do if [ -s "$work/port" ]; then break; fi; sleep 0.05; done
timeout 20 "$VMM" --quiet --gdb "$(cat "$work/port")" "$guest" > "$log" 2>&1
is "a port that is taken: status" "$?" 125
shows "a port that is taken: message" 'somebody listens there already'
kill "$holder" 2> /dev/null
wait "$holder" 2> /dev/null
echo file > "$work/file"
ln -s nowhere "$work/link"
mkdir "$work/folder"
for there in "file:an ordinary file" "link:a symbolic link" "folder:a directory"; do
	timeout 20 "$VMM" --quiet --gdb "$work/${there%%:*}" "$guest" > "$log" 2>&1
	is "${there#*:} where the socket should be: status" "$?" 125
	shows "${there#*:} where the socket should be: message" "${there#*:} is there already; take another path"
done
is "it is left alone" "$(cat "$work/file")" file
for address in 0.0.0.0:1 '[::]:1' 192.168.1.1:1 '[::ffff:10.0.0.1]:1' '[fe80::1]:1'; do
	timeout 20 "$VMM" --gdb "$address" "$guest" > "$log" 2>&1
	is "--gdb $address, which others could reach, is refused" "$?" 2
	shows "... and how to ask for it" "--gdb any:"
done
for address in 127.1.2.3:0 localhost:0 any:0 any:127.0.0.1:0 any:0.0.0.0:0; do
	timeout 20 "$VMM" --timeout 0.2 --gdb "$address" "$guest" > "$log" 2>&1
	is "--gdb $address is taken" "$?" 124
done
for address in '' x 70000 1.2.3:4 host:1 : any any: any:x any:any:1 any:host:1 1:2:3; do
	timeout 20 "$VMM" --gdb "$address" "$guest" > "$log" 2>&1
	is "--gdb '$address' is refused" "$?" 2
done
timeout 20 "$VMM" --timeout 0.3 --gdb 0 "$guest" > "$log" 2>&1
is "--timeout also ends the wait for gdb" "$?" 124
shows "it says where it waits" 'target remote 127.0.0.1:[0-9]+'

finish
