#!/usr/bin/env bash
# --box: the command line that kvmbox is given, where vmm finds kvmbox, and what is refused before a box is
# started; by a kvmbox that only says what it was given.  That the real one does it is nokvm_test.sh's.
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh" || exit 125

# A tree and an installation, each with a vmm of its own.
mkdir -p tree/build/asan tree/tools root/bin root/lib/ringscope empty 'here it is'
cp "$VMM" tree/build/vmm
for copy in tree/build/asan/vmm root/bin/vmm empty/vmm; do ln "tree/build/vmm" "$copy" || exit 125; done
fake() { # PATH [NAME]: a kvmbox that tells its name, then one word a line
	printf '#!/bin/sh\necho "%s"\nprintf "%%s\\n" "$@"\nexit "${FAKE_STATUS-0}"\n' "${2-fake}" > "$1"
	chmod +x "$1"
}
fake tree/tools/kvmbox
VMM=$work/tree/build/vmm
cp "$guest" guest.elf
cp "$guest" core.in

# given NAME WORDS...: what the last vmm gave kvmbox, but for what every run has
given() {
	local name=$1
	shift
	is "$name" "$(tail -n +2 out | grep -vxF -e --here -e "--file=$VMM" -e -i | tr '\n' '|')" "$(printf '%s|' "$@")" \
		"$(cat err)"
}
unlimited=--timeout=9999999

# ---- The command line in the box ------------------------------------------------------------------

vmm --box amd guest.elf
expect "--box amd" 0 '' '^fake$'
given "... the guest is brought, the run has no limit" --file=guest.elf $unlimited amd -- "$VMM" guest.elf
for word in --here "--file=$VMM" -i; do
	verdict "... with $word" "$(grep -cxF -- "$word" out)" "$(cat out)"
done
vmm --mem 32M --box=intel --pti on guest.elf -- cat --box amd 'two  words' ''
given "--box=intel, in the middle; what is the guest's stays" --file=guest.elf $unlimited intel -- \
	"$VMM" --mem 32M --pti on guest.elf -- cat --box amd 'two  words' ''
is "... without standard input, which the Intel box has not" "$(grep -cx -- -i out)" 0
vmm --box amd --box intel --prog cat guest.elf -- x
given "two of them, and --program, shortened" --file=guest.elf $unlimited intel -- \
	"$VMM" --prog cat guest.elf -- x
vmm --program cat --box amd guest.elf
given "--program without arguments" --file=guest.elf $unlimited amd -- "$VMM" --program cat guest.elf
vmm --box amd -- guest.elf
given "-- before the guest" --file=guest.elf $unlimited amd -- "$VMM" -- guest.elf
vmm --quiet --box amd guest.elf
given "--quiet is kvmbox's too" --quiet --file=guest.elf $unlimited amd -- "$VMM" --quiet guest.elf
vmm --box amd --probe --stats-file "$work/probe.json" --stats json
given "--probe, an output with its folder" "--get=$work/probe.json" $unlimited amd -- \
	"$VMM" --probe --stats-file "$work/probe.json" --stats json
vmm --box amd --timeout 2.5 guest.elf
given "--timeout is the guest's; kvmbox's is longer" --file=guest.elf --timeout=620 amd -- \
	"$VMM" --timeout 2.5 guest.elf
vmm --box amd --timeout 9000000 guest.elf
given "... but no longer than it can be" --file=guest.elf $unlimited amd -- "$VMM" --timeout 9000000 guest.elf
FAKE_STATUS=77 vmm --box amd guest.elf
expect "kvmbox's status is vmm's" 77

vmm --box amd --stats-file s --trace t --report r.html --core c --inspect all --inspect-file i guest.elf
given "every output comes back; a core only if there is one" --file=guest.elf --get=s --get=r.html --get=t \
	--get-if=c --get=i $unlimited amd -- "$VMM" --stats-file s --trace t --report r.html --core c \
	--inspect all --inspect-file i guest.elf
is "... and none of them is touched before" "$(ls)" "$(ls -I s -I t -I r.html -I c -I i)"
vmm --box amd --trace one --trace two guest.elf
given "an option twice: the last one counts" --file=guest.elf --get=two $unlimited amd -- \
	"$VMM" --trace one --trace two guest.elf
vmm --box amd --trace /dev/null --stats-file /dev/stderr --report /proc/self/fd/1 guest.elf
given "streams and devices are the box's own" --file=guest.elf $unlimited amd -- \
	"$VMM" --trace /dev/null --stats-file /dev/stderr --report /proc/self/fd/1 guest.elf
vmm --box amd --inspect-core core.in --map guest.elf
given "--inspect-core is an input" --file=guest.elf --file=core.in $unlimited amd -- \
	"$VMM" --inspect-core core.in --map guest.elf
vmm --box amd --anatomy syscall --beside core.in guest.elf
given "--beside is an input" --file=guest.elf --file=core.in $unlimited amd -- \
	"$VMM" --anatomy syscall --beside core.in guest.elf
vmm --box amd --costs costs guest.elf
given "--costs is an output" --file=guest.elf --get=costs $unlimited amd -- "$VMM" --costs costs guest.elf
vmm --box amd --gdb 127.0.0.1:1234 guest.elf
given "--gdb is passed on" --file=guest.elf --forward=127.0.0.1:1234 $unlimited amd -- \
	"$VMM" --gdb 127.0.0.1:1234 guest.elf
vmm --box amd --gdb ./socket guest.elf
given "--gdb with a socket" --file=guest.elf --forward=./socket $unlimited amd -- "$VMM" --gdb ./socket guest.elf
# Every option that names a file is known as such: a new one must say what it is.
"$VMM" --help | grep -oE '^  --[a-z-]+ (FILE|PATH)[.a-z]*' | sort > named
is "no other option of --help names a file" "$(awk '{ print $1 }' named | tr '\n' ' ')" \
	"--beside --calls --core --costs --initrd --inspect-core --inspect-file --module --report --stats-file --symbols --trace "

# A terminal's background must not read from it.
in_background='import os, pty, subprocess, sys
pid, terminal = pty.fork()
if pid == 0:
    job = subprocess.Popen(sys.argv[1:], stdout=open("out", "w"), preexec_fn=os.setpgrp)
    os._exit(job.wait())
os.waitpid(pid, 0)'
python3 -c "$in_background" "$VMM" --box amd guest.elf
is "standard input stays out of a job in the background" "$(grep -cx amd out) $(grep -cx -- -i out)" "1 0"

# ---- Refused at once --------------------------------------------------------------------------------

refused() { # NAME STATUS STDERR OPTIONS...: and no box is started
	local name=$1 wanted=$2 pattern=$3
	shift 3
	vmm --box amd "$@"
	expect "$name" "$wanted" "$pattern"
	verdict "$name: no box is started" "$([ -s out ] || echo 1)" "$(cat out)"
}
mkfifo fifo
echo 'no ELF' > text
vmm --box arm guest.elf
expect "--box arm" 2 "--box 'arm': must be here, amd, intel or auto"
refused "another option that is wrong" 2 "--mem '1': is 1 bytes" --mem 1 guest.elf
refused "a guest that is not there" 125 'nosuch.elf: .*No such file' nosuch.elf
refused "a guest that is none" 125 'text: ' text
refused "a core that is not there" 125 'nosuch: cannot read: No such file' --inspect-core nosuch
refused "a core that is a folder" 125 'empty: only a file can be brought' --inspect-core empty
refused "an output in no folder" 125 'no/where: cannot write: No such file' --trace no/where guest.elf
refused "an output that is a folder" 125 'empty: cannot write: Is a directory' --trace empty guest.elf
refused "an output that is a pipe" 125 'fifo: a box brings out files' --trace fifo guest.elf
refused "an output with a colon" 125 'a:b: .*colon' --trace a:b guest.elf
refused "--gdb with a port to be chosen" 2 '--gdb 0: .*must be chosen' --gdb 0 guest.elf
refused "--gdb for other machines" 2 '--gdb any:0.0.0.0:99: .*127.0.0.1 only' --gdb any:0.0.0.0:99 guest.elf

VMM=$work/tree/build/vmm vmm --box intel --gdb 1234 guest.elf
expect "--gdb into the Intel box" 2 '--gdb 1234: there is no way into the Intel box'

# ---- Where kvmbox is -------------------------------------------------------------------------------

found() { # NAME VMM WANTED
	VMM=$2 vmm --box amd guest.elf
	is "$1" "$(head -n 1 out)" "$3" "$(cat err)"
}
PATH=${PATH//"$work"/}
found "kvmbox of the tree" "$work/tree/build/vmm" fake
found "... from a folder below build/" "$work/tree/build/asan/vmm" fake
VMM=$work/empty/vmm vmm --box amd guest.elf
expect "no kvmbox" 125 "no kvmbox beside this program or in PATH: .*make install"
mkdir path
fake path/kvmbox path
PATH=$PATH:$work/path
found "kvmbox in PATH" "$work/empty/vmm" path
fake empty/kvmbox same
found "kvmbox in vmm's own folder comes before PATH" "$work/empty/vmm" same
fake root/bin/kvmbox installed
found "kvmbox of an installation" "$work/root/bin/vmm" installed
chmod -x empty/kvmbox
found "one that cannot be run is none" "$work/empty/vmm" path
ln -s "$work/root/bin/vmm" linked
found "a vmm that is a link looks where it really lies" "$work/linked" installed
printf 'garbage' > root/bin/kvmbox
VMM=$work/root/bin/vmm vmm --box amd guest.elf
expect "a kvmbox that cannot be started" 125 '--box: cannot start .*/root/bin/kvmbox: Exec format error'

# ---- Installed guests --------------------------------------------------------------------------------

fake root/bin/kvmbox installed
VMM=$work/root/bin/vmm
cp "$guest" root/lib/ringscope/guest.elf
cd "$work/here it is" || exit 125
vmm --box amd guest.elf
given "a guest of no folder is the installed one" "--file=$work/root/lib/ringscope/guest.elf" $unlimited amd -- \
	"$VMM" guest.elf
vmm --box amd ./guest.elf
expect "... but not ./guest.elf" 125 '\./guest.elf: .*No such file'
vmm --box amd ../lib/ringscope/guest.elf
expect "... nor any other path" 125 'No such file'
vmm --box amd other.elf
expect "... nor a guest that is not installed" 125 '^vmm: other.elf: .*No such file'
echo text > guest.elf
vmm --box amd guest.elf
expect "the one in the current folder comes first" 125 '^vmm: guest.elf: '
finish
