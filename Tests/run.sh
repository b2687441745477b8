#!/usr/bin/env bash
# Every check, the quickest refusal first. Each stage says how long it took.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck disable=SC2206 # several options in one variable
flags=(${BUILD_FLAGS:-} --explicit-target-dependency-import-check error)
swift=${SWIFT:-swift}
begun=$SECONDS

stage() { # stage NAME COMMAND...
  local name=$1 start=$SECONDS
  shift
  printf '\n== %s\n' "$name"
  "$@"
  printf '== %s: %d s\n' "$name" $((SECONDS - start))
}

stage packages bash Tests/packages.sh test
stage lint bash Tests/lint.sh
[[ ! -f Tests/CSanitize/run.sh ]] || stage 'C under sanitizers' bash Tests/CSanitize/run.sh
stage 'model of the commit protocol' bash Tests/model.sh
stage build "$swift" build --build-tests "${flags[@]}"

# The tests print thousands of lines: what failed is said again at the end, where a reader looks.
tests() { # tests ARGUMENT...
  local log status=0
  log=$(mktemp)
  "$swift" test --skip-build "$@" 2>&1 | tee "$log" || status=$?
  if ((status != 0)); then
    printf '\n== what failed\n'
    grep -aE -A 4 '^.{0,4}(✘|error:)|recorded an issue' "$log" | tail -n 60 || true
  fi
  rm -f "$log"
  return "$status"
}

MUNINN=$("$swift" build --show-bin-path)/muninn
export MUNINN
stage 'tidy sources' tests --filter '^TidyTests'
stage 'every benchmark on tiny data' bash Tests/bench-smoke.sh
stage 'kill -9 during backups' bash Tests/crash.sh short
stage 'interrupted backups go on' bash Tests/interrupt.sh short
stage 'torture' bash Tests/torture.sh
stage 'kill -9 during restores' bash Tests/restore-kill.sh short
stage 'unchanged tree' bash Tests/unchanged.sh short
stage 'full disk' bash Tests/fulldisk.sh short
stage 'failing calls' bash Tests/faults.sh short
stage 'memory' bash Tests/memory.sh short
stage 'hostile tree' bash Tests/hostile.sh short
stage 'the seed page' bash Tests/seedpage.sh
stage 'kill -9 of the server' bash Tests/servercrash.sh short
printf '\n(%d s so far)\n' $((SECONDS - begun))
stage 'swift test' tests
stage 'store and pipeline under sanitizers' bash Tests/sanitize.sh short
