#!/usr/bin/env bash
# tools/sweep and tools/compare: refusals, a sweep on this machine, one over ssh to this machine's own
# sshd (loopback address, keys and configuration of its own, ended afterwards), and what compare makes
# of it.  Prints TAP lines.
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh" || exit 125
set -o pipefail
sweep=$top/tools/sweep compare=$top/tools/compare
sshd_pid=''
at_exit() { if [[ $sshd_pid ]]; then kill "$sshd_pid" 2> /dev/null; fi; }

# refuses NAME STATUS PART COMMAND...
refuses() {
  local text status
  text=$("${@:4}" 2>&1 </dev/null)
  status=$?
  is "$1: status" $status "$2"
  has "$1: message" "$text" "$3"
}

# ---- compare --------------------------------------------------------------------------------------

# record NAME UNIT MODE X_UNIT X VALUES
record() {
  printf '{"name":"%s","unit":"%s","mode":"%s","x_unit":%s,"x":%s,"values":{%s},"nanoseconds":null}' "$@"
}
costs() { # MEDIAN: the least that is a report of the costs program
  printf 'What the guest said\n{\n"exits":{"total":%s},"records":[%s,%s,%s]}\n' "$1" \
    "$(record "SYSCALL getpid" cycles off null null "\"min\":9,\"median\":$1")" \
    "$(record "compute only" percent pcid null null '"min":1.5,"median":null')" \
    "$(record "by rate" percent pcid '"calls a second"' "$1" '"min":2.5')"
}

test_compare() {
  local text
  costs 200 >a.json
  costs 300 >b.json
  printf '{"exits":{"total":5}}' >stats.json
  printf 'no JSON\n' >bad.json
  : >empty.json
  text=$("$compare" a.json b.json)
  is "compare: status" $? 0
  has "compare: a ratio" "$(grep 'SYSCALL getpid, off: median' <<<"$text" | tr -s ' ')" "200 300 x1.5"
  has "compare: a difference of per cents" "$(grep 'compute only, pcid: %' <<<"$text" | tr -s ' ')" "1.50 1.50 +0.00"
  has "compare: a curve by its places" "$(grep 'by rate, pcid, point 1: %' <<<"$text" | tr -s ' ')" "2.50 2.50 +0.00"
  is "compare: what costs are not is not shown" "$(grep -c 'exits/total' <<<"$text")" 0
  text=$("$compare" --json a.json b.json | python3 -c 'import json,sys
rows = {r["figure"]: r for r in json.load(sys.stdin)["rows"]}
print(rows["records/SYSCALL getpid, off: median"]["compared"])')
  is "compare: JSON" "$text" "[1.0, 1.5]"
  has "compare: --only" "$("$compare" --only 'exits' a.json b.json)" "exits/total"
  has "compare: a run that measured no costs" "$("$compare" a.json stats.json)" "exits/total"
  for text in 321 306; do
    printf '{"costs":{"unit":"instructions","spaces":[{"cr3":"0x5%s","ring0":%s,"ring3":9,"crossings":[%s]}]}}\n' "$text" "$text" \
      "{\"crossing\":\"SYSCALL getpid\",\"times\":2,\"each\":$text,\"sum\":700}" >"kpti$text.json"
  done
  has "compare: what a crossing takes more" "$("$compare" kpti306.json kpti321.json | tr -s ' ')" \
    "costs/space 1/SYSCALL getpid: each 306 321 +15"
  has "compare: sums of --costs" "$("$compare" --all kpti306.json kpti321.json | tr -s ' ')" "costs/space 1: ring0 306 321 x1.049"
  printf '{"costs":{"spaces":[{"crossings":[{"crossing":5}]}]}}' >other.json
  refuses "compare: no costs" 1 "other.json: no costs as vmm writes them: spaces/0/crossings/0" "$compare" kpti306.json other.json
  refuses "compare: one run" 1 "one run alone" "$compare" a.json
  printf '{"other":1}' >other.json
  refuses "compare: no report" 1 "other.json: no report of vmm" "$compare" a.json other.json
  refuses "compare: no file" 1 "none.json: No such file" "$compare" a.json none.json
  refuses "compare: not JSON" 1 "bad.json: neither JSON nor JSON Lines: line 1" "$compare" a.json bad.json
  refuses "compare: empty" 1 "empty.json: empty" "$compare" a.json empty.json
  refuses "compare: nothing matches" 1 "no figure has such a name" "$compare" --only nonsense a.json b.json
  refuses "compare: bad expression" 2 "--only (" "$compare" --only '(' a.json b.json
  refuses "compare: no argument" 2 "usage:" "$compare"
}

# compare reads files of others: each mutant of a report is compared or refused in words, and no control character of
# it comes out.
cat > mutants.py << 'PYTHON'
import contextlib
import copy
import importlib.machinery
import importlib.util
import io
import json
import random
import sys

sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("compare", sys.argv[1])
compare = importlib.util.module_from_spec(importlib.util.spec_from_loader("compare", loader))
loader.exec_module(compare)
good = sys.argv[2]
report = json.load(open(good, encoding="utf-8"))
sweep = {"host": "h", "options": {"pti": "on"}, "status": 0, "seconds": 1, "stats": report}
random.seed(1)
VALUES = [None, True, False, 0, -1, 1.5, 10 ** 30, -10 ** 400, 1e308, 5e-324, "", "x", "\x1b[31m", "\ud800", "\u0000", "percent",
          "instructions", [], [[]], {}, {"a": {"b": []}}, [None], [1, "x"], {"\x1b]0;t\x07": 1}]


def paths(value, path=()):
    """Every place in the report."""
    yield path
    for key, below in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from paths(below, path + (key,))


def changed(value, path, new):
    """A copy with another value there; Ellipsis: with none."""
    if not path:
        return None if new is ... else new
    value = copy.deepcopy(value)
    place = value
    for key in path[:-1]:
        place = place[key]
    if new is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = new
    return value


def mutants():
    """File contents."""
    for whole in (report, sweep):
        places = list(paths(whole))
        upper = [path for path in places if len(path) <= 2]
        for _ in range(350):
            path = random.choice(random.choice((upper, places)))
            yield json.dumps(changed(whole, path, random.choice(VALUES + [...]))).encode()
    text = json.dumps(report).encode()
    for _ in range(200):
        at = random.randrange(len(text))
        yield random.choice((text[:at], text[:at] + bytes([random.randrange(256)]) + text[at + 1:], text[at:], text + text[:at]))
    yield from (b"NaN", b"[" * 100000, b'{"exits":{"a":' + b"[" * 200 + b"]" * 200 + b"}}", b'{"exits":{"a":1e999}}',
                b'{"exits":{"a":NaN}}', b'{"exits":{"a":' + b"9" * 5000 + b"}}", b'{"exits":{}}', b"{}", b"\0", b"\xff")


def run(*words):
    """compare's status and what it prints."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "ascii") for _ in range(2))
    sys.argv = ["compare", *words]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        sys.stderr.reconfigure(errors="backslashreplace")
        status = compare.main()
    for stream in (out, err):
        stream.flush()
    return status, out.buffer.getvalue(), err.buffer.getvalue()


total = refused = 0
for mutant in mutants():
    with open("mutant.json", "wb") as file:
        file.write(mutant)
    for words in (("mutant.json", good), (good, "mutant.json", "--json"), ("--all", good, "mutant.json")):
        try:
            status, out, err = run(*words)
            assert status in (0, 1) and (status == 0) == (not err) and (not out or not err), (status, err)
            assert status == 0 or err.startswith(b"compare: ") and err.count(b"\n") == 1, err
            assert not any(byte < 32 and byte != 10 or byte == 127 for byte in out + err), out + err
            if status == 0 and "--json" in words:
                json.loads(out, parse_constant=lambda word: 1 / 0)
        except Exception as error:
            sys.exit(f"{type(error).__name__}: {error}: {words} with {mutant[:300]!r}")
        total, refused = total + 1, refused + status
assert total > 2000 and 500 < refused < total - 100, (total, refused)
PYTHON

test_compare_mutants() {
  local text
  text=$(
    printf '{"schema":1,"host":{"brand":"b"},"options":{"pti":"on","mem":1},"exits":{"total":5,"by_reason":{"IO":{"count":3,"p50":7}}},'
    printf '"time":{"run":9,"guest":4},"crossings":null,"cr3":{"entry":1},"quirks":{"stac":0},"records":[%s,%s,%s]}' \
      "$(record "SYSCALL getpid" cycles off null null '"min":9,"median":11')" \
      "$(record "compute only" percent pcid null null '"min":1.5,"median":null')" \
      "$(record "by rate" percent pcid '"calls a second"' 5 '"min":2.5')"
  )
  printf '%s' "$text" >whole.json
  works "compare: a thousand mutated reports" python3 mutants.py "$compare" whole.json
  refuses "compare: a device" 1 "a device, not a report" "$compare" /dev/zero whole.json
  refuses "compare: says which part" 1 "records/0/values/min: must be a number or null" "$compare" whole.json \
    <(sed 's/"min":9/"min":"x"/' whole.json)
  printf '{"options":{},"stats":{"exits":{}}}\n{"options":[1],"stats":{"exits":{}}}\n' >lines.jsonl
  refuses "compare: says which line's" 1 "options: must be an object" "$compare" lines.jsonl whole.json
}

# ---- sweep ----------------------------------------------------------------------------------------

test_refusals() {
  refuses "sweep: unknown option" 2 "no option --fast" "$sweep" --fast
  refuses "sweep: value missing" 2 "--pti needs a value" "$sweep" --pti
  refuses "sweep: --pti" 2 "--pti: 'maybe' is none of" "$sweep" --pti on,maybe
  refuses "sweep: --mem" 2 "sizes such as" "$sweep" --mem lots
  refuses "sweep: --repeat" 2 "a number from" "$sweep" --repeat 0
  refuses "sweep: --program" 2 "letters, digits" "$sweep" --program 'tour; reboot'
  refuses "sweep: this machine among others" 2 "stands alone" "$sweep" --sshlogin :,other
  is "sweep: --dry-run" "$("$sweep" --dry-run --pti on,off --pcid yes,no --mem 64M,1G --repeat 2 | sort -u | wc -l)" 16
  has "sweep: --help" "$("$sweep" --help)" "exit status:"
}

# What a host prints goes into a line as text, whatever it is.
test_odd_hosts() {
  mkdir odd
  printf '#!/bin/sh\nprintf "\\033[31m\\377\\303\\251\\"\\\\\\n%%0600d" 1 >&2\nexit 7\n' >odd/vmm
  chmod +x odd/vmm
  : >odd/guest.elf
  (cd odd && sh "$top/tools/sweep.d/job" 1 tour "pti=on turn=1") >odd.jsonl
  works "sweep: an odd message is one line of text" python3 -c 'import json
line = json.loads(open("odd.jsonl", "rb").read().decode("ascii"))
assert line["status"] == 7 and line["error"].startswith("status 7: [31m"), line
assert line["error"].isprintable(), line'
}

# field FILE EXPRESSION: of each line's object `r`, in one sorted line.
field() {
  python3 -c 'import json, sys
print(" ".join(sorted(str(eval(sys.argv[2], {"r": json.loads(line)})) for line in open(sys.argv[1]))))' "$1" "$2"
}

test_here() {
  local status
  "$sweep" --pti on,off --program "tour 20" --output here.jsonl
  is "sweep here: status" $? 0
  is "sweep here: a run for each setting" "$(field here.jsonl 'r["options"]["pti"]')" "off on"
  is "sweep here: statistics of each" "$(field here.jsonl 'r["stats"]["guest"]["pti"] != "off"')" "False True"
  has "sweep here: compare reads it" "$("$compare" here.jsonl)" "exits/total"
  "$sweep" --pti off --program "nonsense" --output failed.jsonl
  status=$?
  is "sweep here: a run that fails, status" $status 1
  is "sweep here: ... and what it says" "$(field failed.jsonl 'r["status"]')" 2
  refuses "sweep here: compare refuses it" 1 "the run failed: status 2" "$compare" failed.jsonl here.jsonl
}

# Any port that nobody listens on; sshd says so when it is not.
start_sshd() {
  local port tries
  ssh-keygen -q -t ed25519 -N '' -f host_key && ssh-keygen -q -t ed25519 -N '' -f user_key || return 1
  cp user_key.pub authorized
  # Where sshd drops its rights; Debian makes it only when the service starts.
  [[ -d /run/sshd ]] || mkdir -p /run/sshd 2>/dev/null
  for ((tries = 0; tries < 5; tries++)); do
    port=$((20000 + RANDOM % 20000))
    printf '%s\n' "Port $port" "ListenAddress 127.0.0.1" "HostKey $work/host_key" \
      "AuthorizedKeysFile $work/authorized" "StrictModes no" "UsePAM no" \
      "PasswordAuthentication no" "PidFile none" "PermitRootLogin prohibit-password" \
      "MaxStartups 100" >sshd_config
    "$(command -v sshd || echo /usr/sbin/sshd)" -D -e -f "$work/sshd_config" 2>sshd.log &
    sshd_pid=$!
    printf '%s\n' "Host one two" "HostName 127.0.0.1" "Port $port" "IdentityFile $work/user_key" \
      "IdentitiesOnly yes" "StrictHostKeyChecking no" "UserKnownHostsFile /dev/null" "LogLevel ERROR" \
      "BatchMode yes" "ConnectTimeout 10" >ssh_config
    sleep 0.5
    if ssh -F ssh_config one true 2>ssh.log; then return 0; fi
    kill "$sshd_pid" 2>/dev/null
    sshd_pid=''
  done
  return 1
}

test_ssh() {
  local before after
  if ! start_sshd; then
    skip "sweep over ssh" "no sshd here: $(tail -qn 1 sshd.log ssh.log 2>/dev/null | tr '\n' ' ')"
    return
  fi
  before=$(ls -a ~ ~/.parallel/tmp 2>/dev/null)
  "$sweep" --sshlogin one,two --ssh "ssh -F $work/ssh_config" --pti on,off --program "tour 20" \
    --output ssh.jsonl
  is "sweep over ssh: status" $? 0
  is "sweep over ssh: every setting on every host" \
    "$(field ssh.jsonl 'r["host"] + ":" + r["options"]["pti"]')" "one:off one:on two:off two:on"
  is "sweep over ssh: statistics of each" "$(field ssh.jsonl 'r["stats"]["guest"]["status"]')" "0 0 0 0"
  has "sweep over ssh: compare" "$("$compare" ssh.jsonl)" "D: two"
  after=$(ls -a ~ ~/.parallel/tmp 2>/dev/null)
  is "sweep over ssh: nothing left there" "$after" "$before"
  refuses "sweep over ssh: a host that is not there" 125 "runs of 2 came back" \
    "$sweep" --sshlogin nobody.invalid --ssh "ssh -F $work/ssh_config" --program "tour 20"
  kill "$sshd_pid" && wait "$sshd_pid" 2>/dev/null
  sshd_pid=''
}

# missing COMMAND...: those that are not there.
missing() {
  local command
  for command in "$@"; do command -v "$command" >/dev/null || printf '%s ' "$command"; done
}

test_compare
test_compare_mutants
test_odd_hosts
test_refusals
if ! "$top/tests/have-kvm"; then
  skip "sweep here and over ssh" "no usable /dev/kvm"
elif [[ $(missing parallel rsync) ]]; then
  skip "sweep here and over ssh" "not installed: $(missing parallel rsync)"
else
  test_here
  if [[ $(missing ssh ssh-keygen) ]]; then skip "sweep over ssh" "no OpenSSH"; else test_ssh; fi
fi
finish
