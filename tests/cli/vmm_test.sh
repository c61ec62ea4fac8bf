#!/usr/bin/env bash
# vmm's command line: every option, every refusal, every way a run can end.
#
#   tests/cli/vmm_test.sh        VMM and BUILD say where vmm and its test guests are
#
# TAP-like: "ok N - name", "not ok N - name" with details behind it, "# SKIP reason".  Status 0 when
# nothing failed.  Works on any KVM: where KVMs differ, a test says what all of them have in common.
set -u
cd "$(dirname "$0")/../.." || exit 125
BUILD=$(realpath "${BUILD:-build}") || exit 125
VMM=$(realpath "${VMM:-$BUILD/vmm}") || exit 125
guests=$BUILD/tests
here=$PWD
work=$(mktemp -d "${TMPDIR:-/tmp}/vmm_test.XXXXXX") || exit 125
trap 'rm -rf "$work"' EXIT
mkdir "$work/run" "$work/elf"
cd "$work/run" || exit 125

count=0 failed=0 skipped=0
pass() { echo "ok $((++count)) - $1"; }
skip() { echo "ok $((++count)) - $1 # SKIP $2" && : $((skipped++)); }
fail() { # name, details...
	echo "not ok $((++count)) - $1"
	shift
	printf '#   %s\n' "$@"
	: $((failed++))
}
# verdict NAME CONDITION [DETAILS]: for what is no plain run.
verdict() { if [ "$2" = 1 ]; then pass "$1"; else fail "$1" "${3:-}"; fi; }

out=$work/out err=$work/err status=0
# vmm with a limit that no test should come near; what it printed is in $out and $err.
vmm() {
	timeout --kill-after=2 "${LIMIT:-20}" "$VMM" "$@" > "$out" 2> "$err" < /dev/null
	status=$?
}
# expect NAME STATUS [STDERR [STDOUT]]: extended regular expressions; "" accepts all, "-" wants nothing.
matches() {
	case $1 in
	'') return 0 ;;
	-) [ ! -s "$2" ] ;;
	*) grep -Eq -- "$1" "$2" ;;
	esac
}
expect() {
	local wrong=()
	[ "$status" = "$2" ] || wrong+=("status $status, wanted $2")
	matches "${3-}" "$err" || wrong+=("stderr, wanted /$3/: $(head -c 300 "$err")")
	matches "${4-}" "$out" || wrong+=("stdout, wanted /$4/: $(head -c 300 "$out")")
	if grep -Eq 'AddressSanitizer|LeakSanitizer|runtime error:' "$err"; then
		wrong+=("$(grep -Em1 'Sanitizer|runtime error:' "$err")")
	fi
	if [ ${#wrong[@]} = 0 ]; then pass "$1"; else fail "$1" "${wrong[@]}"; fi
}
guest() { echo "$guests/$1.elf"; }

for g in hello exit42 flood; do
	[ -e "$(guest $g)" ] || { echo "Bail out! $(guest $g) is missing: make tests"; exit 1; }
done
summary() { # the end of the test
	echo "# $count tests, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
	exit
}

# ---- Usage ------------------------------------------------------------------------------------

vmm --help
expect "--help" 0 - '^Usage: vmm \[options\] GUEST\.ELF'
for o in mem pti no-pcid la57 timeout stats stats-file color quiet probe box version help; do
	grep -q -- "--$o" "$out" || fail "--help lists --$o"
done
vmm --version
expect "--version" 0 - '^vmm \(Ringscope\) [0-9]+\.[0-9]+'
"$VMM" --help > /dev/full 2> "$err"
status=$?
: > "$out"
expect "--help to a full device" 125
vmm
expect "no guest" 2 'no guest'
vmm ''
expect "empty guest name" 2 'empty'
for words in --nonsense --mem --mem=x -x --quiet=1; do
	vmm $words "$(guest hello)" && :
	expect "usage: $words" 2 "Try 'vmm --help'" -
done

usage() { # NAME STDERR OPTIONS...: refused with status 2 before anything else happens
	local name=$1 pattern=$2
	shift 2
	vmm "$@" /nonexistent/guest.elf
	expect "$name" 2 "$pattern" -
	grep -q "Try 'vmm --help'" "$err" || fail "$name points to --help"
}
for v in '' x 64X 64MB -1 +64M ' 64M' 0x100000 1.5G M; do
	usage "--mem '$v'" "--mem '.*': must be" --mem "$v"
done
for v in 0 0M 1 64 1023K 1048575; do usage "--mem $v" 'less than 1M' --mem "$v"; done
for v in 65G 1000000G 99999999999999999999 18446744073709551615G 17179869184G; do
	usage "--mem $v" 'more than 64G' --mem "$v"
done
usage "--mem 1048577" 'multiple of the page size' --mem 1048577
usage "--mem 64 explains itself" 'without K, M or G is bytes' --mem 64
for v in '' x 1s -1 +1 1e3 inf nan 0x10 1.2.3 . ' 1'; do
	usage "--timeout '$v'" "--timeout '.*': must be a number" --timeout "$v"
done
for v in 0 0.0 0.0001 10000001 99999999999999999999; do
	usage "--timeout $v" 'must be 0.001 to' --timeout "$v"
done
for v in '' yes AUTO onn; do usage "--pti '$v'" 'must be auto, on or off' --pti "$v"; done
for v in '' xml JSON; do usage "--stats '$v'" 'must be text, json or none' --stats "$v"; done
for v in '' red; do usage "--color '$v'" 'must be auto, always or never' --color "$v"; done
usage "--stats-file ''" 'must be the name' --stats-file ''
usage "--stats-file with --stats none" 'nothing to write' --stats none --stats-file f
vmm --probe "$(guest hello)"
expect "--probe with a guest" 2 'one too many' -
vmm "$(guest hello)" --quiet
expect "an option behind the guest" 2 'options come before'
vmm "$(guest hello)" word
expect "a word behind the guest" 2 "come after '--'"
vmm "$(guest hello)" -- "$(printf '%2048s' x)"
expect "guest arguments beyond the boot page" 2 'bytes: 2048 are possible'

if ! "$here/tests/have-kvm"; then
	vmm "$(guest hello)"
	expect "without a usable /dev/kvm: what is wrong, and what to do" 125 '/dev/kvm: .*;'
	skip "every test that runs a guest" "no usable /dev/kvm"
	summary
fi

# ---- Options that work ------------------------------------------------------------------------

vmm "$(guest hello)"
expect "a guest that says hello" 0 - '^hello from ring 0'
verdict "statistics come with it" "$(grep -q IO "$out" && echo 1)"
vmm --quiet "$(guest hello)"
expect "--quiet: the guest's words alone" 0 - '^hello from ring 0$'
verdict "--quiet: nothing else" "$([ "$(wc -l < "$out")" = 1 ] && echo 1)" "$(cat "$out")"
vmm --stats none "$(guest hello)"
verdict "--stats none" "$([ "$(wc -l < "$out")" = 1 ] && echo 1)" "$(cat "$out")"
vmm --quiet --stats json "$(guest exit42)"
expect "--quiet --stats json: the report was asked for" 42 - '"total"'
cpuid_features() { # of the processor that the last run's guest had, from its JSON report
	python3 -c 'import json, sys
print(sorted(set(json.load(open(sys.argv[1]))["host"]["cpuid_features"]) - {"AMD", "Intel"}))' "$out"
}
verdict "a guest that asks for nothing has a basic processor" "$([ "$(cpuid_features)" = "['NX']" ] && echo 1)" \
	"$(cpuid_features 2>&1)"
vmm --quiet --stats json "$(guest cpuid)"
expect "a guest with CPUID in its text sees all that KVM supports" 0 -
verdict "... and the report says so" "$([ "$(cpuid_features)" != "['NX']" ] && echo 1)" "$(cpuid_features 2>&1)"
for m in 2M 2048K 64m 1g 2097152 3076K 3G 3145732K 4G 8G 64G; do
	vmm --mem $m "$(guest boot)"
	expect "--mem $m" 0 - 'as the contract says'
done
vmm --mem 1M "$(guest hello)"
expect "--mem 1M: no room for a guest at 1 MiB" 125 'p_paddr .*outside RAM.*--mem'
vmm --mem 1040K "$(guest hello)"
expect "--mem 1040K: no room behind the image" 125 'no room in guest RAM.*--mem'
for p in auto on off; do
	vmm --pti $p "$(guest boot)"
	expect "--pti $p" 0 - 'as the contract says'
	vmm --pti $p --no-pcid "$(guest boot)"
	expect "--pti $p --no-pcid" 0 - 'as the contract says'
done
vmm --la57 "$(guest boot)"
if [ $status = 125 ]; then
	expect "--la57 where there is none" 125 'LA57|5-level' -
else
	expect "--la57" 0 - 'as the contract says'
fi
vmm --timeout 5 "$(guest hello)"
expect "--timeout that is not needed" 0 - '^hello'
vmm --color always "$(guest hello)"
verdict "--color always" "$(grep -q $'\033\\[' "$out" && echo 1)"
vmm --color never "$(guest hello)"
verdict "--color never" "$(grep -q $'\033' "$out" || echo 1)"
vmm --color auto "$(guest hello)"
verdict "--color auto, not a terminal" "$(grep -q $'\033' "$out" || echo 1)"
vmm "$(guest args)" --
expect "guest arguments: none" 0 - "^\[$(guest args)\]$"
vmm "$(guest args)" -- a '' 'b c' -- --mem
expect "guest arguments: as they are" 0 - '\[a\]\[\]\[b c\]\[--\]\[--mem\]$'
vmm --program p "$(guest args)" -- a b
expect "--program comes before the arguments" 0 - '\[p\]\[a\]\[b\]$'
vmm --program p "$(guest args)"
expect "--program alone" 0 - "^\[$(guest args)\]\[p\]$"
vmm -- "$(guest hello)"
expect "'--' before the guest" 0 - '^hello'
cp "$(guest hello)" ./-odd.elf
vmm ./-odd.elf
expect "a guest with an odd name" 0 - '^hello'
rm -f ./-odd.elf

# ---- How runs end -----------------------------------------------------------------------------

for s in 0 1 2 123; do
	vmm "$(guest status)" -- $s
	expect "status $s is the guest's own" $s -
done
for s in 124 125 126 127 128 200 255 256 4294967295; do
	vmm "$(guest status)" -- $s
	expect "status $s is not a guest's to give" 126 "ended with status $s: only 0 to 123"
done
vmm "$(guest exit42)"
expect "a status given as a byte" 42 -
vmm "$(guest halt)"
expect "a guest that halts" 0 'halted'
vmm --quiet "$(guest halt)"
expect "a guest that halts, --quiet" 0 -
for g in triple wild nostack guard readonly nx; do
	vmm "$(guest $g)"
	expect "a guest that dies: $g" 126 '[Tt]riple fault|SHUTDOWN' SHUTDOWN
done
vmm "$(guest hole)"
expect "a guest that runs where no memory is" 126 .
vmm "$(guest panic)" -- g
expect "a panic, with registers" 126 'has had enough.*|1111'
verdict "a panic's control characters stay in" "$(grep -q $'\033\\[31m' "$err" || echo 1)"
for a in n b l; do
	vmm "$(guest panic)" -- $a
	expect "a panic with bad registers or length ($a)" 126 'has had enough'
done
vmm "$(guest boot)"
expect "the state a guest is entered with" 0 - 'as the contract says'
vmm "$(guest liar)"
expect "a guest that lies in every field" 0 - 'every lie was answered'
vmm --quiet --stats json "$(guest liar)"
python3 - "$out" <<- 'PYTHON' 2> "$err"
	import json, sys
	text = open(sys.argv[1]).read()
	report = json.loads(text[text.index("{"):])
	flat = json.dumps(report)
	total = report["exits"]["total"]
	assert total == sum(r["count"] for r in report["exits"]["by_reason"].values()), flat
	assert report["guest"]["status"] == 0, flat
	PYTHON
status=$?
expect "what it lied about is counted" 0
vmm "$(guest mmio)"
expect "reads and writes where no memory is" 0 - MMIO
vmm "$(guest strings)"
expect "string port instructions" 0 - '^by outsb'
vmm --quiet "$(guest streams)"
expect "both output streams" 0 '^two$' '^one$'
"$VMM" --quiet "$(guest streams)" > "$work/both" 2>&1
verdict "both output streams, in order" "$([ "$(tr '\n' ' ' < "$work/both")" = "one two three " ] && echo 1)"
vmm "$(guest stac)"
if [ $status = 126 ]; then
	skip "STAC and CLAC in ring 0" "this CPU has no SMAP"
else
	expect "STAC and CLAC in ring 0" 0 - '^(native|completed)'
fi
LIMIT=60 vmm --timeout 20 "$(guest userhole)"
expect "ring 3 where KVM cannot emulate: #UD" 0 -
vmm --timeout 3 "$(guest userhole)" -- loop
if [ $status = 124 ]; then
	expect "the same for ever, by KVM itself" 124 'time-out'
else
	expect "the same for ever: it ends" 126 .
fi

# ---- Stopping ---------------------------------------------------------------------------------

before=${EPOCHREALTIME/./}
vmm --timeout 0.3 "$(guest spin)"
took=$(((${EPOCHREALTIME/./} - before) / 1000))
expect "--timeout stops a guest that spins" 124 'time-out after 0.3 s.* ring 0 at RIP 0x[0-9a-f]+' '^spinning'
verdict "--timeout: in time" "$([ $took -ge 300 ] && [ $took -lt 3000 ] && echo 1)" "$took ms"
verdict "--timeout: statistics all the same" "$(grep -q EINTR "$out" && echo 1)" "$(cat "$out")"
vmm --timeout 0.001 "$(guest spin)"
expect "--timeout 0.001" 124 'time-out'

stopped() { # NAME SIGNAL STATUS
	"$VMM" "$(guest spin)" > "$out" 2> "$err" < /dev/null &
	local pid=$!
	# The guest is running once KVM's vCPU file is open; then a moment more.
	for _ in $(seq 200); do
		[ -n "$(find "/proc/$pid/fd" -lname '*kvm-vcpu*' 2> /dev/null)" ] && break
		sleep 0.01
	done
	sleep 0.2
	kill "-$2" $pid
	wait $pid
	status=$?
	expect "$1" "$3" "stopped by signal" 'EINTR'
}
set -m # background jobs keep SIGINT
stopped "SIGINT stops it, with statistics" INT 130
set +m
stopped "SIGTERM stops it, with statistics" TERM 143
stopped "SIGHUP stops it, with statistics" HUP 129
(
	trap '' HUP
	exec "$VMM" --timeout 0.6 "$(guest spin)"
) > "$out" 2> "$err" &
pid=$!
sleep 0.3
kill -HUP $pid
wait $pid
status=$?
expect "a SIGHUP that was ignored before (nohup) stays ignored" 124 'time-out'

# ---- Output that cannot go out ----------------------------------------------------------------

timeout 20 "$VMM" "$(guest flood)" 2> "$err" | head -c 100 > /dev/null
status=${PIPESTATUS[0]}
: > "$out"
expect "a reader that goes away" 125 'standard output: Broken pipe'
timeout 20 "$VMM" "$(guest flood)" 2> "$err" > /dev/full
status=$?
expect "a full disk" 125 'standard output: No space'
timeout 20 "$VMM" "$(guest flood)" 2> "$err" >&-
status=$?
expect "standard output closed" 125 'standard output: Bad file descriptor'
timeout 20 "$VMM" "$(guest exit42)" 2> "$err" >&-
status=$?
expect "standard output closed, and only a report for it" 42 'report'
timeout 20 "$VMM" "$(guest exit42)" 2> "$err" > /dev/full
status=$?
expect "a report to a full disk: the guest's status counts" 42 'report.*No space'
timeout 20 "$VMM" "$(guest status)" -- 0 2> "$err" > /dev/full
status=$?
expect "a report to a full disk: no success" 125 'report.*No space'
timeout 20 "$VMM" --quiet "$(guest exit42)" <&- >&- 2>&-
status=$?
: > "$err"
expect "all standard streams closed" 42
mkfifo unread
exec 3<> unread # a reader that never reads
timeout 20 "$VMM" --timeout 0.5 "$(guest flood)" > unread 2> "$err"
status=$?
expect "--timeout stops a guest whose output nobody reads" 124 'time-out'
timeout 20 "$VMM" --quiet --timeout 0.3 "$(guest spin)" > unread 2> "$err"
status=$?
expect "--timeout, and the last words find no reader" 124 'nobody reads'
exec 3>&-
rm -f unread

"$VMM" --mem 4G --timeout 1.5 "$(guest flood)" > /dev/null 2>&1 &
pid=$!
sleep 1
rss=$(awk '/VmHWM/ { print $2 }' /proc/$pid/status 2> /dev/null)
wait $pid
case $VMM in
*asan*) skip "a guest that floods the console does not fill memory" "ASan's own memory is in the way" ;;
*) verdict "a guest that floods the console does not fill memory" "$([ "${rss:-99999}" -lt 12000 ] && echo 1)" \
	"resident: ${rss:-?} KiB of 4 GiB" ;;
esac

# ---- --stats-file -----------------------------------------------------------------------------

vmm --stats-file report.txt "$(guest hello)"
expect "--stats-file: the guest's words alone on stdout" 0 - '^hello from ring 0$'
verdict "--stats-file: the report is there" "$(grep -q IO report.txt && echo 1)"
verdict "--stats-file: an ordinary file" "$([ "$(stat -c %a report.txt)" = "$(printf %o $((0666 & ~$(umask))))" ] && echo 1)"
vmm --stats json --stats-file report.txt "$(guest exit42)"
expect "--stats-file replaces what was there" 42 - -
python3 -c 'import json; r = json.load(open("report.txt")); assert r["guest"]["status"] == 42'
status=$?
expect "--stats json --stats-file: one JSON object" 0
ln -s report.txt link
vmm --stats-file link "$(guest hello)"
verdict "--stats-file through a symbolic link" "$([ -L link ] && grep -q IO report.txt && echo 1)"
vmm --stats-file /dev/stderr "$(guest hello)"
expect "--stats-file /dev/stderr" 0 IO '^hello from ring 0$'
vmm --stats-file missing/report "$(guest hello)"
expect "--stats-file in a missing folder: before the guest runs" 125 'missing/report: cannot write: No such' -
mkdir folder
vmm --stats-file folder "$(guest hello)"
expect "--stats-file that is a folder" 125 'folder: cannot write: Is a directory' -
vmm --stats-file report.txt/x "$(guest hello)"
expect "--stats-file below a file" 125 'cannot write: Not a directory' -
vmm --stats-file /dev/full "$(guest hello)"
expect "--stats-file on a full disk" 125 '/dev/full: cannot write: No space' '^hello'
mkfifo fifo
vmm --stats-file fifo "$(guest hello)"
expect "--stats-file to a FIFO that nobody reads: before the guest runs" 125 'fifo: cannot write: nobody reads' -
{ vmm --stats-file fifo "$(guest hello)"; echo $status > "$work/status"; } &
cat fifo > "$work/read"
wait $!
verdict "--stats-file to a FIFO with a reader" "$([ "$(cat "$work/status")" = 0 ] && grep -q IO "$work/read" && echo 1)"
echo before > log
"$VMM" --stats-file /dev/stderr "$(guest streams)" 2>> log > "$out"
verdict "--stats-file /dev/stderr adds to what is there" "$(grep -q before log && grep -q two log && grep -q IO log && echo 1)"
if [ "$(id -u)" = 0 ]; then
	skip "--stats-file in a folder without permission" "root may write everywhere"
else
	chmod a-w folder
	vmm --stats-file folder/report "$(guest hello)"
	expect "--stats-file in a folder without permission" 125 'Permission denied' -
fi
rm -rf report.txt link folder log
verdict "nothing but the FIFO is left" "$([ "$(ls -A)" = fifo ] && echo 1)" "$(ls -A)"

# ---- Files that are no guests -----------------------------------------------------------------

vmm nowhere.elf
expect "a file that does not exist" 125 'nowhere.elf: cannot open: No such file' -
vmm .
expect "a directory" 125 'is a directory' -
vmm fifo
expect "a FIFO" 125 'not a regular file' -
vmm /dev/zero
expect "a device" 125 'not a regular file' -
vmm "$(command -v env)"
expect "an ordinary program" 125 'env: ' -
if [ "$(id -u)" != 0 ]; then
	cp "$(guest hello)" locked.elf && chmod 0 locked.elf
	vmm locked.elf
	expect "a file without permission" 125 'Permission denied' -
	rm -f locked.elf
fi

seed=$(($(date +%s) % 100000))
python3 "$here/tests/cli/badelf.py" "$work/elf" "${ELF_SEED:-$seed}"
(cd "$work/elf" && wc -l < cases.tsv) > "$work/total"
elf=0 elf_failed=0
while IFS=$'\t' read -r name want pattern; do
	: $((elf++))
	(cd "$work/elf" && timeout --kill-after=2 20 "$VMM" --stats none --timeout 1 "$name" > "$out" 2> "$err" < /dev/null)
	status=$?
	why=
	if [ "$want" = any ]; then
		[ $status -le 126 ] || why="status $status"
		[ $status != 125 ] || [ -s "$err" ] || why="status 125 and no message"
	else
		[ $status = "$want" ] || why="status $status, wanted $want"
		[ -z "$pattern" ] || grep -Eq -- "$pattern" "$err" || why="$why stderr, wanted /$pattern/"
	fi
	grep -Eq 'Sanitizer|runtime error:' "$err" && why="$why sanitizer"
	if [ -n "$why" ]; then
		: $((elf_failed++))
		fail "ELF file: $name" "$why" "$(head -c 300 "$err")"
	fi
done < "$work/elf/cases.tsv"
verdict "$elf broken and odd ELF files" "$([ $elf_failed = 0 ] && [ $elf = "$(cat "$work/total")" ] && echo 1)" \
	"$elf_failed were not answered as they should; ELF_SEED=${ELF_SEED:-$seed} repeats it"

# ---- Hosts without KVM ------------------------------------------------------------------------

if [ "$(id -u)" = 0 ] && unshare -m true 2> /dev/null; then
	# In a mount namespace of its own, /dev/kvm can be something else.
	other() { # NAME STDERR COMMAND...
		local name=$1 pattern=$2
		shift 2
		timeout 20 unshare -m sh -c "$1"' && exec "$@"' sh "$VMM" "$(guest hello)" > "$out" 2> "$err"
		status=$?
		expect "$name" 125 "$pattern" -
	}
	other "no /dev/kvm" '/dev/kvm: No such file.*modprobe.*--box amd' 'mount -t tmpfs none /dev'
	other "/dev/kvm is something else" 'this is not KVM.*--box amd' 'mount --bind /dev/null /dev/kvm'
	# Somebody else's copies: what is built here may lie where nobody else may look.
	chmod 755 "$work" "$work/run"
	cp "$VMM" "$work/run/vmm.copy" && cp "$(guest hello)" "$work/run/hello.elf"
	timeout 20 unshare -m sh -c 'mount -t tmpfs none /dev && mknod -m 600 /dev/kvm c 10 232 &&
		exec setpriv --reuid 65534 --clear-groups ./vmm.copy hello.elf' > "$out" 2> "$err"
	status=$?
	expect "/dev/kvm without permission" 125 '/dev/kvm: Permission denied.*usermod -aG kvm' -
	rm -f "$work/run/vmm.copy" "$work/run/hello.elf"
	case $VMM in
	*asan*) skip "no address space for guest RAM" "ASan needs more itself" ;;
	*)
		(ulimit -v 60000 && exec timeout 20 "$VMM" --mem 4G "$(guest hello)") > "$out" 2> "$err"
		status=$?
		expect "no address space for guest RAM" 125 'cannot map 4096 MiB.*--mem' -
		;;
	esac
else
	skip "hosts without KVM" "needs root and mount namespaces"
fi

# ---- Terminals -----------------------------------------------------------------------------------

# A terminal gets no sequence that it would obey; a pipe or a file gets the guest's bytes.
vmm --quiet "$(guest escapes)"
raw='1b5d303b7469746c65071b5b33316d7265649b306d7fc29b316dff2009c3a9e282ac0d0a'
for file in "$out" "$err"; do
	got=$(od -An -v -tx1 "$file" | tr -d ' \n')
	verdict "escape sequences into a file: as they are, ${file##*/}" "$([ "$got" = "$raw" ] && echo 1)" "$got"
done
cat > terminal.py << 'PYTHON'
"""What vmm writes to a terminal at descriptor 1 or 2."""
import os
import pty
import subprocess
import sys

terminal, side = pty.openpty()
keep, nothing = int(sys.argv[1]), subprocess.DEVNULL
vmm = subprocess.Popen(sys.argv[2:], stdin=nothing, stdout=side if keep == 1 else nothing, stderr=side if keep == 2 else nothing)
os.close(side)
got = b""
try:
    while chunk := os.read(terminal, 4096):
        got += chunk
except OSError:
    pass
assert vmm.wait() == 0, vmm.returncode
assert got == b"^[]0;title^G^[[31mred\\x9b0m^?\\xc2\\x9b1m\\xff \t\xc3\xa9\xe2\x82\xac\r\r\n", got
PYTHON
for fd in 1 2; do
	if command -v python3 > /dev/null; then
		got=$(python3 terminal.py $fd "$VMM" --quiet "$(guest escapes)" 2>&1)
		verdict "escape sequences on a terminal, descriptor $fd: shown, not obeyed" "$([ -z "$got" ] && echo 1)" "$got"
	else
		skip "escape sequences on a terminal" "no python3"
	fi
done
rm -f terminal.py

# ---- --probe ----------------------------------------------------------------------------------

LIMIT=120 vmm --probe
expect "--probe" 0 '' SYSCALL
LIMIT=120 vmm --probe --stats json
expect "--probe --stats json" 0 '' '^\{'

rm -f fifo
verdict "nothing is left behind" "$([ -z "$(ls -A)" ] && echo 1)" "$(ls -A)"
summary
