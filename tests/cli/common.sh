# shellcheck shell=bash
# What the command-line tests share: where vmm and its guests are, a folder to work in, TAP lines.
#
#   . "$(dirname "$0")/common.sh" || exit 125
#
# BUILD and VMM (absolute; the caller's environment may say where they are), top (the project's folder),
# guest ($BUILD/guest.elf), and work, an empty folder, removed at the end, which is the current one.
#
# Lines are TAP-like: "ok N - name", "not ok N - name" with details behind it, "# SKIP reason".  A test
# ends with `finish`: status 0 when nothing failed.
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P) || exit 125
cd "$top" || exit 125
BUILD=$(realpath "${BUILD:-build}") || exit 125
VMM=$(realpath "${VMM:-$BUILD/vmm}") || exit 125
# shellcheck disable=SC2034 # for who sources this
guest=$BUILD/guest.elf
work=$(mktemp -d "${TMPDIR:-/tmp}/$(basename "$0" .sh).XXXXXX") || exit 125
# A test may have more to clean up.
at_exit() { :; }
trap 'at_exit; rm -rf "$work"' EXIT
cd "$work" || exit 125

count=0 failed=0 status=0
pass() { echo "ok $((++count)) - $1"; }
skip() { echo "ok $((++count)) - $1 # SKIP $2"; } # NAME REASON
# What a failure shows besides its details: a test may know more.
context() { :; }
fail() { # NAME DETAILS...
	echo "not ok $((++count)) - $1"
	shift
	{ printf '%s\n' "$@" && context; } | head -n 50 | cut -c 1-600 | sed 's/^/#   /'
	failed=$((failed + 1))
}
finish() {
	echo "1..$count"
	[ "$failed" = 0 ]
	exit
}
has() { # NAME TEXT PART
	if [[ $2 == *"$3"* ]]; then pass "$1"; else fail "$1" "wanted ...$3..., got" "$2"; fi
}
need_kvm() { # WHAT: the rest of the test, which needs KVM
	if "$top/tests/have-kvm"; then return; fi
	skip "$1" "no usable /dev/kvm"
	finish
}

is() { # NAME GOT WANTED [DETAILS...]
	local name=$1 got=$2 wanted=$3
	shift 3
	if [ "$got" = "$wanted" ]; then pass "$name"; else fail "$name" "got $got, wanted $wanted" "$@"; fi
}
verdict() { # NAME 1-IF-GOOD [DETAILS...]
	local name=$1 good=$2
	shift 2
	if [ "$good" = 1 ]; then pass "$name"; else fail "$name" "$@"; fi
}
works() { # NAME COMMAND...: what the command prints is why it failed
	local name=$1 why
	shift
	if why=$("$@" 2>&1); then pass "$name"; else fail "$name" "$why"; fi
}

# Runs vmm with these words, into out, err and status.  No test judges speed: the limit ends a hang.
vmm() {
	timeout --kill-after=2 "${LIMIT:-600}" "$VMM" "$@" > out 2> err < /dev/null
	status=$?
}
# expect NAME STATUS [STDERR [STDOUT]]: of the last vmm; extended regular expressions, "" accepts all.
expect() {
	local wrong=()
	[ "$status" = "$2" ] || wrong+=("status $status, wanted $2: $(head -c 300 err)")
	[ -z "${3-}" ] || grep -Eq -- "$3" err || wrong+=("stderr, wanted /$3/: $(head -c 300 err)")
	[ -z "${4-}" ] || grep -Eq -- "$4" out || wrong+=("stdout, wanted /$4/: $(head -c 300 out)")
	if grep -Eq 'Sanitizer|runtime error:' err; then wrong+=("$(grep -Em1 'Sanitizer|runtime error:' err)"); fi
	if [ ${#wrong[@]} = 0 ]; then pass "$1"; else fail "$1" "${wrong[@]}"; fi
}
# counts STATS.JSON: what the guest counted, and how often KVM_RUN came back for it.
counts() {
	python3 -c 'import json, sys
stats = json.load(open(sys.argv[1]))
exits = {name: reason["count"] for name, reason in stats["exits"]["by_reason"].items() if name != "DEBUGGER"}
print(json.dumps([stats["crossings"], exits], sort_keys=True))' "$1"
}
