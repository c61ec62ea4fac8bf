#!/usr/bin/env bash
# tests/layers: that this tree's imports go down only and in no circle, and that one which does not is seen.
# tests/sizes: that its files and functions are short, and that one which is not is seen.
set -uo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
work=$(mktemp -d) || exit 125
trap 'rm -rf "$work"' EXIT

number=0 failed=0
verdict() { # NAME WORD: "1" when good
	number=$((number + 1))
	if [ "$2" = 1 ]; then echo "ok $number - $1"; else
		echo "not ok $number - $1"
		failed=1
		sed 's/^/#   /' "$work/out"
	fi
}

"$top/tests/layers" > "$work/out"
verdict "imports go down only" "$([ $? = 0 ] && grep -q '^ok .* - vmm/run ' "$work/out" && echo 1)"

# FILE INCLUDED WHAT [LINE]: a tree in which the file includes that as well; how the line begins that tells it.
wrong() {
	rm -rf "$work/tree"
	mkdir "$work/tree"
	cp -r "$top/vmm" "$top/guest" "$top/shared" "$work/tree"
	mkdir -p "$(dirname "$work/tree/$1")"
	echo "#include \"$2\"" >> "$work/tree/$1"
	"$top/tests/layers" "$work/tree" > "$work/out"
	verdict "$3" "$([ $? = 1 ] && [ "$(grep -c '^not ok' "$work/out")" = 1 ] && grep -q "^# ${4:-$1:}" "$work/out" && echo 1)"
}
wrong vmm/run/run.c vmm/engine/engine.h "the run loop includes the engine: seen"
wrong vmm/base/stop.h vmm/run/outcome.h "a header of the lowest folder includes one above: seen"
wrong vmm/instruments/trace/trace.c vmm/instruments/report/report.h "an instrument includes another one: seen"
wrong vmm/look/look.c vmm/kvm/kvm.h "the pure half includes KVM: seen"
wrong shared/pt.h vmm/base/message.h "shared/ includes the VMM: seen"
wrong guest/trap.c guest/user/tour.h "ring 0 of the guest includes its programs: seen"

wrong vmm/boot/image.h vmm/boot/image_check.h "files that include each other: seen" "vmm/boot/image sees vmm/boot/image_check: a circle"
wrong shared/pt.h shared/pt_work.h "... by way of others: seen" "shared/pt sees shared/pt_work: a circle"
wrong guest/space.h guest/panic.h "... through what a header's own .c includes: seen" "guest/panic sees guest/space: a circle"

rm -rf "$work/tree"
mkdir "$work/tree"
cp -r "$top/vmm" "$top/guest" "$top/shared" "$work/tree"
mkdir -p "$work/tree/vmm/another"
echo '#include <stdio.h>' > "$work/tree/vmm/another/file.c"
"$top/tests/layers" "$work/tree" > "$work/out"
verdict "a folder that nobody has given a place: seen" "$([ $? = 1 ] && grep -q '^# it is not in tests/layers' "$work/out" && echo 1)"
# ---- tests/sizes

"$top/tests/sizes" > "$work/out"
verdict "no file and no function is too long" "$([ $? = 0 ] && [ "$(grep -c '^ok' "$work/out")" = 2 ] && echo 1)"

# LINES: of them, all the same, in one function more.
long_function() {
	echo
	echo 'static __attribute__((format(printf, 1, 2))) void planted(const char *format,'
	echo '                                                         ...)'
	echo '{'
	yes '	x();' | head -n "$1"
	echo '}'
}
mkdir -p "$work/sizes/vmm"
long_function 56 > "$work/sizes/vmm/short.c"
"$top/tests/sizes" "$work/sizes" > "$work/out"
verdict "a function of 60 lines is not too long" "$([ $? = 0 ] && echo 1)"
long_function 57 > "$work/sizes/vmm/long.c"
"$top/tests/sizes" "$work/sizes" > "$work/out"
verdict "one of 61 lines: seen" "$([ $? = 1 ] && grep -qx '# vmm/long.c: planted has 61 lines' "$work/out" && echo 1)"
for _ in {1..12}; do long_function 46; done > "$work/sizes/vmm/long.c"
"$top/tests/sizes" "$work/sizes" > "$work/out"
verdict "a file of 612 lines: seen" "$([ $? = 1 ] && grep -qx '# vmm/long.c has 612 lines' "$work/out" && echo 1)"

echo "1..$number"
exit $failed
