#!/usr/bin/env bash
# vmm --torture, on whatever KVM this is: the guest survives, mutants of it do not, and the options.
#
#   tests/cli/torture_test.sh        VMM and BUILD say where vmm, guest.elf and mutants/ are
#
# TAP-like: "ok N - name", "not ok N - name" with details behind it, "# SKIP reason".  Status 0 when
# nothing failed.
set -u
cd "$(dirname "$0")/../.." || exit 125
BUILD=$(realpath "${BUILD:-build}") || exit 125
VMM=$(realpath "${VMM:-$BUILD/vmm}") || exit 125
guest=$BUILD/guest.elf
tests=$(realpath tests) || exit 125
work=$(mktemp -d "${TMPDIR:-/tmp}/torture_test.XXXXXX") || exit 125
trap 'rm -rf "$work"' EXIT

count=0 failed=0
pass() { echo "ok $((++count)) - $1"; }
fail() { # name, details...
	echo "not ok $((++count)) - $1"
	shift
	printf '%s\n' "$@" | head -n 30 | sed 's/^/#   /'
	failed=$((failed + 1))
}
is() { # NAME GOT WANTED
	if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "got $2, wanted $3" "$(head -c 600 "$work/err")"; fi
}
refused() { # NAME PATTERN OPTION...: wrong usage, with such a message
	local name=$1 pattern=$2
	shift 2
	timeout 20 "$VMM" "$@" "$guest" > "$work/out" 2> "$work/err"
	is "$name" "$?:$(grep -c -- "$pattern" "$work/err")" 2:1
}

refused "an unknown event" "must be nmi, irq or step" --torture mce
refused "a crossing without a torture" "that is not given" --torture-crossing SYSCALL
refused "beside another that stops the guest" "give one of them" --torture nmi --anatomy syscall
refused "several CPUs" "the rounds of one CPU" --torture nmi --cpus 2

if ! { : < /dev/kvm; } 2> /dev/null; then
	echo "ok $((++count)) - torture # SKIP no usable /dev/kvm"
	echo "1..$count"
	[ "$failed" = 0 ]
	exit
fi

timeout 60 "$VMM" --quiet "$guest" -- torture > "$work/out" 2> "$work/err"
is "the program alone says what is missing" "$?:$(grep -c -- '--torture' "$work/out")" 2:1
timeout 60 "$VMM" --quiet --torture nmi "$BUILD/hello.elf" > "$work/out" 2> "$work/err"
is "a guest without a note" "$?:$(grep -c 'without the Ringscope note' "$work/err")" 125:1
timeout 60 "$VMM" --quiet --torture nmi --program counts "$guest" > "$work/out" 2> "$work/err"
is "a program that does not take part" "$?:$(grep -c 'has no program for it' "$work/err")" 125:1
timeout 60 "$VMM" --quiet --torture nmi --torture-crossing 'nothing*' "$guest" > "$work/out" 2> "$work/err"
is "a pattern that no crossing has" "$?" 1

timeout 300 "$VMM" --quiet --pti off --torture step --torture-crossing '#GP' "$guest" > "$work/out" 2> "$work/err"
is "one crossing in one mode: status" "$?" 0
is "one crossing in one mode: rows" "$(grep -c '^  #GP  *off ' "$work/out"):$(grep -c '^  #GP  *nopcid ' "$work/out")" 1:0
is "the coverage by symbol is told" "$(grep -Ec '^  (user_return|vector_entry|vector_stubs) ' "$work/out")" 3
is "what was not hit is told" "$(grep -c '^Not hit' "$work/out")" 1
is "at most 100 columns" "$(awk 'length > 100' "$work/out" | wc -l)" 0

(cd "$BUILD" && timeout 1500 sh "$tests/guest/torture" local "$work/local")
python3 tests/guest/torture_judge.py "local=$work/local" > "$work/judged"
while IFS= read -r line; do
	case $line in
	"ok "*) pass "${line#ok * - }" ;;
	"not ok "*) fail "${line#not ok * - }" ;;
	"#"*) printf '%s\n' "$line" ;;
	esac
done < "$work/judged"

echo "1..$count"
[ "$failed" = 0 ]
