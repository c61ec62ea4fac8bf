#!/usr/bin/env bash
# What tests/readme notices: in Markdown and in a man page, a figure, a word, a line out of order; what --update
# writes; and that README is as short as it is meant to be.
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh" || exit 125

mkdir -p results/box
printf 'first 12 of 0x1f\nsecond  "%s" 3.5\n  third it'"'"'s a \\ 7\nlast\n' word > results/box/run.out
markdown() { printf 'text\n\n<!-- box/run.out: run -->\n\n' > page.md && printf '    %s\n' "$@" >> page.md && printf '\nend\n' >> page.md; }
manual() { printf '.Pp\n.\\" %s: run\n.Bd -literal\n' "$source" > page.1 && printf '%s\n' "$@" >> page.1 && printf '.Ed\n' >> page.1; }
source=box/run.out
says() { # NAME STATUS PART FILE [--update]
	local name=$1 wanted=$2 part=$3 text
	shift 3
	text=$("$top/tests/readme" results "$@" 2>&1)
	is "$name: status" $? "$wanted" "$text"
	has "$name: message" "$text" "$part"
}

markdown 'first 12 of 0x1f' '...' '  third it'"'"'s a \ 7'
says "what was printed" 0 "ok 1 - page.md's lines 5 to 7, of box/run.out" page.md
markdown 'first ... 0x1f' 'second ...'
says "parts of lines" 0 "ok 1" page.md
markdown 'first 13 of 0x1f' 'second  "word" 3.5'
says "another figure" 1 "line 5: not printed: first 13 of 0x1f" page.md
says "... --update" 0 "ok 1" page.md --update
is "... writes what was printed, and nothing else" "$(cat page.md)" "$(markdown 'first 12 of 0x1f' 'second  "word" 3.5' && cat page.md)"
markdown 'first 13 ... 0x1e'
"$top/tests/readme" results page.md --update > /dev/null
is "... keeps what is left out" "$(sed -n 5p page.md)" "    first 12 ... 0x1f"
markdown 'second  "words" 3.5'
says "another word" 1 'not printed: second  "words" 3.5' page.md --update
markdown 'second ...' 'first ...'
says "another order" 1 "line 6: not printed: first" page.md
markdown 'first' && sed -i 's/run.out/none/' page.md
says "no such result" 0 "# SKIP no such result: tests/run box" page.md
echo > page.md
says "no transcript" 1 "page.md has no transcript" page.md

manual '$ run' 'first 12 of 0x1f' '\&...' '  third it\(aqs a \e 7'
says "a man page" 0 "ok 1 - page.1's lines 4 to 7" page.1
manual 'first 12 of 0x1f' '  third it\(aqs a \e 8'
says "... another figure" 1 "not printed:   third it's a \\ 8" page.1
says "... --update" 0 "ok 1" page.1 --update
is "... escapes what it writes" "$(sed -n 5p page.1)" '  third it\(aqs a \e 7'
source='~box/run.out'
manual 'first 99 of 0x2' 'second "word" 1'
says "figures aside" 0 "ok 1" page.1
manual 'first 99 of many'
says "... words are not" 1 "not printed: first 99 of many" page.1

lines=$(wc -l < "$top/README.md")
verdict "README has at most 150 lines" "$((lines <= 150))" "$lines"
wide=$(MANWIDTH=80 man -l "$top/vmm/vmm.1" 2> warnings | col -bx | grep -E '.{81}')
is "the man page fits 80 columns" "$wide" ""
is "... and is without a warning" "$(cat warnings; MANWIDTH=80 man --warnings -l "$top/vmm/vmm.1" 2>&1 > /dev/null)" ""
finish
