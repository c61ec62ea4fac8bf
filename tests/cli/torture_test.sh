#!/usr/bin/env bash
# vmm --torture, on whatever KVM this is: the guest survives, mutants of it do not, and the options.
#
#   tests/cli/torture_test.sh        VMM and BUILD say where vmm, guest.elf and mutants/ are
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh" || exit 125

refused() { # NAME PATTERN OPTION...: wrong usage, with such a message
	local name=$1 pattern=$2
	shift 2
	vmm "$@" "$guest"
	expect "$name" 2 "$pattern"
}

refused "an unknown event" "must be nmi, irq or step" --torture mce
refused "a crossing without a torture" "that is not given" --torture-crossing SYSCALL
refused "beside another that stops the guest" "give one of them" --torture nmi --anatomy syscall
refused "several CPUs" "the rounds of one CPU" --torture nmi --cpus 2

need_kvm torture

vmm --quiet "$guest" -- torture
expect "the program alone says what is missing" 2 '' '--torture'
vmm --quiet --torture nmi "$BUILD/hello.elf"
expect "a guest without a note" 125 'without the Ringscope note'
vmm --quiet --torture nmi --program counts "$guest"
expect "a program that does not take part" 125 'has no program for it'
vmm --quiet --torture nmi --torture-crossing 'nothing*' "$guest"
expect "a pattern that no crossing has" 1

vmm --quiet --pti off --torture step --torture-crossing '#GP' "$guest"
expect "one crossing in one mode: status" 0
is "one crossing in one mode: rows" "$(grep -c '^  #GP  *off ' out):$(grep -c '^  #GP  *nopcid ' out)" 1:0
is "the coverage by symbol is told" "$(grep -Ec '^  (user_return|vector_entry|vector_stubs) ' out)" 3
is "what was not hit is told" "$(grep -c '^Not hit' out)" 1
is "at most 100 columns" "$(awk 'length > 100' out | wc -l)" 0
vmm --quiet --pti off --torture step --torture-crossing '@(#GP|#P[F])' "$guest"
is "a pattern with several names" "$status:$(grep -Ec '^  #(GP|PF)  *off ' out)" 0:2

# What a host can do differs: a box is judged as itself.
host=${KVMBOX:-local}
(cd "$BUILD" && timeout 1500 sh "$top/tests/guest/torture" "$host" "$work/$host")
python3 "$top/tests/guest/torture_judge.py" "$host=$work/$host" > judged
while IFS= read -r line; do
	case $line in
	"ok "*) pass "${line#ok * - }" ;;
	"not ok "*) fail "${line#not ok * - }" ;;
	"#"*) printf '%s\n' "$line" ;;
	esac
done < judged

finish
