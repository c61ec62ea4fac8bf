#!/usr/bin/env bash
# System calls that a command line can see: standard input by read, the tables by the program syscalls,
# the galleries at the end of the tour; and from outside, by --calls and --costs.
#
#   tests/cli/calls_test.sh       VMM and BUILD say where vmm and guest.elf are
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh" || exit 125
need_kvm calls

vmm() { timeout --kill-after=2 300 "$VMM" --quiet "$@" "$guest"; }

# ---- Standard input -------------------------------------------------------------------------------------

head -c 100000 /dev/urandom > bytes
vmm --program cat < bytes > copy
is "read and write: any bytes, more than a call carries" "$? $(cmp bytes copy && echo same)" "0 same"
is "read ends with the input" "$(vmm --program cat < /dev/null; echo $?)" 0
answered() { for _ in $(seq 600); do grep -q one echoed && return; sleep 0.1; done; false; }
{ printf 'one\n'; answered && printf 'two'; } | vmm --program cat > echoed
is "read gives what there is and does not wait for more" "$(cat echoed)" "$(printf 'one\ntwo')"
is "read of what is closed" "$(vmm --program cat <&-; echo $?)" 1
is "what a guest does not read is left" "$( (vmm --program syscalls > /dev/null; cat) <<< 'left')" left

# ---- The tables -------------------------------------------------------------------------------------------

vmm --program syscalls > table
line() { sed -n "s/^$1  *//p" table | tr -s ' '; }
is "fork has Linux's numbers" "$(line fork)" "57 2"
is "so has mmap, whose arguments i386 has in memory" "$(line mmap)" "9 90"
is "and mmap2, which is i386's alone" "$(line mmap2)" "- 192"
is "each number is given once" \
	"$(for f in 2 3; do tail -n +2 table | tr -s ' ' | cut -d ' ' -f $f | grep -v -- - | sort | uniq -d; done)" ""
if [ -r /usr/include/x86_64-linux-gnu/asm/unistd_64.h ] && [ -r /usr/include/x86_64-linux-gnu/asm/unistd_32.h ]; then
	numbers() { # WIDTH COLUMN: names and numbers, as the C library's headers have them and as the kernel
		tail -n +2 table | tr -s ' ' | cut -d ' ' -f 1,"$2" | grep -v -e '^rs_' -e ' -$' | while read -r name number; do
			grep -qx "#define __NR_$name $number" "/usr/include/x86_64-linux-gnu/asm/unistd_$1.h" || echo "$name $number"
		done
	}
	is "64-bit numbers are those of Linux's header" "$(numbers 64 2)" ""
	is "i386 numbers are those of Linux's header" "$(numbers 32 3)" ""
else
	echo "ok $((++count)) - numbers of Linux's headers # SKIP they are not installed"
fi

# ---- The tour runs all galleries, and processes ---------------------------------------------------------------------------

vmm --stats json --stats-file tour.json > tour
is "the tour succeeds" "$?" 0
is "and says how the galleries went" "$(grep -c '; 0 differ, ' tour)" 4
is "... and the scheduler's checks" "$(grep -Ec '^  [0-9]{2} passed, 0 failed, ' tour)" 1
is "their rows are in the report" "$(python3 -c '
import json
escapes = json.load(open("tour.json"))["escapes"]
print(escapes["differs"], *sorted({row["program"] for row in escapes["rows"]}))')" "0 crossings hostile memory walls"

# ---- From outside ----------------------------------------------------------------------------------------------

timeout --kill-after=2 300 "$VMM" --quiet --calls seen --costs costs "$guest" -- tour 40 > /dev/null
is "the tour runs while its calls are seen and counted" "$?" 0
is "what --costs counts is what --calls tells" \
	"$(awk '/^ +[0-9]+ .* (SYSCALL|INT 0x80) call / { count[$NF] += $1 } END { for (n in count) print n, count[n] }' costs | sort)" \
	"$(sed -nE 's/^ .*  (INT 0x80 )?call ([0-9]+)\(.*/\2/p' seen | sort | uniq -c | awk '{ print $2, $1 }' | sort)"
is "and so are page faults" "$(awk '/ #PF$/ { count += $1 } END { print count }' costs)" "$(grep -c ' #PF(' seen)"
is "ring 0 and ring 3 are there, of each address space" \
	"$(grep -c '^CR3 0x' costs)" "$(grep -cE ' by interrupts; ring 0: [0-9,]+, ring 3: [0-9,]+$' costs)"
works "what an entry takes is measured" grep -qE '^  behind SYSCALL +[1-9][0-9,]+, the least of 16; the middle half: [1-9]' costs
"$VMM" --quiet --cpus 2 --costs costs "$guest" 2> refused
is "costs are one CPU's" "$? $(grep -c -- '--costs' refused)" "2 1"

finish
