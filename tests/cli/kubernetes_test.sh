#!/usr/bin/env bash
# tools/kubernetes-job.yaml against the schema of the Kubernetes API, which comes from npm and is kept in
# the build folder; and that the validation finds mistakes.  Prints TAP lines.
set -uo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
build=${BUILD:-build}
[[ $build == /* ]] || build=$top/$build
manifest=$top/tools/kubernetes-job.yaml
packages=$build/kubernetes

number=0 failed=0
ok() { printf 'ok %d - %s\n' $((++number)) "$1"; }
not_ok() {
  printf 'not ok %d - %s\n' $((++number)) "$1"
  failed=1
}
finish() {
  printf '1..%d\n' $number
  exit $failed
}
skip_all() {
  printf 'ok %d - Kubernetes manifest # SKIP %s\n' $((++number)) "$1"
  finish
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

for command in node npm; do
  command -v "$command" >/dev/null || skip_all "no $command (Debian: apt-get install nodejs npm)"
done
if [[ ! -d $packages/node_modules/kubernetes-models || ! -d $packages/node_modules/js-yaml ]]; then
  mkdir -p "$packages"
  timeout 120 npm install --prefix "$packages" --no-audit --no-fund --silent \
    kubernetes-models@4 js-yaml@4 >"$scratch/npm.log" 2>&1 ||
    skip_all "npm install failed: $(tail -n 1 "$scratch/npm.log")"
fi

validate() { NODE_PATH=$packages/node_modules node "$top/tests/kubernetes/validate.js" "$1" 2>"$scratch/errors"; }

if validate "$manifest"; then
  ok "the manifest is a valid batch/v1 Job"
else
  not_ok "the manifest is a valid batch/v1 Job"
  sed 's/^/# /' "$scratch/errors"
fi

# finds NAME SED-EXPRESSION PART: the manifest so changed is refused, and the reason names PART.
finds() {
  sed "$2" "$manifest" >"$scratch/changed.yaml"
  if cmp -s "$manifest" "$scratch/changed.yaml"; then
    not_ok "$1"
    echo "# nothing to change in the manifest: $2"
  elif validate "$scratch/changed.yaml" || ! grep -q -- "$3" "$scratch/errors"; then
    not_ok "$1"
    sed 's/^/# /' "$scratch/errors"
  else
    ok "$1"
  fi
}

finds "a wrong type is found" 's/backoffLimit: 1/backoffLimit: one/' '/spec/backoffLimit'
finds "a misspelt member is found" 's/restartPolicy:/restartPolcy:/' 'restartPolcy is no member'
finds "a missing member is found" '/^ *containers:/,$d' 'containers'
finds "another kind is found" 's/kind: Job/kind: CronJob/' 'not a batch/v1 Job'

if grep -q 'devices.kubevirt.io/kvm: "1"' "$manifest"; then
  ok "the manifest asks the plugin for /dev/kvm"
else
  not_ok "the manifest asks the plugin for /dev/kvm"
fi
finish
