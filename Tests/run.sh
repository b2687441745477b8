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
stage build "$swift" build --build-tests "${flags[@]}"

MUNINN=$("$swift" build --show-bin-path)/muninn
export MUNINN
stage 'kill -9 during backups' bash Tests/crash.sh short
stage 'unchanged tree' bash Tests/unchanged.sh short
stage 'full disk' bash Tests/fulldisk.sh short
printf '\n== swift test (%d s so far)\n' $((SECONDS - begun))
exec "$swift" test --skip-build
