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
