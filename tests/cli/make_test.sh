#!/usr/bin/env bash
# What people expect of the Makefile: a second make does nothing, help lists the targets,
# compile_commands.json is JSON; make deps installs packages and others say what is missing; install obeys DESTDIR and PREFIX, what it puts there works by itself, and
# uninstall leaves nothing of it and everything else.
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh" || exit 125
cd "$top" || exit 125
# What a make above this one has set is not ours.
unset MAKEFLAGS MAKELEVEL

build() { make BUILD="$BUILD" "$@"; }

works "make builds" build
build > "$work/second" 2>&1
verdict "a second make does nothing" "$(grep -qE 'CC|LINK|AS|GUEST|GEN' "$work/second" || echo 1)" "$(cat "$work/second")"

help=$(make help)
for target in all deps run test bench coverage lint mutants test-asan install uninstall clean compdb; do
	has "make help knows $target" "$help" "make $target "
done

works "make compdb" build -s compdb
verdict "compile_commands.json names the sources" \
	"$(python3 -m json.tool compile_commands.json | grep -q "\"$(find vmm -name run.c)\"" && echo 1)"

# ---- Packages ------------------------------------------------------------------------------------------

# A Debian on which a package and its command are missing; its apt-get writes down what it is asked for.
mkdir "$work/bin" "$work/debian"
cp -s /usr/bin/* "$work/bin" 2> /dev/null
for tool in dpkg-query apt-get sudo; do rm -f "$work/bin/$tool"; done
# shellcheck disable=SC2016
printf '#!/bin/sh\nshift 3\nfor name; do [ "$name" = "$LACKS" ] || echo "$name installed"; done\n' > "$work/debian/dpkg-query"
# shellcheck disable=SC2016
printf '#!/bin/sh\n[ "${*#*install}" = "$*" ] || echo "$*" >> "$APT"\nexit "${APT_STATUS:-0}"\n' > "$work/debian/apt-get"
# shellcheck disable=SC2016
printf '#!/bin/sh\n[ "$1" != -n ] || shift\nexec "$@"\n' > "$work/debian/sudo"
chmod +x "$work"/debian/*
without() { # PACKAGE COMMAND MAKE'S...: into text and status; what apt-get was asked to install into apt
	local command=$2
	: > "$work/apt"
	rm "$work/bin/$command"
	text=$(LACKS=$1 APT=$work/apt PATH=$work/debian:$work/bin make -s BUILD="$work/fresh" "${@:3}" 2>&1 < /dev/null)
	status=$?
	ln -s "/usr/bin/$command" "$work/bin/$command"
	apt=$(cat "$work/apt")
}
while read -r target package command; do
	without "$package" "$command" "$target"
	is "make $target without $package: the first line" "$(head -n 1 <<< "$text")" "missing: $package; type: make deps"
	verdict "... there is but make's own behind it" "$([ "$status" != 0 ] && ! sed 1d <<< "$text" | grep -qv '^make' && echo 1)" "$text"
	is "... and nothing is installed" "$apt" ""
done <<- 'TARGETS'
	all binutils ld
	bench qemu-system-x86 qemu-system-x86_64
	coverage gcovr gcovr
	lint clang-tidy clang-tidy
	test-asan gdb gdb
TARGETS
without gcovr gcovr deps
is "make deps installs it" "$status,${apt##* install }" "0,--no-install-recommends gcovr"
without gcovr gcovr deps SETS="build test"
is "... not what the sets named do not have" "$status,$apt" "0,"
APT_STATUS=100 without gcovr gcovr deps
has "... and says when it could not" "$text" "install-deps: apt-get could not install: gcovr"
has "make deps SETS=x" "$(make -s deps SETS=x 2>&1)" "no set named 'x'"
is "make run begins with make deps" "$(make -n run | sed -n 2p)" "tools/install-deps build"
is "... and so does make test" "$(make -n test | sed -n 2p)" "tools/install-deps build test"

# ---- Installing ----------------------------------------------------------------------------------------

root=$work/root/opt/x
install() { build "${1-install}" DESTDIR="$work/root" PREFIX=/opt/x; }
works "make install" install
for file in bin/vmm bin/kvmbox bin/get-kernel lib/ringscope/guest.elf lib/ringscope/install-deps include/ringscope/shared/abi.h; do
	verdict "... puts $file below DESTDIR and PREFIX" "$([ -f "$root/$file" ] && echo 1)"
done
is "... and nothing outside" "$(ls "$work/root" "$work/root/opt" | tr '\n' ' ')" "$work/root: opt  $work/root/opt: x "
is "... all parts of kvmbox" "$(cd "$root/lib/ringscope/kvmbox.d" && find . -type f ! -name "*.pyc" | sort)" \
	"$(cd tools/kvmbox.d && find . -type f ! -name '*.pyc' | sort)"
for file in bin/vmm bin/kvmbox bin/get-kernel lib/ringscope/install-deps; do
	verdict "... $file can be run" "$([ -x "$root/$file" ] && echo 1)"
done
has "the installed get-kernel finds its parts" "$("$root/bin/get-kernel" --help 2>&1)" "usage: get-kernel"
is "the installed vmm runs" "$("$root/bin/vmm" --version)" "$("$VMM" --version)"
has "the man page can be read" "$(man -l "$root/share/man/man1/vmm.1" 2> /dev/null)" "--timeout"
has "make install with a PREFIX that is no absolute path" "$(build install PREFIX=x 2>&1)" "PREFIX 'x': must begin with /"
is "the guest is found from anywhere" \
	"$(cd "$work" && "$root/bin/vmm" --quiet --box auto guest.elf -- syscalls 2>&1 | grep -c 'getpid')" \
	"$(cd "$BUILD" && "$VMM" --quiet --box auto guest.elf -- syscalls 2>&1 | grep -c 'getpid')"

# ---- Building a guest with what is installed ---------------------------------------------------------------

works "make install once more, at another place" build install PREFIX="$work/usr"
export PKG_CONFIG_PATH=$work/usr/share/pkgconfig
has "pkg-config gives the include folder" "$(pkg-config --cflags ringscope)" "-I$work/usr/include/ringscope "
is "... and the version" "vmm (Ringscope) $(pkg-config --modversion ringscope)" "$("$VMM" --version)"
cp guest/examples/hello.c "$work/hello.c"
cd "$work" || exit 125
# shellcheck disable=SC2046 # words are wanted
works "a guest is built with them alone" gcc -Wall -Werror $(pkg-config --cflags ringscope) hello.c $(pkg-config --libs ringscope) -o hello.elf
text=$("$work/usr/bin/vmm" --quiet --box auto ./hello.elf 2> err)
is "... and runs: status" $? 7 "$(cat err)"
is "... and says hello" "$text" "Hello from ring 0."
cd "$top" || exit 125

# ---- Completion ------------------------------------------------------------------------------------------

# choices OPTION: the values that --help gives for it, as words; "FILE" for a file, "" for others
choices() {
	local value
	value=$("$VMM" --help | sed -n "s/^  $1 \([^ ]*\).*/\1/p")
	case $1,$value in
	--program,*) echo tour check walls hostile crossings memory processes costs counts syscalls cat crash ;;
	--boot,*) echo ringscope linux multiboot2 multiboot pvh elf elf32 ;;
	*FILE* | *PATH*) echo FILE ;;
	*\[*) ;;
	*[a-z]\|[a-z]*) sed 's/|/ /g; s/=N/=/' <<< "$value" ;;
	esac
}
# completed WORDS...: what bash offers for the last of these words
completed() {
	(cd "$work/some files" && bash --norc -c '. "$1" && shift && COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) && _vmm && echo "${COMPREPLY[*]}"' \
		bash "$root/share/bash-completion/completions/vmm" "$@" 2>&1)
}
mkdir "$work/some files" && touch "$work/some files/a guest.elf"
options=$("$VMM" --help | grep -oE '^  --[a-z0-9-]+' | tr -d ' ')
is "the man page has every option of --help" "$(sort <<< "$options")" \
	"$(sed -nE 's/^\.It Fl -([a-z0-9-]+).*/--\1/p' vmm/vmm.1 | sort -u)"
is "--help lists every option of the table" "$(sort <<< "$options")" \
	"$(sed -n 's/^    {"\([a-z0-9-]*\)",.*/--\1/p' vmm/cli/command_line.c | sort)"
is "bash completes every option of --help" "$(completed vmm -)" "$(tr '\n' ' ' <<< "$options" | sed 's/ $//')"
for option in $options; do
	wanted=$(choices "$option")
	case $wanted in
	'') continue ;;
	FILE) is "bash: $option takes a file" "$(completed vmm "$option" a)" "a guest.elf" ;;
	*)
		is "bash: $option takes a choice" "$(completed vmm "$option" '')" "$wanted"
		is "bash: ... behind a = too" "$(completed vmm --quiet "$option" = "${wanted:0:2}")" "$(tr ' ' '\n' <<< "$wanted" | grep "^${wanted:0:2}" | tr '\n' ' ' | sed 's/ $//')"
		;;
	esac
done
is "bash: a size is no choice" "$(completed vmm --mem a)" ""
is "bash: the guest is a file" "$(completed vmm --mem 64M --pti = on '')" "a guest.elf"
is "bash: behind the guest" "$(completed vmm --quiet guest.elf '')" "--"
is "bash: the guest linux" "$(completed vmm --quiet li)" "linux"
is "bash: ... and its program, a file" "$(completed vmm --quiet linux -- a)" "a guest.elf"
is "bash: behind its --" "$(completed vmm --pti on guest.elf -- c)" "check crossings costs counts cat crash"

if command -v zsh > /dev/null; then
	# What _vmm gives to zsh's _arguments, a word a line.
	# shellcheck disable=SC2016
	specs=$(zsh -f -c '_arguments() { print -rl -- "$@" }; . "$1"' zsh "$root/share/zsh/site-functions/_vmm")
	is "zsh completes every option of --help" "$(sed -n "s/^\**\(--[a-z0-9-]*\).*/\1/p" <<< "$specs")" "$options"
	for option in $options; do
		wanted=$(choices "$option")
		case $wanted in
		'') ;;
		FILE) verdict "zsh: $option takes a file" "$(grep -cE -- "^$option=\[.*\]:file:_files$" <<< "$specs")" "$specs" ;;
		*) verdict "zsh: $option takes a choice" "$(grep -E -- "^$option=\[.*\]:" <<< "$specs" | grep -cF -- ":choice:($wanted)")" "$specs" ;;
		esac
	done
	python3 - "$root/share/zsh/site-functions" > "$work/zsh" 2>&1 <<- 'PYTHON'
		# A zsh at a terminal, a tab behind "vmm --qui".
		import os, pty, sys, time
		pid, terminal = pty.fork()
		if pid == 0:
		    os.environ.update(TERM="dumb", PS1="READY ")
		    os.execvp("zsh", ["zsh", "-f", "-i"])
		def until(text, seconds=20):
		    seen, end = b"", time.time() + seconds
		    while text not in seen and time.time() < end:
		        try:
		            seen += os.read(terminal, 4096)
		        except OSError:
		            break
		    return seen
		until(b"READY")
		os.write(terminal, b"fpath=(%s $fpath); autoload -Uz compinit; compinit -u -D; echo LOA''DED\n" % sys.argv[1].encode())
		until(b"LOADED")
		os.write(terminal, b"vmm --qui\t")
		print(until(b"--quiet", 10))
		os.close(terminal)
	PYTHON
	has "zsh: a tab behind --qui" "$(cat "$work/zsh")" "--quiet"
else
	skip "zsh completes every option of --help" "no zsh here (Debian: apt-get install zsh)"
fi

# ---- Uninstalling -----------------------------------------------------------------------------------------

works "make install over an installation" install
works "make uninstall" install uninstall
is "... leaves nothing" "$(find "$work/root" -mindepth 1)" ""
has "make uninstall where nothing is installed" "$(install uninstall 2>&1)" "nothing to remove: no $root/lib/ringscope/installed"
mkdir -p "$root/bin" "$root/share/man/man1"
touch "$root/share/man/man1/other.1"
install > /dev/null 2>&1
touch "$root/lib/ringscope/mine" "$root/share/zsh/site-functions/_other"
before=$(ls "$root/bin")
install uninstall > /dev/null 2>&1
is "make uninstall leaves what is somebody else's, and folders that were there" "$(cd "$root" && find . -mindepth 1 ! -type d -o -mindepth 1 -type d -empty | sort | tr '\n' ' ')" \
	"./bin ./lib/ringscope/mine ./share/man/man1/other.1 ./share/zsh/site-functions/_other "
verdict "... and had something to leave" "$([[ $before == *vmm* ]] && echo 1)"
finish
