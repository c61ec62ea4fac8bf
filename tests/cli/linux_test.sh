#!/usr/bin/env bash
# The guest "linux": get-kernel over an archive of this test's own, what vmm refuses, and, in the AMD box, programs
# under the real kernel, which is fetched once and kept in the build folder.
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh" || exit 125
get_kernel=$top/tools/get-kernel

# ---- An archive ----------------------------------------------------------------------------------------

# A bzImage with a gzip-packed ELF file in it, as the boot protocol has both; as a package, and one with busybox.
cat > make-image << 'PYTHON'
import gzip, struct, sys
elf = b"\x7fELF" + sys.argv[2].encode() * 100
payload = gzip.compress(elf, mtime=0) + struct.pack("<I", len(elf))
image = bytearray(1024 + len(payload))
image[0x1f1] = 1                                        # setup_sects
struct.pack_into("<I", image, 0x1f4, (len(payload) + 15) // 16)
struct.pack_into("<H4sH", image, 0x1fe, 0xaa55, b"\xeb\x6aHd", 0)
image[0x202:0x206] = b"HdrS"
struct.pack_into("<H", image, 0x206, 0x20f)
image[0x211] = 1                                        # loaded high
struct.pack_into("<H", image, 0x236, 1)                 # 64-bit entry
struct.pack_into("<IIIQI", image, 0x248, 0, len(payload), 0, 0, 0)
struct.pack_into("<QI", image, 0x258, 0x1000000, 0x100000)
image[1024:] = payload
open(sys.argv[1], "wb").write(image)
PYTHON
package() { # NAME FOLDER
	mkdir -p "$2/DEBIAN" archive
	printf 'Package: %s\nVersion: 1\nArchitecture: amd64\nMaintainer: a test\nDescription: a test\n' "$1" > "$2/DEBIAN/control"
	dpkg-deb -b "$2" "archive/$1.deb" > /dev/null
}
kernel() { # NAME
	mkdir -p "$1/boot"
	python3 make-image "$1/boot/vmlinuz-$1" "$1"
	package "linux-image-$1" "$1"
}
for name in 6.1.0-9-cloud-amd64 6.1.0-10-cloud-amd64 6.12.3+bpo-cloud-amd64; do kernel $name; done
mkdir -p busybox/bin
printf '#!/bin/sh\nprintf "sh\\nls\\n"\n' > busybox/bin/busybox
chmod +x busybox/bin/busybox
package busybox-static busybox

# What apt does of them: KNOWN names those that it knows, NETWORK=no, and SLOW seconds for a download.
mkdir apt
cat > apt/apt-cache << TEXT
#!/bin/sh
grep "^\$2" "$work/known"
TEXT
cat > apt/apt-get << TEXT
#!/bin/sh
echo "\$@" >> "$work/apt.log"
sleep "\${SLOW-0}"
for word; do :; done
[ ! -e "$work/offline" ] || { echo "no network, says apt" >&2; exit 100; }
[ "\$word" = update ] || cp "$work/archive/\$word.deb" .
TEXT
chmod +x apt/*
all_known() { printf 'linux-image-%s\n' 6.1.0-9-cloud-amd64 6.1.0-10-cloud-amd64 6.1.0-10-cloud-amd64-unsigned 6.1.0-11-cloud-amd64-dbg > known; }
all_known
export XDG_CACHE_HOME=$work/cache
kept=$work/cache/ringscope/linux-6.1

get() { # WORDS...: into out, err and status, with that apt
	: > apt.log
	PATH=$work/apt:$PATH timeout --kill-after=2 100 "$get_kernel" "$@" > out 2> err < /dev/null
	status=$?
}

# ---- get-kernel --------------------------------------------------------------------------------------------

get
expect "get-kernel" 0 'fetching Linux 6.1' "^vmlinux  $kept/vmlinux$"
has "... the newest of its version, no other kind" "$(cat out)" "linux-image-6.1.0-10-cloud-amd64"
is "... the kernel is unpacked" "$(head -c 24 "$kept/vmlinux" | tr -d '\177')" "ELF6.1.0-10-cloud-amd64"
cmp -s "$kept/vmlinuz" 6.1.0-10-cloud-amd64/boot/vmlinuz-*
is "... and kept as it was too" $? 0
verdict "... with a busybox that can be run" "$([ -x "$kept/busybox" ] && echo 1)"
touch offline
get
expect "a second time, without a network" 0 '' "^vmlinux  $kept/vmlinux$"
is "... apt is not asked" "$(cat apt.log err)" ""

# As many bytes, and the old time.
touch -r "$kept/vmlinux" was
printf 'x' | dd of="$kept/vmlinux" bs=1 seek=9 conv=notrunc 2> /dev/null
touch -r was "$kept/vmlinux"
get
expect "a damaged file, without a network" 125 'vmlinux is damaged: it is made again'
has "... says what it could not do" "$(cat err)" "no network, says apt"
rm offline
get
expect "... with one it is fetched again" 0 'is damaged'
is "... and whole" "$(head -c 24 "$kept/vmlinux" | tr -d '\177')" "ELF6.1.0-10-cloud-amd64"
rm "$kept/busybox"
get
expect "a file that is gone" 0 'busybox is gone: it is made again'
get 6.1 --folder "$work/other"
expect "--folder" 0 '' "^vmlinux  $work/other/linux-6.1/vmlinux$"

# Killed while it fetches: nothing is there, and the next one begins anew.
rm -rf cache
(SLOW=30 PATH=$work/apt:$PATH exec "$get_kernel" > /dev/null 2>&1) &
victim=$!
until grep -q download apt.log; do sleep 0.1; done
kill -9 $victim
wait $victim 2> /dev/null
verdict "killed while it fetches, it leaves no kernel" "$([ ! -e "$kept" ] && echo 1)"
get
expect "... the next one makes it" 0
for _ in {1..50}; do [ -n "$(find cache/ringscope -name 'new.*')" ] || break; sleep 0.1; done
is "... nothing else is left" "$(find cache/ringscope -name 'new.*')" ""

rm -rf cache
: > apt.log
for i in 1 2; do
	SLOW=1 PATH=$work/apt:$PATH "$get_kernel" > out.$i 2>&1 &
done
wait
is "two at once fetch it once" "$(grep -c 'download linux-image' apt.log)" 1
is "... and both have it" "$(grep -l "$kept/vmlinux" out.1 out.2 | tr '\n' ' ')" "out.1 out.2 "

get 6.12
expect "a version that apt does not know" 125 'this line in /etc/apt/sources.list .*: deb http[^ ]* bookworm-backports main'
echo linux-image-6.12.3+bpo-cloud-amd64 >> known
get 6.12
expect "... and when it does" 0 '' "^vmlinux  $work/cache/ringscope/linux-6.12/vmlinux$"
get 5.10
expect "a version that there is not" 2 "'5.10': must be 6.1 or 6.12"
get --folder /proc/none
expect "a folder that cannot be" 125 'cannot keep anything in /proc/none: .*--folder DIR'
get --nothing
expect "an option that there is not" 2 'no option --nothing'
get --help
expect "--help" 0 '' '^usage: get-kernel'

# ---- Initial RAM disks --------------------------------------------------------------------------------------

mkdir data && echo one > data/a && echo three > b && chmod 750 b
get --initrd rd data=etc/data b=usr/bin/b "$work/b"
expect "--initrd" 0 '' ''
(mkdir inside && cd inside && cpio -idm --quiet < ../rd)
is "... what is in it" "$(cd inside && find . -type f -printf '%m %P\n' | sort)" $'644 etc/data/a\n750 b\n750 usr/bin/b'
is "... and as it was" "$(cat inside/etc/data/a inside/usr/bin/b)" $'one\nthree'
get --initrd rd --busybox
rm -rf inside
(mkdir inside && cd inside && cpio -idm --quiet < ../rd)
is "--busybox brings it, names for it, and an init" "$(readlink inside/bin/sh inside/bin/ls) $(head -n 1 inside/init)" \
	$'busybox\nbusybox #!/bin/busybox sh'
get --initrd rd nothere
expect "--initrd with a file that is not there" 125 'nothere: cannot read'
get --initrd rd b b
expect "... with one name twice" 2 'b: two files of this name'
get --initrd none/rd b
expect "... that cannot be written" 125 'cannot write none/rd: No such file'
get --initrd rd
expect "... with nothing in it" 2 'nothing is to be in it'
is "... and nothing else is left" "$(find . -maxdepth 1 -name '.initrd*')" ""

# ---- What vmm refuses ---------------------------------------------------------------------------------------

cat > program.c << 'TEXT'
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	for (int i = 0; i < argc; i++)
		printf("<%s>\n", argv[i]);
	fflush(stdout);
	if (!strcmp(what, "copy")) {
		char buffer[4096];
		ssize_t got;

		while ((got = read(0, buffer, sizeof(buffer))) > 0)
			write(1, buffer, (size_t)got);
	} else if (!strcmp(what, "die")) {
		raise(SIGSEGV);
	} else if (!strcmp(what, "loop")) {
		for (;;)
			;
	} else if (!strcmp(what, "see")) {
		char line[4096] = "";
		FILE *file = fopen("/etc/data/a", "r");

		printf("%s", file && fgets(line, sizeof(line), file) ? line : "no file\n");
		file = fopen("/proc/cmdline", "r");
		printf("%s", file && fgets(line, sizeof(line), file) ? line : "no /proc\n");
		printf("%d %s %s\n", getppid(), ttyname(0), getenv("PATH"));
	}
	return argc > 2 ? atoi(argv[2]) : 0;
}
TEXT
gcc -O2 -static -o program program.c 2> err || fail "a static program is built" "$(cat err)"
gcc -O2 -o dynamic program.c
printf '#!/bin/sh\n' > script
cp program unexecutable
chmod +x script && chmod -x unexecutable
{ head -c 4 program && printf '\1' && tail -c +6 program; } > narrow
echo text > text
chmod +x narrow text
mkdir folder
refused() { # NAME STDERR WORDS...
	local name=$1 pattern=$2
	shift 2
	VMM=$fake_vmm vmm --box amd "$@"
	expect "$name" 125 "$pattern"
	verdict "$name: no box is started" "$([ -s out ] || echo 1)" "$(cat out)"
}
# A kvmbox that only says what it was given.
mkdir -p tree/build tree/tools
cp "$VMM" tree/build/vmm
fake_vmm=$work/tree/build/vmm
printf '#!/bin/sh\nprintf "%%s\\n" "$@"\n' > tree/tools/kvmbox
chmod +x tree/tools/kvmbox
cp 6.1.0-10-cloud-amd64/boot/vmlinuz-* "$kept/vmlinux"

refused "a program that is not there" 'nothere: cannot read: No such file' linux -- ./nothere
refused "a dynamic one" 'dynamic: needs /lib64/ld-linux.* -static' linux -- ./dynamic
refused "a script" 'script: is a script' linux -- ./script
refused "a folder" 'folder: is a folder' linux -- ./folder
refused "one of 32 bits" 'narrow: is a 32-bit program' linux -- ./narrow
refused "one that may not be executed" 'unexecutable: may not be executed: chmod \+x' linux -- ./unexecutable
refused "a text" 'text: is no program' linux -- ./text
refused "a kernel that was not fetched" 'no kernel .*/linux-5.10/vmlinux: .*get-kernel' linux:5.10 -- ./program
refused "a kernel's file that is none" 'text: ' linux:./text -- ./program
refused "another guest's file" 'guest.elf: is no Linux kernel' "linux:$guest" -- ./program
XDG_CACHE_HOME=$work/none refused "no kernel at all" "no kernel $work/none/ringscope/linux-6.1/vmlinux" linux -- ./program
rm -f "$kept/busybox"
refused "no program, and no busybox" 'no program to run' linux
vmm --program x linux -- ./program
expect "--program" 2 'of a Linux guest it comes behind'

# given NAME WORDS...: what kvmbox was given, but for what every run has
given() {
	local name=$1
	shift
	is "$name" "$(grep -vxF -e --here -e "--file=$fake_vmm" -e -i -e --timeout=9999999 out | tr '\n' '|')" "$(printf '%s|' "$@")" "$(cat err)"
}
VMM=$fake_vmm vmm --append 'two words' --box amd linux -- ./program a 'b c' ''
given "into a box go kernel and program" --exact --coarse "--file=$kept/vmlinux" \
	--file=./program amd -- "$fake_vmm" --append "two words" \
	"linux:$kept/vmlinux" -- ./program a 'b c' ''
VMM=$fake_vmm vmm --cpus 2 --box amd --initrd b linux -- ./dynamic
given "with two CPUs not --exact; with --initrd also a dynamic one" "--file=$kept/vmlinux" --file=./dynamic --file=b amd -- \
	"$fake_vmm" --cpus 2 --initrd b "linux:$kept/vmlinux" -- ./dynamic
touch "$kept/busybox" && chmod +x "$kept/busybox" && cp program "$kept/busybox"
VMM=$fake_vmm vmm --box intel linux
given "no program: busybox" "--file=$kept/vmlinux" "--file=$kept/busybox" intel -- "$fake_vmm" "linux:$kept/vmlinux" -- \
	"$kept/busybox" sh -c '/bin/busybox --install -s /bin; exec sh'
cp "$guest" linux
VMM=$fake_vmm vmm --box amd linux
given "a file named linux comes first" --file=linux amd -- "$fake_vmm" linux
rm linux

# ---- Under the real kernel -----------------------------------------------------------------------------------

# Where tests/run has it for other suites.
export XDG_CACHE_HOME=$work/real
mkdir -p "$BUILD/kernels" real
ln -s "$BUILD/kernels" real/ringscope
if ! "$get_kernel" > out 2> err; then
	skip "programs under Debian's kernel" "it is fetched once, and could not be: $(head -n 1 err)"
	finish
fi
in_box() { vmm --quiet --box amd --timeout 60 "$@"; }

in_box linux -- ./program 'two words' 7 ''
expect "a program under Linux: its status" 7
is "... its arguments, byte for byte" "$(cat out)" $'<./program>\n<two words>\n<7>\n<>'
is "... nothing else is said" "$(cat err)" ""
in_box linux -- "$work/program" x 123
expect "the greatest status" 123
in_box linux -- ./program x 200
expect "... and one that is not its to give" 126 'ended with status 200: only 0 to 123'
in_box linux -- ./program die
expect "a program that dies" 126 'status 139' 'ringscope: ./program died of signal 11 \(SIGSEGV\)'
vmm --quiet --box amd --timeout 3 linux -- ./program loop
expect "a program without an end" 124 'time-out after 3 s'
"$get_kernel" --initrd rd data=etc/data
in_box --append 'some=thing loglevel=1' --initrd rd linux:6.1 -- ./program see
expect "--initrd brings files too" 0 '' '^one$'
has "... --append comes last" "$(cat out)" "cryptomgr.notests some=thing loglevel=1"
has "... and init is its parent" "$(cat out)" $'\n1 /dev/ttyS0 /bin:'
{ seq 3000 && printf 'no newline'; } > input
timeout 600 "$VMM" --quiet --box amd --timeout 60 linux -- ./program copy < input > out 2> err
is "standard input comes to it, to its end: status" "$?" 0 "$(cat err)"
is "... nothing is lost or added" "$(tail -n +3 out | cmp - input 2>&1)" ""
# shellcheck disable=SC2016
echo 'echo $((6 * 7)); ls / | grep -x bin; exit 5' | timeout 600 "$VMM" --quiet --box amd --timeout 60 linux > out 2> err
is "without a program it is a shell: status" "$?" 5 "$(cat err)"
is "... which does what it is told" "$(grep -oE '42$|^bin$' out | tr '\n' ' ')" "42 bin " "$(cat out)"

finish
