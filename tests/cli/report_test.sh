#!/usr/bin/env bash
# --report: one page that stands alone, is well-formed, says what happened, and opens in a browser.
#
#   tests/cli/report_test.sh       VMM and BUILD say where vmm and its guests are
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh" || exit 125
need_kvm report

cat > page.py << 'PYTHON'
"""Checks a page: page.py FILE [TEXT...]: well-formed, needs nothing from outside, says each TEXT."""
import sys
import xml.etree.ElementTree as tree

source = open(sys.argv[1], encoding="ascii").read()
assert source.startswith("<!DOCTYPE html>\n"), source[:40]
root = tree.fromstring(source)  # HTML written so that it is XML too


def name(element):
    return element.tag.rpartition("}")[2]


for element in root.iter():
    assert name(element) not in ("script", "iframe", "img", "link", "object"), name(element)
    for key, value in element.attrib.items():
        assert key not in ("href", "src") and not key.startswith("on"), (key, value)
        assert "url(" not in value, value
style = "".join(e.text for e in root.iter("style"))
assert "url(" not in style and "@import" not in style
for wanted in ("prefers-color-scheme:dark", "@media print", "@page"):
    assert wanted in style, wanted
pictures = [e for e in root.iter() if name(e) == "svg"]
assert pictures
for picture in pictures:
    assert name(picture[0]) == "title" and picture[0].text, "a picture without a title"
    width, height = (float(v) for v in picture.get("viewBox").split()[2:])
    for e in picture.iter():
        if name(e) == "rect":
            x, y, w, h = (float(e.get(k)) for k in ("x", "y", "width", "height"))
            assert -1 <= x and x + w <= width + 1 and -1 <= y and y + h <= height + 1, e.attrib
        if name(e) == "text":
            assert -1 <= float(e.get("x")) <= width and 0 <= float(e.get("y")) <= height, e.attrib
text = " ".join(" ".join(root.itertext()).split())
for wanted in sys.argv[2:]:
    assert wanted in text, f"'{wanted}' is not in: {text}"
PYTHON
page() { # NAME FILE TEXT...
	local name=$1
	shift
	works "$name" python3 page.py "$@"
}

# ---- The tour ---------------------------------------------------------------------------------

vmm --report tour.html --stats json --stats-file tour.json "$guest" -- tour 40
expect "the tour runs" 0
page "its page stands alone and has every part" tour.html "tour 40 ended with status 0" \
	"In plain words" "What crossings cost" "SYSCALL getpid" "The two address spaces" "entry area" \
	"Exits over time" "Exits by reason" "Crossings" "Completed for this KVM" "The machine" \
	"With KPTI on, ring 3 runs on tables that map 21 of the"
if command -v xmllint > /dev/null; then
	works "xmllint agrees" xmllint --noout tour.html
else
	skip "xmllint agrees" "xmllint is not installed"
fi
figures() {
	python3 - << 'PYTHON'
import json, re, html
page = html.unescape(open("tour.html").read())
stats = json.load(open("tour.json"))
def says(number):
    assert re.search(rf">{number:,}<", page), number
says(stats["exits"]["total"])
for key in ("syscall64", "int80", "user_faults", "context_switches", "processes"):
    says(stats["crossings"][key])
for key in ("entry", "exit", "switch", "flush"):
    if stats["cr3"][key]:
        says(stats["cr3"][key])
records = stats["records"]
names = {r["name"] for r in records}
assert {"SYSCALL getpid", "INT 0x80 getpid", "CR3 switch by sched_yield"} <= names, names
for r in records:
    assert r["name"] in page and any(v is not None for v in r["values"].values()), r
    assert r["mode"] in ("off", "pcid", "nopcid", None), r
PYTHON
}
works "its figures are those of the JSON report" figures
same_tour() {
	python3 - << 'PYTHON'
import json
a, b = json.load(open("tour.json")), json.load(open("plain.json"))
for key in ("crossings", "cr3", "quirks"):
    assert a[key] == b[key], key
PYTHON
}
vmm --stats json --stats-file plain.json "$guest" -- tour 40
works "the guest counts the same with and without" same_tour

# ---- What KPTI adds ---------------------------------------------------------------------------

LIMIT=300 vmm --report costs.html --quiet --stats json --stats-file costs.json --program costs "$guest"
expect "the costs are measured" 0
page "its page has what KPTI adds" costs.html "What KPTI adds" "overhead by working set: percent" \
	"compute only" "work and system calls" "system calls only" "KAISER 0.28 % on average"
# A curve where there are points, and a line for each mode; what the cycles are is said.
curves() {
	python3 - << 'PYTHON'
import json
import xml.etree.ElementTree as tree
records = json.load(open("costs.json"))["records"]
page = open("costs.html").read()
pictures = {p[0].text: p for p in tree.parse("costs.html").iter("{http://www.w3.org/2000/svg}svg")}
for name in ("overhead by system-call rate", "overhead by working set"):
    points = [r for r in records if r["name"] == name]
    assert points or "rate" in name  # system calls may be too slow for any rate
    assert (name in pictures) == bool(points), name
    for mode, line in (("pcid", "l1"), ("nopcid", "l2")):
        wanted = sum(r["mode"] == mode for r in points)
        # Between the points, and beside the name.
        lines = sum(e.get("class") == line for e in pictures[name].iter()) if points else 0
        assert lines == wanted, (name, mode, lines, wanted)
for r in records:
    if r["outliers"]:
        assert f"{r['outliers']} sample{'s' * (r['outliers'] != 1)} told apart" in page, r
units = {r["unit"] for r in records}
assert ("interprets ring 0" in page) == ("interp. cycles" in units)
assert ("this CPU is emulated" in page) == ("emulated cycles" in units)
assert ("Its clock counted instructions" in page) == ("instructions" in units)
PYTHON
}
works "its curves are those that the guest measured, and it says what they are worth" curves

# ---- Escapes ------------------------------------------------------------------------------------

LIMIT=300 vmm --report walls.html --quiet --pti on --stats json --stats-file walls.json "$guest" -- walls
expect "the walls are tried" 0
page "its page has the escape table" walls.html "Escapes tried" "walls: Privileged instructions" \
	"walls: Ways in, abused" "attempt the manuals got KPTI verdict" "as promised"
# Every attempt, every departure's reason, and the sums.
attempts() {
	python3 - << 'PYTHON'
import json
import xml.etree.ElementTree as tree
escapes = json.load(open("walls.json"))["escapes"]
page = tree.parse("walls.html")
tables = [e for e in page.iter() if e.get("class") == "esc"]
names = ["".join(row[0].itertext()) for t in tables for row in t]
assert len(escapes["rows"]) > 100
for row in escapes["rows"]:
    assert any(row["name"] in name for name in names), row
    if row["why"]:
        assert any(row["why"] in name for name in names), row
text = " ".join("".join(page.getroot().itertext()).split())
assert f"{len(escapes['rows'])} attempts: {escapes['ok']} as the manuals promise" in text
verdicts = [e.text for e in page.iter() if (e.get("class") or "").startswith("verdict")]
assert ("departs" in verdicts) == bool(escapes["departs"]) and "DIFFERS" not in verdicts
assert len(verdicts) <= len(escapes["rows"])
PYTHON
}
works "its rows and sums are those of the JSON report" attempts

# ---- Every end --------------------------------------------------------------------------------

vmm --report timeout.html --timeout 0.3 --stats none "$guest" -- tour 100000
expect "a run that is out of time" 124
page "... has a page" timeout.html "its time was up"
vmm --report crash.html --stats none "$guest" -- crash fault
page "a panic has a page" crash.html "panicked"
vmm --report triple.html --stats none "$guest" -- crash triple
page "a triple fault has a page" triple.html "died of a triple fault"
vmm --report hello.html --quiet "$BUILD/hello.elf"
expect "a guest without a note" 7
page "... has a page" hello.html "ended with status 7" "not counted"
vmm --report words.html --quiet "$guest" -- crash '<script>alert(1)</script>' '&"'\'
page "words of the command line stay words" words.html "crash <script>alert(1)</script> &\"' ended"
vmm --report part.html --trace t.json --trace-limit 16K --stats none "$guest" -- tour 40
page "a trace that is not complete is said" part.html "events were dropped at its limit"
if [ -e "$BUILD/tests/tracer.elf" ]; then
	vmm --report lies.html --quiet "$BUILD/tests/tracer.elf"
	expect "a guest that lies in records and about its roots" 0
	page "... has a page" lies.html "ended with status 0"
else
	skip "a guest that lies in records and about its roots" "tests/tracer.elf is not built"
fi

# ---- Places ------------------------------------------------------------------------------------

vmm --report '' "$guest"
expect "--report '' is refused" 2
vmm --report /nonexistent/r.html "$guest"
expect "a page that cannot be written ends it before the guest runs" 125 '/nonexistent/r.html'
works "nothing is left behind" test -z "$(find . -name '.vmm-*')"

# ---- In a browser --------------------------------------------------------------------------------

# The page as light and dark: pictures that are not empty, and differ.
browse() { # PICTURE OPTION...
	local picture=$1
	shift
	timeout 60 "$chromium" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
		--disable-background-networking --disable-component-update --disable-sync \
		--user-data-dir="$work/profile" --hide-scrollbars --window-size=1040,2400 \
		"$@" --screenshot="$work/$picture" "file://$work/tour.html" > browser.log 2>&1
	[ "$(stat -c %s "$picture" 2> /dev/null || echo 0)" -gt 20000 ] || tail -n 3 browser.log
}
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
if [ -n "$chromium" ]; then
	works "a browser shows it" test -z "$(browse light.png)"
	works "... and darkly" test -z "$(browse dark.png --blink-settings=preferredColorScheme=0)"
	works "... which is another picture" bash -c '! cmp -s light.png dark.png'
else
	skip "a browser shows it" "chromium is not installed"
fi

finish
