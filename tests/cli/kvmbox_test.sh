#!/usr/bin/env bash
# What tools/kvmbox promises, checked with the AMD box and busybox commands only, so that a failure
# here is a failure of the box and not of the program in it. With KVMBOX_TEST_INTEL=1 also one run
# of the Intel box. Prints TAP lines.
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

# Runs of kvmbox PID that are left over: folders and emulators that name them.
left_of() {
  local entry
  for entry in "$cache"/run."$1".*; do
    if [[ -e $entry ]]; then printf '%s ' "$entry"; fi
  done
  pgrep -f "run\.$1\." | tr '\n' ' '
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
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
  usage_error "timeout no number" "not a positive number" --timeout soon amd -- true
  usage_error "CPUs of the Intel box" "1 CPU" --smp 2 intel -- true
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

# The first line must be here while the command still runs; Ctrl-C then leaves nothing behind.
test_live_and_interrupt() {
  local pid status signal
  for signal in INT TERM; do
    : >out
    # Job control, or the shell would have it ignore SIGINT.
    set -m
    "$kvmbox" --quiet amd -- sh -c 'echo first; sleep 1000' >out 2>err &
    pid=$!
    set +m
    if wait_for out first; then ok "output comes live ($signal)"; else not_ok "output comes live ($signal)"; fi
    kill -"$signal" "$pid"
    wait "$pid"
    status=$?
    same "$signal: status" $status $((128 + $(kill -l "$signal")))
    sleep 0.2
    same "$signal: nothing left" "$(left_of "$pid")" ""
  done
}

test_timeout_and_order() {
  local status text wanted
  # shellcheck disable=SC2016 # the shell in the box is to expand it
  text=$("$kvmbox" --quiet --timeout 10 amd -- sh -c \
    'for i in 1 2 3; do echo out $i; echo err $i >&2; done; sleep 1000' 2>&1)
  status=$?
  wanted=$'out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n'
  same "--timeout: status" $status 124
  same "--timeout: message, and both outputs in order" "$text" \
    "${wanted}kvmbox: time limit of 10 s reached, stage: command"
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
  has "missing build file: message" "$text" "no no-such-program in the build folder"
  text=$("$kvmbox" --quiet amd -- no-such-applet 2>&1)
  has "unknown command: message" "$text" "'no-such-applet' is not a busybox command"
  text=$("$kvmbox" --quiet --files nothing.elf amd -- true 2>&1)
  has "missing --files: message" "$text" "no nothing.elf in the build folder"
  text=$("$kvmbox" --quiet --cpu no-such-cpu amd -- true 2>&1)
  status=$?
  same "emulator fails: status" $status 125
  has "emulator fails: reason" "$text" "unable to find CPU model 'no-such-cpu'"
  text=$("$kvmbox" --quiet --append rdinit=/none amd -- true 2>&1)
  status=$?
  same "kernel panic: status" $status 125
  has "kernel panic: reason" "$text" "Kernel panic"
}

test_reader_gone() {
  local text
  text=$(timeout 60 "$kvmbox" --quiet amd -- sh -c 'while :; do echo more; sleep 0.1; done' | head -n 1)
  same "a reader that goes away ends the run" "$text $?" "more 141"
}

test_intel() {
  local status
  if [[ ${KVMBOX_TEST_INTEL-} != 1 ]]; then
    skip "Intel box" "set KVMBOX_TEST_INTEL=1, it takes 15 s"
    return
  fi
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
  test_live_and_interrupt
  test_timeout_and_order
  test_two_at_once_offline
  test_box_errors
  test_reader_gone
  test_intel
fi
printf '1..%d\n' $number
exit $failed
