#!/usr/bin/env bash
# A machine without /dev/kvm: vmm says what is wrong and gives a command that works from where the user
# stands; `make run` and the other targets do what can be done.  The machine is this one with another /dev,
# in a mount namespace of its own.
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh" || exit 125

if [ "${1-}" != inside ]; then
	if ! unshare -m true 2> /dev/null; then
		skip "without /dev/kvm" "no mount namespace to be had here"
		finish
	fi
	BUILD=$BUILD VMM=$VMM unshare -m "$top/tests/cli/nokvm_test.sh" inside
	exit
fi

mount -t tmpfs none /dev && mkdir /dev/shm /dev/pts && ln -s /proc/self/fd /dev/fd
mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/zero c 1 5; mknod -m 666 /dev/full c 1 7; mknod -m 666 /dev/tty c 5 0
mknod -m 666 /dev/random c 1 8; mknod -m 666 /dev/urandom c 1 9; mknod -m 666 /dev/ptmx c 5 2

# ---- The advice, with a kvmbox that only says what it was given ----------------------------------------

tree=$work/tree
mkdir -p "$tree/build" "$tree/tools" "$work/else where"
cp "$VMM" "$tree/build/vmm"
cp "$guest" "$tree/build/guest.elf"
printf '#!/bin/sh\necho "kvmbox in $PWD"\nprintf "%%s|" "$@"\n' > "$tree/tools/kvmbox"
chmod +x "$tree/tools/kvmbox"

# pasted NAME FOLDER WANTED COMMAND...: the command in the message runs COMMAND's words in the AMD box
pasted() {
	local name=$1 folder=$2 wanted=$3 advice got inside
	shift 3
	inside=("$tree/build/vmm" "${@:2}")
	[ "$1" != env ] || inside=("$tree/build/vmm" "${@:3}")
	cd "$folder" || exit 125
	"$@" > "$work/out" 2> "$work/err" < /dev/null
	status=$?
	expect "$name" 125 '^vmm: /dev/kvm: .*: .*--box amd'
	advice=$(sed -n 's/^vmm: .*; or run it in an emulated machine that has one: //p' "$work/err")
	is "$name: the command" "$advice" "$wanted"
	got=$(bash -c "$advice" < /dev/null)
	has "$name: pasted, it starts a box there" "$got" "kvmbox in $folder"
	has "$name: ... for the same words" "$got|" "|amd|--|$(printf '%s|' "${inside[@]}")"
	cd "$work" || exit 125
}
expect() { # as common.sh has it, of files that lie elsewhere
	if [ "$status" = "$2" ] && grep -Eq -- "$3" "$work/err"; then pass "$1"; else fail "$1" "$status" "$(cat "$work/err")"; fi
}
pasted "from build/" "$tree/build" "./vmm --box amd guest.elf" ./vmm guest.elf
pasted "from the top folder" "$tree" "build/vmm --box amd --quiet build/guest.elf" build/vmm --quiet build/guest.elf
pasted "from another folder, with odd words" "$work/else where" \
	"$tree/build/vmm --box amd --pti on ../tree/build/guest.elf -- cat 'it'\\''s' '' 'a b' '\$HOME' '*'" \
	"$tree/build/vmm" --pti on ../tree/build/guest.elf -- cat "it's" '' 'a b' '$HOME' '*'
PATH=$tree/build:$PATH pasted "by PATH" "$work/else where" "vmm --box amd $guest" env vmm "$guest"
pasted "--probe" "$tree/build" "./vmm --box amd --probe" ./vmm --probe
pasted "--program, which takes no other's place" "$tree/build" "./vmm --box amd --program cat guest.elf -- x" \
	./vmm --program cat guest.elf -- x
has "--box here is not in the command" "$(cd "$tree/build" && ./vmm --box here guest.elf 2>&1)" ": ./vmm --box amd guest.elf"
(cd "$tree/build" && exec -a elsewhere ./vmm guest.elf 2> "$work/err")
has "under another name: the command has the program's own" "$(cat err)" ": $tree/build/vmm --box amd guest.elf"
mv "$tree/tools" "$tree/no-tools"
vmm_alone=$("$tree/build/vmm" "$guest" 2>&1)
has "without kvmbox: no command that would not work" "$vmm_alone" "get Ringscope's kvmbox"
mv "$tree/no-tools" "$tree/tools"

touch /dev/kvm
has "a /dev/kvm that is none" "$("$tree/build/vmm" "$guest" 2>&1)" \
	"/dev/kvm: Inappropriate ioctl for device; this is not KVM, or a KVM that is older than this program; or run it"
has "--box auto sees it" "$("$tree/build/vmm" --box auto "$guest" 2>&1)" "|amd|--|"
rm /dev/kvm
# shellcheck disable=SC2016
has "no right to /dev/kvm" "$(mknod -m 600 /dev/kvm c 10 232 && chmod 755 "$work" && cd / &&
	setpriv --reuid 65534 --clear-groups "$tree/build/vmm" "$guest" 2>&1)" "Permission denied; join the group that owns it"
rm -f /dev/kvm
has "other cures come first" "$("$tree/build/vmm" "$guest" 2>&1)" "modprobe kvm_intel or kvm_amd"

cd "$tree/build" || exit 125
text=$(./vmm --box auto guest.elf 2>&1)
has "--box auto says that it goes to the AMD box" "$text" "vmm: no usable /dev/kvm here: running in the AMD box instead"
has "... and does" "$text" "|amd|--|$tree/build/vmm|guest.elf|"
text=$(./vmm --box auto --quiet guest.elf 2>&1)
is "... without a word if --quiet" "${text%%$'\n'*}" "kvmbox in $tree/build"

# ---- The real box -----------------------------------------------------------------------------------

cd "$top" || exit 125
text=$(make -s run BUILD="$BUILD" < /dev/null 2>&1)
is "make run: its status comes back" $? 0 "$(tail -n 5 <<< "$text")"
is "make run says in one line that it goes to the AMD box" "$(grep -c 'AMD box instead' <<< "$text")" 1
has "... where the tour runs" "$text" "guest.elf ended with status 0"

# What is named comes in, what is written comes out, also in other folders.
mkdir "$work/out put"
cd "$work/else where" || exit 125
text=$(echo "by standard input" | "$VMM" --box amd --quiet --stats json --stats-file "../out put/stats.json" \
	--core "$work/out put/core" ../tree/build/guest.elf -- cat 2>&1)
is "--box amd: status" $? 0 "$text"
is "... standard input and output" "$text" "by standard input"
has "... an output in another folder" "$(cat "../out put/stats.json")" '"end": "EXITED"'
verdict "... no core of a guest that lives" "$([ ! -e "../out put/core" ] && echo 1)"
text=$("$VMM" --box amd --quiet --core core "$guest" -- crash fault 2>&1)
is "--box amd: a guest that dies: status" $? 126 "$text"
has "... and its core" "$("$VMM" --inspect-core core)" "end PANIC"
"$VMM" --box amd --quiet --timeout 2 "$BUILD/tests/spin.elf" > "$work/out" 2>&1
is "--box amd --timeout: status" $? 124 "$(cat "$work/out")"

# A gdb of this machine, and a guest in the box; kvmbox passes the port on.
port=$((20000 + RANDOM % 20000))
"$VMM" --box amd --quiet --gdb $port "$guest" -- tour 5 > "$work/out" 2> "$work/err" &
text=$(timeout 170 gdb -nx -batch -ex 'set remotetimeout 60' -ex 'set tcp connect-timeout 60' \
	-ex "target remote 127.0.0.1:$port" -ex 'break user_mark_syscall' -ex continue -ex 'print $rip == user_mark_syscall' \
	-ex delete -ex detach "$guest" 2>&1)
has "--box amd --gdb: a gdb from here stops the guest in there" "$text" '$1 = 1'
wait $!
is "... and it runs on to its end" $? 0 "$(cat "$work/err")"
has "... with its output here" "$(cat "$work/out")" "What a crossing changes"

# ---- The other targets and tools ----------------------------------------------------------------------

cd "$top" || exit 125
text=$(tools/sweep --pti on --program syscalls 2>&1)
is "tools/sweep: status" $? 0 "$text"
has "... says that it goes to the AMD box" "$text" "sweep: no usable /dev/kvm here: the runs are in the AMD box"
has "... and in its lines" "$text" '"turn":"1","box":"amd"},"program":"syscalls","status":0'
text=$(tests/bench/run --rounds 1 vmm 2>&1)
is "make bench: status" $? 0 "$text"
has "... says that it goes to the AMD box" "$text" "No usable /dev/kvm here: in the AMD box instead"
has "... where it measures" "$text" "exit round trip, with statistics, of the floor"
text=$(tests/cli/vmm_test.sh 2>&1)
is "vmm_test.sh: status" $? 0 "$text"
has "... leaves out in one line what runs a guest" "$text" "every test that runs a guest # SKIP no usable /dev/kvm"
finish
