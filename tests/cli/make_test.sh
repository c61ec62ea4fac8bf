#!/usr/bin/env bash
# What people expect of the Makefile: a second make does nothing, install obeys DESTDIR and PREFIX, help
# lists the targets, compile_commands.json is JSON.
set -u
cd "$(dirname "$0")/../.." || exit 125
BUILD=${BUILD:-build}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
n=0 failed=0

check() { # NAME STATUS
	n=$((n + 1))
	if [ "$2" = 0 ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		failed=1
	fi
}

make BUILD="$BUILD" > "$scratch/first" 2>&1
check "make builds" $?
make BUILD="$BUILD" > "$scratch/second" 2>&1
grep -qE 'CC|LINK|AS|GUEST|GEN' "$scratch/second"
check "a second make does nothing" $((! $?))

make BUILD="$BUILD" install DESTDIR="$scratch/root" PREFIX=/opt/x > "$scratch/install" 2>&1
check "make install" $?
[ -x "$scratch/root/opt/x/bin/vmm" ] && [ -f "$scratch/root/opt/x/lib/ringscope/guest.elf" ] &&
	[ -f "$scratch/root/opt/x/include/ringscope/shared/abi.h" ]
check "... puts things below DESTDIR and PREFIX" $?
[ "$("$scratch/root/opt/x/bin/vmm" --version)" = "$("$BUILD/vmm" --version)" ]
check "... and the installed vmm runs" $?
man -l "$scratch/root/opt/x/share/man/man1/vmm.1" 2> /dev/null | grep -q -- '--timeout'
check "... and its man page can be read" $?

make help > "$scratch/help"
for target in all run test bench install clean compdb; do
	grep -q "make $target " "$scratch/help"
	check "make help knows $target" $?
done

make -s compdb > /dev/null && python3 -m json.tool compile_commands.json > "$scratch/compdb" &&
	grep -q '"vmm/run.c"' "$scratch/compdb"
check "compile_commands.json names the sources" $?

exit $failed
