#!/usr/bin/env bash
# A machine without /dev/kvm: vmm says what is wrong and what to do, and `make run` goes to the AMD box.  The
# machine is this one with another /dev, in a mount namespace of its own.
set -u
cd "$(dirname "$0")/../.." || exit 125
export BUILD=${BUILD:-build}
n=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

check() { # NAME PATTERN: the log has it
	n=$((n + 1))
	if grep -qE -- "$2" "$log"; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		tail -n 5 "$log" | sed 's/^/# /'
		failed=1
	fi
}

if ! unshare -m true 2> /dev/null; then
	echo "ok 1 - without /dev/kvm # SKIP no mount namespace to be had here"
	exit 0
fi
# shellcheck disable=SC2016
unshare -m bash -c '
	mount -t tmpfs none /dev && mkdir /dev/shm /dev/pts && ln -s /proc/self/fd /dev/fd
	mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/zero c 1 5; mknod -m 666 /dev/tty c 5 0
	mknod -m 666 /dev/random c 1 8; mknod -m 666 /dev/urandom c 1 9; mknod -m 666 /dev/ptmx c 5 2
	"$BUILD/vmm" "$BUILD/guest.elf" < /dev/null
	echo "vmm ended with $?"
	make -s run BUILD="$BUILD" < /dev/null
	echo "make run ended with $?"
' > "$log" 2>&1

check "vmm names /dev/kvm" '^vmm: /dev/kvm: No such file'
check "... and a cure" 'modprobe kvm_intel or kvm_amd'
check "... and ends with 125" '^vmm ended with 125$'
check "make run says in one line that it goes to the AMD box" '^No usable /dev/kvm here: .*AMD box'
check "... where the tour runs" 'Run +guest.elf ended with status 0'
check "... and its status comes back" '^make run ended with 0$'
exit $failed
