#!/usr/bin/env bash
# What vmm writes: former files stay whole, no reader holds it up, nothing is lost without a word, and a
# signal ends it in time, however it was started.
#
#   tests/cli/outputs_test.sh        VMM and BUILD say where vmm and its test guests are
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh" || exit 125
context() { head -c 600 "$work/err" 2> /dev/null; }
LIMIT=60
hello=$BUILD/tests/hello.elf spin=$BUILD/tests/spin.elf flood=$BUILD/tests/flood.elf
outputs=(stats-file trace report core inspect-file)

need_kvm "outputs"

# of OPTION FILE: the options that write FILE, and more, in a run that ends at once; the guest dies for a core.
of() {
	case $1 in
	inspect-file) echo --inspect "all" "--$1" "$2" "$hello" ;;
	core) echo "--$1" "$2" "$BUILD/tests/triple.elf" ;;
	*) echo "--$1" "$2" "$hello" ;;
	esac
}
run_of() { # OPTION FILE OPTIONS...
	local words
	read -ra words <<< "$(of "$1" "$2")"
	shift 2
	vmm --stats none "$@" "${words[@]}"
}
run_of_any() { # as run_of; --stats-file wants a report
	if [ "$1" = stats-file ]; then vmm --quiet --stats-file "$2" "${@:3}" "$hello"; else run_of "$@"; fi
}
holds() { # NAME FILE TEXT
	is "$1" "$(head -c 100 "$2" | tr -d '\0')" "$3"
}
no_temps() { # NAME
	is "$1" "$(find . -maxdepth 2 \( -name '.vmm-*' -o -name '*.tmp-*' \) | wc -l)" 0
}

# ---- Former files ---------------------------------------------------------------------------------------

for words in "--inspect pc=nosuch" "--anatomy callgate"; do
	echo precious > i.txt
	# shellcheck disable=SC2086 # two words
	vmm --stats none $words --inspect-file i.txt --timeout 30 "$guest" -- crash none
	expect "$words is refused" 125
	holds "... and the former file is there" i.txt precious
done
for o in "${outputs[@]}"; do
	echo precious > former
	chmod 600 former
	run_of_any "$o" former --timeout 30
	is "--$o replaces a former file" "$(grep -c precious former)" 0
	is "... which nobody else may read now either" "$(stat -c %a former)" 600
	rm -f former
	mkdir folder
	run_of_any "$o" folder
	expect "--$o that is a folder" 125 'folder: cannot write: Is a directory'
	run_of_any "$o" missing/file
	expect "--$o in a missing folder" 125 'missing/file: cannot write: No such file'
	rmdir folder
	mkfifo fifo
	LIMIT=10 run_of_any "$o" fifo
	expect "--$o to a FIFO that nobody reads" 125 'fifo: cannot write: nobody reads'
	rm fifo
	run_of_any "$o" /dev/full
	expected=125
	if [ "$o" = core ]; then expected=126; fi
	expect "--$o to a full disk" $expected '/dev/full: cannot write: No space'
done
vmm --core core "$BUILD/tests/triple.elf"
is "a core is its owner's" "$(stat -c %a core)" 600
echo precious > o
chmod 644 o
vmm --core o "$BUILD/tests/triple.elf"
is "... also in the place of what was not" "$(stat -c %a o)" 600
rm -f core o
ln -s nowhere dangling
vmm --quiet --stats-file dangling "$hello"
is "a link to nothing yet stays a link" "$([ -L dangling ] && [ -s nowhere ] && echo 1)" 1
rm -f dangling nowhere
if [ "$(stat -f -c %T /dev/shm 2> /dev/null)" = tmpfs ]; then
	shm=$(mktemp -d /dev/shm/outputs_test.XXXXXX)
	at_exit() { rm -rf "$shm"; }
	vmm --quiet --stats-file "$shm/new" "$hello"
	expect "a new file in /dev/shm" 0
	echo precious > "$shm/core"
	vmm --core "$shm/core" "$BUILD/tests/triple.elf"
	vmm --inspect-core "$shm/core"
	expect "a core in /dev/shm replaces what was there" 0 '' RIP
else
	skip "files in /dev/shm" "no tmpfs there"
fi

# ---- Not twice the same ---------------------------------------------------------------------------------

cp "$hello" g.elf
vmm --stats-file g.elf g.elf
expect "the guest's file is no output" 125 '--stats-file g.elf: is read by this run'
ln -s g.elf link.elf
vmm --trace link.elf g.elf
expect "... by another name" 125 '--trace link.elf: is read by this run'
cmp -s g.elf "$hello"
is "... and is whole" $? 0
vmm --stats-file x --trace ./x "$hello"
expect "one file for two outputs" 125 '--trace ./x: is the file of --stats-file'
touch y
vmm --report x --core y --trace y "$hello"
expect "... that is there" 125 'y: is the file of --trace'
timeout 20 "$VMM" --stats-file both "$hello" > both 2> err
status=$?
expect "standard output's file is no other output" 125 '--stats-file both: is a standard stream'
vmm --stats-file /dev/null --trace /dev/null --report /dev/null "$hello"
expect "/dev/null may be many" 0
timeout 20 "$VMM" --stats-file /dev/stdout --trace /dev/stdout "$hello" > both 2> err
status=$?
expect "/dev/stdout too" 0
is "... with all that was written to it" "$(grep -c -e '^hello' -e '^{"displayTimeUnit' -e '^  IO ' both)" 3
rm -f x y both g.elf link.elf

# ---- What cannot be replaced ----------------------------------------------------------------------------

if [ "$(id -u)" = 0 ] && unshare -m true 2> /dev/null; then
	echo "former, and a good deal longer than it will be" > mounted
	echo old > point
	# shellcheck disable=SC2016 # the inner shell's
	unshare -m sh -c 'mount --bind mounted point && exec timeout 20 "$@"' sh \
		"$VMM" --quiet --stats json --stats-file point "$hello" > out 2> err
	status=$?
	expect "a mounted file: written in place, and said" 0 'point: written in place'
	is "... and is one JSON object" "$(python3 -c 'import json; print(json.load(open("mounted"))["schema"])')" 1
	echo former > mounted
	# shellcheck disable=SC2016
	(ulimit -f 1 && unshare -m sh -c 'mount --bind mounted point && exec timeout 20 "$@"' sh \
		"$VMM" --quiet --stats json --stats-file point "$hello") 2>&1 | cat > err
	status=${PIPESTATUS[0]}
	expect "... that may not grow: no success" 125 'point: cannot write: File too large'
	holds "... and what was there is there" mounted former
	rm -f mounted point
else
	skip "a mounted file" "needs root and mount namespaces"
fi

mkdir gone
(sleep 0.4 && rm -r gone) &
vmm --quiet --timeout 1.2 --stats-file gone/new "$spin"
expect "a folder that goes away" 124 'gone/new: cannot write: No such file'
wait

# ---- Writing fails --------------------------------------------------------------------------------------

# Through a pipe, which may grow.
(ulimit -f 1 && exec timeout 60 "$VMM" --quiet --trace t.json --core core "$guest" -- crash fault) 2>&1 | cat > err
status=${PIPESTATUS[0]}
expect "a limit on the size of files" 126 't.json: cannot write: File too large'
has "... for a core too" "$(cat err)" "core: cannot write: File too large"
no_temps "... leaves nothing behind"
timeout 60 "$VMM" --quiet --inspect all "$hello" > out 2> /dev/full
is "--inspect to a full standard error is no success" $? 125
timeout 60 "$VMM" --quiet --anatomy syscall "$guest" > /dev/full 2> err
status=$?
: > out
expect "--anatomy to a full standard output" 125 'cannot write what --anatomy found to standard output: No space'
timeout 60 "$VMM" --quiet --map "$hello" > /dev/full 2> err
status=$?
expect "--map to a full standard output" 125 'standard output: No space'

# ---- Readers that do not read ---------------------------------------------------------------------------

ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
# in_time NAME LEAST MOST-MS BEGAN
# What takes too long takes for ever: a busy machine may take some time, an emulated one more.
patience=5
[ -z "${KVMBOX-}" ] || patience=20
[ -z "${EXACT-}" ] || patience=1
in_time() {
	local took=$(($(ms) - $4))
	verdict "$1" "$([ $took -ge "$2" ] && [ $took -lt $(($3 * patience)) ] && echo 1)" "$took ms"
}
mkfifo stalled
exec 3<> stalled # opened for reading, never read
head -c 65536 /dev/zero > stalled
for o in trace inspect-file; do
	began=$(ms)
	case $o in
	trace) vmm --quiet --timeout 1 --trace stalled "$guest" -- tour 100000 ;;
	*) vmm --quiet --timeout 1 --inspect all --inspect-file stalled "$guest" -- tour 100000 ;;
	esac
	expect "--$o whose reader stalls" 124 'stalled: cannot write: nobody reads it'
	in_time "... in time" 900 2500 "$began"
done
began=$(ms)
vmm --quiet --timeout 1 --core stalled "$spin"
expect "--core whose reader stalls" 124 'stalled: cannot write: nobody reads it'
in_time "... in time" 900 2500 "$began"
began=$(ms)
vmm --quiet --timeout 1 --stats-file stalled "$hello"
expect "a report whose reader stalls: the time runs out" 124 'stalled: cannot write: nobody reads it'
in_time "... in time" 900 2500 "$began"
began=$(ms)
timeout 20 "$VMM" --quiet --timeout 1 --inspect all "$guest" -- tour 100000 > out 2> stalled
is "standard error whose reader stalls" $? 124
in_time "... in time" 900 2500 "$began"
"$VMM" "$hello" > stalled 2> err & # it has ended, and its report waits
pid=$!
sleep 1
began=$(ms)
kill -TERM $pid
wait $pid
status=$?
expect "SIGTERM when the report waits for its reader" 143 'nobody reads'
in_time "... in time" 0 1500 "$began"
timeout 20 "$VMM" --quiet --cpus 2 --timeout 1 --trace stalled "$guest" -- processes 100000 10 > out 2> err
status=$?
expect "two CPUs, and nobody reads" 124 'stalled: cannot write: nobody reads it'
timeout 20 "$VMM" --timeout 20 "$flood" > stalled 2> err &
pid=$!
sleep 1
began=$(ms)
kill -TERM "$(pgrep -P $pid -x "$(basename "$VMM")" || echo $pid)" # timeout(1) passes it on as well
wait $pid
status=$?
expect "SIGTERM, and nobody reads" 143 'nobody reads'
in_time "... in time" 0 1500 "$began"
exec 3<&-

# start.py HOW COMMAND...: starts it in a state of that kind; prints how it ended and what it printed.
cat > start.py << 'PYTHON'
import fcntl, os, resource, signal, subprocess, sys, time
how, command = sys.argv[1], sys.argv[2:]
def prepare():
    if how == "blocked":
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    elif how == "cpu":
        resource.setrlimit(resource.RLIMIT_CPU, (1, 30))
    elif how == "alarm":
        signal.setitimer(signal.ITIMER_REAL, 1)
reading, writing = os.pipe()
if how == "nonblocking":
    fcntl.fcntl(writing, fcntl.F_SETFL, os.O_NONBLOCK)
child = subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE, preexec_fn=prepare)
os.close(writing)
if how == "nonblocking":
    time.sleep(1)
elif how.startswith("kill"):
    time.sleep(float(how.split("=")[1]))
    child.send_signal(int(how.split("=")[2]))
total = 0
while got := os.read(reading, 65536):
    total += len(got)
errors = child.stderr.read().decode(errors="replace")
print(child.wait(), total, errors)
PYTHON
start() { timeout 120 python3 start.py "$@"; }

# ---- How it was started, and what comes from outside ------------------------------------------------------

got=$(start blocked "$VMM" --quiet --timeout 1 "$spin")
has "signals blocked when it was started: --timeout ends it" "$got" "124 "
got=$(start nonblocking "$VMM" --quiet "$BUILD/tests/outs.elf")
has "a non-blocking standard output" "$got" "0 "
got=$(start nonblocking "$VMM" --quiet --trace /dev/stdout "$guest" -- tour 2000)
is "... with more than a pipe holds" "$(echo "$got" | awk 'NR == 1 { print $1, ($2 > 200000) }')" "0 1"
got=$(start cpu "$VMM" --quiet "$spin")
has "a soft limit of CPU time: status 128 + SIGXCPU" "$got" "152 "
has "... and a message" "$got" "stopped by signal 24"
got=$(start alarm "$VMM" --quiet "$spin")
has "an alarm of who started it" "$got" "142 "
echo former > f
for signal in 1 2 3 10 12 13 14 15 26 27 29 30; do
	case $signal in
	13) wanted=124 ;; # SIGPIPE is no reason to end
	*) wanted=$((128 + signal)) ;;
	esac
	got=$(start kill=0.4=$signal "$VMM" --quiet --timeout 1.5 --stats-file f --trace t --core core "$spin")
	is "signal $signal: status" "${got%% *}" $wanted
	if [ $signal != 13 ]; then has "... and a message" "$got" "stopped by signal $signal"; fi
done
no_temps "no signal leaves anything behind"
rm -f f t core
silent=0 odd=0
for n in $(seq 0 19); do
	echo former > f
	got=$(start "kill=0.00$((n / 2))=15" "$VMM" --quiet --stats none --report f "$spin")
	case $got in
	-15\ *) ;; # before main
	143\ *) [[ $got == *SIGTERM* || $got == *"signal 15"* ]] || silent=$((silent + 1)) ;;
	*) odd=$((odd + 1)) ;;
	esac
done
is "SIGTERM in the first milliseconds: a status" $odd 0
is "... and a message" $silent 0
no_temps "... and nothing is left behind"
got=$(start kill=0.5=9 "$VMM" --quiet --trace t --stats-file f --core core "$spin")
no_temps "SIGKILL leaves nothing behind"
(
	umask 0777
	exec timeout 20 "$VMM" --quiet --stats-file masked "$hello"
) > out 2> err
status=$?
expect "a umask that takes all" 0
is "... and is kept" "$(stat -c %a masked)" 0

finish
