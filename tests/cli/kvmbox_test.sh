#!/usr/bin/env bash
# What tools/kvmbox promises, checked with the AMD box and its userland only, so that a failure
# here is a failure of the box and not of the program in it; and one run of the Intel box. Prints TAP lines.
set -uo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
kvmbox=$top/tools/kvmbox
cache=${BUILD:-build}/kvmbox
[[ $cache == /* ]] || cache=$top/$cache

number=0 failed=0
ok() { printf 'ok %d - %s\n' $((++number)) "$1"; }
not_ok() {
  printf 'not ok %d - %s\n' $((++number)) "$1"
  failed=1
}
skip() { printf 'ok %d - %s # SKIP %s\n' $((++number)) "$1" "$2"; }

# same NAME GOT WANTED
same() {
  if [[ $2 == "$3" ]]; then
    ok "$1"
  else
    not_ok "$1"
    printf '# got:    %q\n# wanted: %q\n' "$2" "$3"
  fi
}

# has NAME TEXT PART
has() {
  if [[ $2 == *"$3"* ]]; then
    ok "$1"
  else
    not_ok "$1"
    printf '# got:    %q\n# wanted: ...%q...\n' "$2" "$3"
  fi
}

# Waits until FILE holds TEXT; fails after 60 s.
wait_for() {
  local tries
  for ((tries = 0; tries < 600; tries++)); do
    if grep -qs -- "$2" "$1"; then return 0; fi
    sleep 0.1
  done
  return 1
}

# What a run has left: processes that have its mark in their environment, and what lies in the cache besides
# entries.  A moment is allowed for processes that have been killed to be gone.
mark=kvmbox-test-$$
left() {
  local tries found entry pid
  for ((tries = 0; tries < 50; tries++)); do
    found=$(grep -l "KVMBOX_TEST=$mark" /proc/[0-9]*/environ 2>/dev/null | grep -v "/$$/\|/self/" | tr '\n' ' ')
    for entry in "$cache"/new.*; do
      pid=${entry##*/new.} pid=${pid%%.*}
      # Others may be making something there meanwhile.
      if [[ -e $entry && ! -d /proc/$pid ]]; then found+="$entry "; fi
    done
    [[ $found ]] || return 0
    sleep 0.1
  done
  echo "$found"
}
# Only what is started with it has the mark, and not this script.
marked() { KVMBOX_TEST=$mark exec "$@"; }

scratch=$(mktemp -d)
# Not in a child that a signal ends before it has become something else.
trap '[[ $BASHPID != "$$" ]] || rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1 # from any folder, and --get lands here

usage_error() {
  local text
  text=$("$kvmbox" "${@:3}" 2>&1 </dev/null)
  same "usage: $1: status" $? 2
  has "usage: $1: message" "$text" "$2"
}

test_usage() {
  usage_error "no box" "which box"
  usage_error "unknown box" "no box 'arm'" arm -- true
  usage_error "no command" "no command" amd --
  usage_error "-- left out" "put -- before" amd ls
  usage_error "unknown option" "no option --fast" --fast amd -- true
  usage_error "value missing" "needs a value" --timeout
  usage_error "timeout no number" "not a whole number" --timeout soon amd -- true
  usage_error "CPUs of the Intel box" "1 CPU" --smp 2 intel -- true
  usage_error "CPUs of the exact box" "has 1 CPU" --exact --smp 2 amd -- true
  usage_error "timers of the Intel box" "delivers no interrupt twice" --coarse intel -- true
  usage_error "input of the Intel box" "no standard input" -i intel -- true
  usage_error "a model that is a program" "letters, digits" --cpu 'x;e touch /tmp/x' amd -- true
  usage_error "--file to a place outside" "outside the folder" --file "$kvmbox:../../../etc/x" amd -- true
  usage_error "--file to an absolute place" "outside the folder" --file "$kvmbox:/etc/x" amd -- true
  usage_error "--forward for everybody" "this machine itself" --forward 0.0.0.0:1234 amd -- true
  usage_error "--get of nothing" "wanted FILE" --get :x amd -- true
  has "--help explains" "$("$kvmbox" --help)" "exit status:"
}

# Everything that one boot can show.
test_one_boot() {
  local script status first
  # shellcheck disable=SC2016 # the shell in the box is to expand it
  printf 'a\0b\r\n\377' >data
  script='printf "%s|" "$@"; echo; cat data; echo loud >&2; [ -c /dev/kvm ] && echo kvm there
    head -c 300000 /dev/urandom >made; sha256sum <made; printf "x\0y\r\nz" >"small one"; exit 42'
  # shellcheck disable=SC2016 # nobody is to expand it
  "$kvmbox" --quiet --file data --get made --get "small one:small" --get absent amd -- \
    sh -c "$script" name 'a  b' "it's \"q\"" '$HOME *' '' >out 2>err
  status=$?
  same "exit status comes out" $status 42
  same "arguments arrive as they are" "$(head -n 1 out)" "a  b|it's \"q\"|\$HOME *||"
  first=$(head -n 1 out | wc -c)
  if tail -c +$((first + 1)) out | head -c 6 | cmp -s - data; then
    ok "standard output is exact to the byte"
  else
    not_ok "standard output is exact to the byte"
  fi
  has "the command has /dev/kvm" "$(tr -d '\0' <out)" "kvm there"
  same "standard error apart, and what --get missed" "$(cat err)" \
    $'loud\nkvmbox: the command left no absent'
  same "--get is exact to the byte" "$(sha256sum <made)" "$(grep -a ' -$' out)"
  if printf 'x\0y\r\nz' | cmp -s - small; then ok "--get under another name"; else not_ok "--get under another name"; fi
}

# A command finds itself as if nothing had been done before it; and how long that takes can be measured.
test_start() {
  local text
  # shellcheck disable=SC2016 # the shell in the box is to expand it
  text=$("$kvmbox" --quiet amd -- bash -c 'echo $0 $BASH; exec 9</proc/self/fd; ls /proc/$$/fd | tr "\n" " "; echo
    grep SigIgn /proc/self/status; grep -c . /proc/mounts; ls -A /mnt; ps -o stat= -p $$; trap "exit 3" INT; kill -INT $$' 2>&1)
  same "a command has its name, its three descriptors, no ignored signals, one root, a session" "$? $text" \
    "3 bash /usr/bin/bash"$'\n'"0 1 2 9 "$'\n'$'SigIgn:\t0000000000000000\n6\nSs'
  text=$("$kvmbox" --quiet amd -- no-such-program 2>&1)
  same "a command that is not there" "$? $text" "127 kvmbox: no-such-program: not found"
  text=$("$top/tests/bench/ready" --rounds 1 2>&1)
  same "bench: the box's rows" "$(grep -cE '^amd box (ready|done) +[0-9.]+ +[0-9.]+ +[0-9.]+$' <<<"$text")" 2
}

# The first line must be here while the command still runs; Ctrl-C then leaves nothing behind.
test_live_and_interrupt() {
  local pid status signal
  for signal in INT TERM; do
    : >out
    # Job control, or the shell would have it ignore SIGINT.
    set -m
    (marked "$kvmbox" --quiet amd -- sh -c 'echo first; sleep 1000') >out 2>err &
    pid=$!
    set +m
    if wait_for out first; then ok "output comes live ($signal)"; else not_ok "output comes live ($signal)"; fi
    kill -"$signal" "$pid"
    wait "$pid"
    status=$?
    same "$signal: status" $status $((128 + $(kill -l "$signal")))
    same "$signal: nothing left" "$(left)" ""
  done
}

# A command may do something about a signal; its files come out.
test_signal_taken() {
  local pid status
  : >out
  set -m
  "$kvmbox" --quiet --get note amd -- bash -c 'trap "echo taken >note; exit 9" TERM; echo first; while :; do sleep 0.1; done' >out 2>err &
  pid=$!
  set +m
  wait_for out first
  kill "$pid"
  wait "$pid"
  status=$?
  same "a command takes a signal: its status, its file" "$status $(cat note)" "9 taken"
}

test_timeout_and_order() {
  local status text wanted
  # shellcheck disable=SC2016 # the shell in the box is to expand it
  text=$("$kvmbox" --quiet --timeout 12 --get made amd -- sh -c \
    'for i in 1 2 3; do echo out $i; echo err $i >&2; done; echo half >made; exec sleep 1000' 2>&1)
  status=$?
  wanted=$'out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n'
  same "--timeout: status" $status 124
  same "--timeout: message, and both outputs in order" "$text" \
    "${wanted}kvmbox: time limit of 12 s reached, stage: command"
  same "--timeout: files come out all the same" "$(cat made)" half
}

# What a person and the tests find there.
test_userland() {
  local script
  # shellcheck disable=SC2016
  script='for program in bash python3 gdb strace ls awk; do command -v $program; done
    bash --version; python3 --version; gdb --version; strace --version; ls --version'
  PATH=/usr/bin:/bin sh -c "$script" | grep -v '^ *$' >here
  "$kvmbox" --quiet --get-if none amd -- sh -c "$script" 2>err | grep -v '^ *$' >there
  if diff here there >difference; then
    ok "bash, python3, gdb, strace, coreutils: the same places and versions as here"
  else
    not_ok "bash, python3, gdb, strace, coreutils: the same places and versions as here"
    sed 's/^/# /' difference
  fi
  same "--get-if of what is not there is no error" "$(cat err)" ""
  "$kvmbox" --quiet --tree amd -- sh -c 'cd .. && ls tests/run tools/kvmbox shared/pt.h && ./tests/run --list | head -n 1' >there 2>&1
  same "--tree: the project's own folders" "$(tr '\n' ' ' <there)" "shared/pt.h tests/run tools/kvmbox torture_amd "
}

# Fresh and the same for each; this machine's files are safe.
test_isolation() {
  python3 - "$cache" >before <<'PYTHON'
import glob, json, os, sys
found = {}
for path in glob.glob(sys.argv[1] + "/*/manifest.json"):
    folder = os.path.dirname(path)
    found[folder] = {"files": {name: {"size": now.st_size, "time": now.st_mtime_ns, "ino": now.st_ino}
                               for name in json.load(open(path))["files"] for now in [os.stat(os.path.join(folder, name))]}}
json.dump(found, sys.stdout)
PYTHON
  # shellcheck disable=SC2016
  "$kvmbox" --quiet amd -- bash -c 'ls /etc/mark /tmp/mark 2>/dev/null; touch /etc/mark /tmp/mark; rm -rf /usr/share
    for drive in /dev/vd?; do { printf x | dd of=$drive conv=notrunc; } 2>/dev/null && echo wrote $drive; done
    mount -o remount,rw /dev/vda /mnt 2>/dev/null && echo remounted; cat /proc/sys/kernel/random/boot_id' >out1 2>&1
  "$kvmbox" --quiet amd -- bash -c 'ls -d /etc/mark /tmp/mark 2>/dev/null; ls -d /usr/share; cat /proc/sys/kernel/random/boot_id' >out2 2>&1
  same "nothing of one run is in the next one" "$(head -n 1 out2)" /usr/share
  same "no drive can be written" "$(grep -c . out1)" 1
  "$kvmbox" --quiet --log log amd -- true
  same "no start boots a kernel" "$(grep -c 'Linux version' log)" 0
  # Other runs may make and forget entries meanwhile: what was there and still is must be as it was.
  same "what is kept is as it was" "$(python3 - before "$cache" <<'PYTHON'
import glob, json, os, sys
for path, manifest in json.load(open(sys.argv[1])).items():
    try:
        for name, was in manifest["files"].items():
            now = os.stat(os.path.join(path, name))
            if (now.st_size, now.st_mtime_ns, now.st_ino) != (was["size"], was["time"], was["ino"]):
                print("changed:", path, name)
    except FileNotFoundError:
        pass
PYTHON
    )" ""
}

# Where things lie, and how they come back.
test_files() {
  local status text
  mkdir -p place/deep
  echo in >place/deep/input
  text=$("$kvmbox" --quiet --here --file place/deep/input --file /etc/hostname --get made/x:back amd -- \
    sh -c 'pwd; cat place/deep/input /etc/hostname; mkdir -p made; echo out >made/x' 2>&1)
  same "--here: the same places" "$text" "$PWD"$'\n'"in"$'\n'"$(cat /etc/hostname)"
  same "--here: --get" "$(cat back)" out
  # shellcheck disable=SC2016
  "$kvmbox" --quiet --get results amd -- sh -c 'mkdir -p results/a; echo 1 >results/a/one; ln -s /etc/passwd results/link
    chmod 755 results/a/one; mkdir results/empty'
  same "--get of a folder" "$(cd results && find . | sort | tr '\n' ' ')" ". ./a ./a/one ./empty "
  echo former >kept
  chmod 600 kept
  ln -s kept link
  "$kvmbox" --quiet --get made:link amd -- sh -c 'echo new >made'
  same "--get through a link, with the former file's mode" "$(cat kept) $(stat -c %a kept) $(readlink link)" "new 600 kept"
  if [[ $(id -u) == 0 ]] && mkdir full && mount -t tmpfs -o size=64k none full 2>/dev/null; then
    echo former >full/file
    text=$("$kvmbox" --quiet --get made:full/file amd -- sh -c 'head -c 300000 /dev/zero >made' 2>&1)
    status=$?
    same "--get to a full disk: status, and the former file" "$status $(cat full/file) $(ls -A full)" "125 former file"
    has "--get to a full disk: why" "$text" "No space left"
    umount full
  else
    skip "--get to a full disk" "needs root and a tmpfs"
  fi
  text=$("$kvmbox" --quiet --get made:no/such/place amd -- sh -c 'echo 1 >made' 2>&1)
  same "--get to nowhere" "$? $text" "125 kvmbox: cannot write no/such/place (--get): No such file or directory"
}

test_input_and_terminal() {
  local text
  same "-i: standard input" "$(printf 'a\0b' | "$kvmbox" --quiet -i amd -- sh -c 'cat; echo end' | od -An -c | tr -d ' \n')" 'a\0bend\n'
  same "without: none" "$(echo something | "$kvmbox" --quiet amd -- cat)" ""
  # The program inside waits for its signals: one that comes between a look and a blocking call would not be seen.
  text=$(python3 - "$kvmbox" 2>&1 <<'PYTHON'
import fcntl, os, pty, struct, sys, termios
INSIDE = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGWINCH})
print("size", *os.get_terminal_size())
print(os.environ["TERM"], sys.stdin.isatty() and sys.stdout.isatty() and "terminal")
print("ready")
print("took", signal.sigwait({signal.SIGINT}).name)
while os.get_terminal_size() != (50, 20):
    print("took", signal.sigwait({signal.SIGWINCH}).name)
print("got", input())
sys.exit(7)
"""
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 37, 111, 0, 0))
    os.environ["TERM"] = "vt100"
    os.execv(sys.argv[1], [sys.argv[1], "--quiet", "amd", "--", "python3", "-u", "-c", INSIDE])
heard = b""
def until(text):
    global heard
    while text not in heard:
        try:
            heard += os.read(terminal, 1000)
        except OSError:
            sys.exit(f"it ended, {text} was not said: {heard}, {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}")
until(b"ready")
os.write(terminal, b"\x03")
until(b"took SIGINT")
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 50, 0, 0))
until(b"took SIGWINCH")
os.write(terminal, b"words\r")
until(b"got words")
said = heard.decode()
print("size 111 37" in said, "vt100 terminal" in said,
      os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PYTHON
  )
  same "a terminal's size, kind, Ctrl-C, changes, input" "$text" "True True 7"
}

# Its clock counts instructions, and does not run ahead while it waits for a drive.
test_exact() {
  local text
  # shellcheck disable=SC2016 # the shell in the box is to expand it
  text=$("$kvmbox" --quiet --exact amd -- bash -c 'now() { read -r now _ </proc/uptime; now=${now%.*}; }
    now; began=$now; cat /usr/bin/gdb /usr/bin/ssh /usr/lib/x86_64-linux-gnu/libc.so.6 | wc -c; now
    [ $((now - began)) -lt 10 ] || echo "$((now - began)) s"' 2>&1)
  same "--exact: reading from a drive takes little of the box's time" "$text" \
    "$(cat /usr/bin/gdb /usr/bin/ssh /usr/lib/x86_64-linux-gnu/libc.so.6 | wc -c)"
}

# Whether its kernel has timers finer than the tick.
test_coarse() {
  local option
  for option in --coarse --quiet; do
    "$kvmbox" --quiet "$option" amd -- sed -n 's/^ *\.hres_active *: //p' /proc/timer_list 2>&1 | sort -u
  done >fine
  same "--coarse: no timers but the tick's, and else finer ones" "$(tr '\n' ' ' <fine)" "0 1 "
}

# Connections from outside reach who listens inside. Each wait has its end, also for what must not happen.
test_forward() {
  local address pid
  cat >inside.py <<'PYTHON'
# For each connection: reads to its end, then says what it was in capitals; "wait" never ends, "bye" ends at once.
import os, socket, sys, threading, time
made = socket.socket(socket.AF_UNIX if "/" in sys.argv[1] else socket.AF_INET)
made.bind(sys.argv[1] if "/" in sys.argv[1] else ("127.0.0.1", int(sys.argv[1])))
made.listen(50)
def serve(one):
    heard = b""
    while data := one.recv(100000):
        if data == b"stop":
            made.shutdown(socket.SHUT_RDWR)  # accept() ends by that, and not by close()
            made.close()
            os.unlink(sys.argv[1]) if "/" in sys.argv[1] else None
            os.write(1, b"stopped\n")
        if data == b"bye":
            break
        while data == b"wait":
            time.sleep(1)
        if data == b"flood":
            while True:
                one.sendall(bytes(100000))
        if data.startswith(b"echo"):
            one.sendall(data[4:])
        else:
            heard += data
    one.sendall(heard.upper())
    one.close()
def quietly(one):
    try:
        serve(one)
    except OSError:
        os.write(1, b"broken\n")
try:
    while True:
        one, _ = made.accept()
        threading.Thread(target=quietly, args=(one,), daemon=True).start()
except OSError:
    time.sleep(1000)
PYTHON
  cat >outside.py <<'PYTHON'
import os, socket, sys, time
def connect():
    end = time.monotonic() + 60
    while True:
        made = socket.socket(socket.AF_UNIX if "/" in sys.argv[1] else socket.AF_INET)
        made.settimeout(60)
        try:
            made.connect(sys.argv[1] if "/" in sys.argv[1] else ("127.0.0.1", int(sys.argv[1])))
            return made
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
def rest(made, size=1 << 30):
    heard = b""
    while len(heard) < size and (data := made.recv(min(100000, size - len(heard)))):
        heard += data
    return heard
def say(made, *words):
    for word in words:
        made.sendall(word)
        time.sleep(0.05)
    return made
if sys.argv[2] == "nobody":
    began = time.monotonic()
    print(rest(connect()), time.monotonic() - began < 50)
    sys.exit()
for number in range(5):
    made = say(connect(), b"word%d" % number * 20000)
    made.shutdown(socket.SHUT_WR)
    print(rest(made) == b"WORD%d" % number * 20000, end=" ")
    made.close()
print("half closed, one after another")
several = [say(connect(), b"one%d" % number) for number in range(20)]
sleeper = say(connect(), b"wait")
sleeper.setblocking(False)
try:
    while True:
        sleeper.send(bytes(100000))
except BlockingIOError:
    pass
flood = say(connect(), b"flood")
for number, made in reversed(list(enumerate(several))):
    say(made, b"two").shutdown(socket.SHUT_WR)
    print(rest(made) == b"ONE%dTWO" % number, end=" ")
print("at once")
made = connect()
for number in range(50):
    made.sendall(b"echo" + b"%d" % number * 30)
    print(rest(made, len(b"%d" % number * 30)) == b"%d" % number * 30, end=" ")
print("both ways")
say(made, b"bye")
print(rest(made), "the other side ends")
flood.close()
sleeper.close()
for number in range(20):
    say(connect(), b"x").close()
made = say(connect(), b"still")
made.shutdown(socket.SHUT_WR)
print(rest(made), "after some that went away")
say(connect(), b"stop")
time.sleep(1)
print(rest(connect()), "nobody listens any more")
PYTHON
  {
    printf 'True %.0s' {1..5}
    echo 'half closed, one after another'
    printf 'True %.0s' {1..20}
    echo 'at once'
    printf 'True %.0s' {1..50}
    printf '%s\n' 'both ways' "b'' the other side ends" "b'STILL' after some that went away" "b'' nobody listens any more"
  } >wanted
  for address in $((20000 + RANDOM % 12000)) "$scratch/socket"; do
    : >out
    (marked timeout 200 "$kvmbox" --quiet --here --file inside.py --forward "$address" amd -- python3 -u inside.py "$address") >out 2>err &
    pid=$!
    same "--forward ${address##*/}" "$(timeout 120 python3 outside.py "$address" all 2>&1)" "$(<wanted)"
    has "--forward ${address##*/}: the other side stops to listen" "$(<out)" "stopped"
    has "--forward ${address##*/}: a client that goes away is noticed" "$(<out)" "broken"
    kill "$pid"
    wait "$pid"
    same "--forward ${address##*/}: nothing was said, nothing is left" "$(<err)$(left)" ""
  done
  same "--forward: the socket is gone" "$(ls "$scratch/socket" 2>/dev/null)" ""
  (marked timeout 200 "$kvmbox" --quiet --forward "$scratch/socket" amd -- sleep 1000) >out 2>err &
  pid=$!
  same "--forward: nobody listens: an end, and no hang" "$(timeout 120 python3 outside.py "$scratch/socket" nobody 2>&1)" "b'' True"
  kill "$pid"
  wait "$pid"
}

# Something of what is kept is changed, or lost: it is noticed, named, and made again.
test_damage() {
  local folder before damage
  folder=$("$kvmbox" --prepare --smp 1 --quiet amd)
  for damage in 'truncate -s 1000 state' 'printf x | dd of=memory bs=1 seek=20000000 conv=notrunc status=none' 'rm state' \
    'echo >manifest.json'; do
    (cd "$folder" && sh -c "$damage")
    same "damaged by $damage: made again" "$("$kvmbox" --quiet --smp 1 amd -- echo works 2>err; grep -c 'made again' err)" $'works\n1'
  done
  touch "$folder/state"
  before=$(stat -c %i "$folder/state")
  same "a file that was only touched is believed" "$("$kvmbox" --quiet --smp 1 amd -- echo works 2>&1) $(stat -c %i "$folder/state")" \
    "works $before"
  # Read once, and then believed with its new time, like one that was never touched.
  strace -f -o trace -e trace=pread64,read,openat "$kvmbox" --quiet --smp 1 amd -- true
  same "... and not read again at each start" "$(grep -c '"[^"]*/state", O_RDONLY' trace)" 1
  printf x | dd of="$folder/state" bs=1 seek=1000 conv=notrunc status=none
  same "... but when it is written to, it is" "$("$kvmbox" --quiet --smp 1 amd -- echo works 2>err; grep -c 'made again' err)" $'works\n1'
}

# Killed at any moment, it leaves nothing running and nothing lying around.
test_killed() {
  local try pid wrong=0
  for ((try = 0; try < 50; try++)); do
    (marked "$kvmbox" --quiet --get x amd -- sh -c 'echo 1 >x; sleep 0.2') >/dev/null 2>&1 &
    pid=$!
    sleep "$((RANDOM % 2)).$((RANDOM % 1000))"
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    [[ ! $(left) ]] || wrong=$((wrong + 1))
  done
  rm -f x
  same "killed at 50 random moments: nothing left" "$wrong $(echo .x.*)" "0 .x.*"
  same "... and it works" "$("$kvmbox" --quiet amd -- echo works)" works
}

# Offline: an apt-get that fails comes first in PATH.
test_two_at_once_offline() {
  local pid status
  mkdir bin
  printf '#!/bin/sh\necho apt was called >&2\nexit 1\n' | tee bin/apt-get >bin/apt-cache
  chmod +x bin/*
  PATH=$scratch/bin:$PATH "$kvmbox" --quiet --smp 1 amd -- sh -c 'nproc; exit 3' >out1 2>err1 &
  pid=$!
  PATH=$scratch/bin:$PATH "$kvmbox" --quiet --smp 3 amd -- sh -c 'nproc; exit 4' >out2 2>err2
  status=$?
  same "two at once: second" "$status $(cat out2)" "4 3"
  wait "$pid"
  status=$?
  same "two at once: first, --smp" "$status $(cat out1)" "3 1"
  same "offline once cached" "$(cat err1 err2)" ""
}

test_box_errors() {
  local status text
  text=$("$kvmbox" --quiet amd -- ./no-such-program 2>&1)
  status=$?
  same "missing build file: status" $status 125
  has "missing build file: message" "$text" "no no-such-program in "
  text=$("$kvmbox" --quiet amd -- no-such-applet 2>&1)
  has "unknown command: message" "$text" "not found"
  text=$("$kvmbox" --quiet --files nothing.elf amd -- true 2>&1)
  has "missing --files: message" "$text" "no nothing.elf in the build folder"
  text=$("$kvmbox" --quiet --cpu no-such-cpu amd -- true 2>&1)
  status=$?
  same "emulator fails: status" $status 125
  has "emulator fails: reason" "$text" "unable to find CPU model 'no-such-cpu'"
  text=$("$kvmbox" --quiet --append rdinit=/none amd -- true 2>&1)
  status=$?
  same "kernel panic: status" $status 125
  has "kernel panic: reason" "$text" "Kernel panic - not syncing: "
  has "kernel panic: to its last line" "$text" "---[ end Kernel panic - not syncing: "
  printf x >file
  text=$(KVMBOX_CACHE=$scratch/file/cache "$kvmbox" --quiet amd -- true 2>&1)
  same "no place for boxes: status" $? 125
  has "no place for boxes: what to do" "$text" "KVMBOX_CACHE=FOLDER names another one"
}

test_reader_gone() {
  local text
  text=$(timeout 60 "$kvmbox" --quiet amd -- sh -c 'while :; do echo more; sleep 0.1; done' | head -n 1)
  same "a reader that goes away ends the run" "$text $?" "more 141"
}

test_intel() {
  local status
  printf 'a\0b\r\n\377' >data
  "$kvmbox" --quiet --file data --get data:back intel -- \
    sh -c 'cat data; echo loud >&2; grep -m 1 -cw vmx /proc/cpuinfo >&2; [ -c /dev/kvm ] && exit 43' >out 2>err
  status=$?
  same "Intel box: exit status" $status 43
  same "Intel box: standard error" "$(cat err)" $'loud\n1'
  if cmp -s out data && cmp -s back data; then ok "Intel box: bytes"; else not_ok "Intel box: bytes"; fi
}

test_usage
if ! text=$("$kvmbox" --timeout 120 amd -- true 2>&1); then
  printf '# %s\n' "${text//$'\n'/$'\n# '}"
  if [[ $text == *"lacks packages"* || $text == *"cannot download"* ]]; then
    skip "AMD box" "cannot be installed here"
  else
    not_ok "AMD box runs true"
  fi
else
  ok "AMD box runs true"
  test_one_boot
  test_start
  test_live_and_interrupt
  test_signal_taken
  test_timeout_and_order
  test_userland
  test_isolation
  test_files
  test_input_and_terminal
  test_exact
  test_coarse
  test_forward
  test_damage
  test_killed
  test_two_at_once_offline
  test_box_errors
  test_reader_gone
  test_intel
fi
printf '1..%d\n' $number
exit $failed
