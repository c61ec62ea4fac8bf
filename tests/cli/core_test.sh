#!/usr/bin/env bash
# --core and --inspect-core, with Debian's gdb as the judge of what is in the file.
#
#   tests/cli/core_test.sh        VMM and BUILD say where vmm and guest.elf are
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh" || exit 125

# Runs vmm with these words and sends it the signal once it catches SIGQUIT.
signalled() { # SIGNAL WORDS...
	local signal=$1 caught i
	shift
	"$VMM" --timeout 60 "$@" > out 2> err < /dev/null &
	for ((i = 0; i < 300; i++)); do
		caught=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$!/status" 2> /dev/null)
		if ((16#${caught:-0} & 4)); then break; fi
		sleep 0.1
	done
	kill -"$signal" $!
	wait $!
	status=$?
}

# ---- Usage, and files that are no core: no KVM is needed --------------------------------------------

vmm --core '' "$guest"
expect "--core ''" 2 'must be the name of a file'
vmm --core a --inspect-core b
expect "--core with --inspect-core" 2 'no guest runs'
vmm --inspect-core a --map --at boot
expect "--inspect-core with --at" 2 'one moment'
vmm --inspect-core /nonexistent
expect "--inspect-core of nothing" 125 'cannot open'
vmm --inspect-core "$work"
expect "--inspect-core of a folder" 125 'no regular file'
vmm --inspect-core "$guest"
expect "--inspect-core of an ELF file that is no core" 125 'is no core: its e_type is 2'
: > empty
vmm --inspect-core empty
expect "--inspect-core of an empty file" 125 'truncated, or no core'

need_kvm "cores of a guest"
vmm --core /nonexistent/core "$guest"
expect "a core that cannot be written, before the guest runs" 125 '/nonexistent/core'

# ---- A panic ------------------------------------------------------------------------------------------

vmm --quiet --pti on --core panic "$guest" -- crash fault
expect "a panic leaves a core" 126 'the guest died: panic'
verdict "the core is there" "$([ -s panic ] && echo 1)"
verdict "it has holes" "$([ "$(du -k panic | cut -f1)" -lt 4096 ] && [ "$(stat -c %s panic)" -gt 60000000 ] && echo 1)" \
	"$(ls -ls panic)"
vmm --inspect-core panic --map --audit --walk kernel_start "$guest"
expect "--inspect-core: state, map, audit, without KVM" 0 '' 'Registers, as the guest had saved them'
verdict "... both roots" "$(grep -q 'user root' out && grep -Eq 'Audit at .* 0 broken' out && echo 1)" "$(grep ^Audit out)"
vmm --inspect-core panic
expect "... and without the guest's file" 0 '' '^Core of .*guest.elf'
vmm --inspect-core panic --inspect-format json --audit
verdict "... as JSON Lines" "$(python3 -c '
import json, sys
lines = [json.loads(l) for l in open("out")]
assert [l["look"] for l in lines] == ["state", "audit"], lines
assert lines[0]["end"] == "PANIC" and int(lines[0]["registers"]["rip"], 16) >> 63' 2>&1 && echo 1)"

# RAM beyond 4 GiB, where the guest's frames then are, and the hole below it.
vmm --quiet --mem 8G --pti on --core high --map --audit "$guest" -- crash fault
expect "a panic with 8 GiB" 126
verdict "... its core has holes" "$([ "$(du -k high | cut -f1)" -lt 8192 ] && [ "$(stat -c %s high)" -gt 9663676416 ] && echo 1)" \
	"$(ls -ls high)"
grep -a -e 'direct map of RAM' -e 'user stack' out > live
vmm --inspect-core high --map --audit --walk kernel_start "$guest"
expect "... is read" 0 '' '8 GiB of RAM'
verdict "... and has both parts of RAM" "$(grep -a -e 'direct map of RAM' -e 'user stack' out | cmp -s live - &&
	[ "$(grep -c 'direct map of RAM' live)" = 2 ] && grep -Eq 'Audit at .* 0 broken' out && echo 1)" "$(cat live)"
vmm --inspect-core high --inspect-format json
verdict "... as JSON" "$(python3 -c '
import json
assert json.loads(open("out").readline())["ram"] == 8 << 30' 2>&1 && echo 1)" "$(head -c 300 out)"
if command -v gdb > /dev/null; then
	timeout 60 gdb -nx -batch -ex 'x/1xg 0xffff8880bffffff8' -ex 'x/1xg 0xffff888100000000' -ex 'x/1xg 0xffff8880c0000000' \
		"$guest" high > out 2>&1
	expect "... gdb reads what is RAM" 0 '' '^0xffff8880bffffff8:.*0x'
	verdict "... and nothing else" "$(grep -q '^0xffff888100000000:.*0x' out && grep -q 'Cannot access memory at address 0xffff8880c0000000' out &&
		echo 1)" "$(tail -n 3 out)"
fi
rm -f high

# The same questions to the live machine and to its core.
vmm --quiet --pti on --core twin --map --audit --walk kernel_start "$guest" -- crash fault
sed -n '/^0x/,/^Audit/p' out | grep -v -e '^Audit' -e KVM_TRANSLATE > live
vmm --inspect-core twin --map --audit --walk kernel_start "$guest"
sed -n '/^0x/,/^Audit/p' out | grep -v '^Audit' > later
verdict "the core answers as the machine did" "$([ -s live ] && cmp -s live later && echo 1)" "$(diff live later | head -n 5)"

# ---- gdb ------------------------------------------------------------------------------------------------

if ! command -v gdb > /dev/null; then
	skip "gdb opens it" "no gdb here (make deps)"
else
	# shellcheck disable=SC2016 # $rip is gdb's
	timeout 60 gdb -nx -batch -ex 'info registers rip rsp cs' -ex bt -ex 'x/i $rip' \
		-ex 'output/x *(unsigned long *)0xffffffffb0000000' -ex 'echo \n' \
		-ex 'output/x *(unsigned long *)0xffff888000000000 == *(unsigned long *)0' -ex 'echo \n' \
		-ex 'info threads' -ex 'x/2i 0x400000' "$guest" panic > gdb.txt 2>&1
	verdict "gdb opens the core with guest.elf" "$(grep -q 'Core was generated by' gdb.txt && echo 1)" "$(head -n 5 gdb.txt)"
	verdict "gdb: registers of the place that faulted" "$(grep -Eq '^rip .*<crash\+' gdb.txt && echo 1)" "$(grep ^rip gdb.txt)"
	verdict "gdb: a backtrace down to the entry code" \
		"$(grep -Eq '^#[0-9]+ .*null_write' gdb.txt && grep -Eq '^#[0-9]+ .*(vector_entry|syscall_entry)' gdb.txt && echo 1)" \
		"$(grep '^#' gdb.txt)"
	verdict "gdb: the boot page's magic" "$(grep -q '^0x65706f6373676e69' gdb.txt && echo 1)" "$(cat gdb.txt)"
	verdict "gdb: ring 3 code at its address" "$(grep -Eq '^ *0x400000 <user_start>' gdb.txt && echo 1)" "$(tail -n 3 gdb.txt)"
fi

# ---- Other ends -----------------------------------------------------------------------------------------

vmm --quiet --core triple "$guest" -- crash triple
expect "a triple fault leaves a core" 126 'triple fault'
vmm --inspect-core triple --map "$guest"
expect "... that can be looked at" 0 '' 'end SHUTDOWN'
if [ -e "$BUILD/tests/spin.elf" ]; then
	vmm --quiet --timeout 0.3 --core late "$BUILD/tests/spin.elf"
	expect "a time-out leaves a core" 124
	verdict "... a readable one" "$("$VMM" --inspect-core late > /dev/null && echo 1)"
	signalled QUIT --quiet --core quit "$BUILD/tests/spin.elf"
	expect "SIGQUIT leaves a core and ends the run" 131 'signal 3'
	verdict "... a readable one" "$("$VMM" --inspect-core quit > /dev/null && echo 1)"
	signalled TERM --quiet --core term "$BUILD/tests/spin.elf"
	expect "SIGTERM ends it" 143
	verdict "... and leaves none" "$([ ! -e term ] && echo 1)"
fi
LIMIT=600 vmm --quiet --core good "$guest" -- check
verdict "a good end leaves none" "$([ "$status" = 0 ] && [ ! -e good ] && echo 1)"
echo old > kept
vmm --quiet --core kept "$guest" -- check
verdict "... and what was there stays" "$([ "$(cat kept)" = old ] && echo 1)"
mkfifo pipe
cat pipe > piped &
vmm --quiet --core pipe "$guest" -- crash fault
wait $!
verdict "through a pipe it is the same file without holes" "$("$VMM" --inspect-core piped > /dev/null 2>&1 && echo 1)" \
	"$(ls -ls piped)"
if [ -w /dev/full ]; then
	vmm --quiet --core /dev/full "$guest" -- crash fault
	expect "a full device is said" 126 'cannot write'
fi

# ---- Hostile cores --------------------------------------------------------------------------------------

# Each must end by itself with 0 or 125, and say why.
cat > spoil.py <<'PY'
import random, subprocess, sys
vmm, core, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
random.seed(20)
head = open(core, 'rb').read(16384)
bad = 0
def ask(name):
    global bad
    run = subprocess.run([vmm, '--inspect-core', 'spoiled', '--map', '--audit', '--walk', '0x400000'],
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60)
    if run.returncode not in (0, 125) or b'Sanitizer' in run.stderr or b'runtime error' in run.stderr:
        print(name, 'status', run.returncode, run.stderr[:300]); bad += 1
subprocess.run(['cp', '--sparse=always', core, 'spoiled'], check=True)
for round in range(rounds):
    data = bytearray(head)
    for _ in range(random.choice((1, 1, 2, 8, 64))):
        at = random.randrange(random.choice((64, 512, 6000)))
        data[at] = random.choice((0, 1, 0x7f, 0x80, 0xff, random.randrange(256)))
    with open('spoiled', 'r+b') as f:
        f.write(data)
    ask(f'round {round}')
for size in (1, 63, 64, 120, 4095, 4096, 8192, 70000, 1 << 20, (64 << 20) - 1):
    subprocess.run(['cp', '--sparse=always', core, 'spoiled'], check=True)
    with open('spoiled', 'r+b') as f:
        f.truncate(size)
    ask(f'truncated to {size}')
with open('spoiled', 'wb') as f:
    f.write(random.randbytes(65536))
ask('random bytes')
sys.exit(bad != 0)
PY
spoilt=$(timeout 300 python3 spoil.py "$VMM" panic "${SPOIL_ROUNDS:-100}" 2>&1) && good=1 || good=0
verdict "spoiled cores: a message, never a crash or a hang" "$good" "$spoilt"

finish
