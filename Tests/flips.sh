#!/usr/bin/env bash
# Flips bits at many random places of each kind of object, plain and encrypted: with optimised code, since each flip is
# a check, a restore, a repair and both again.
# usage: flips.sh    PLACES=how many of each kind (default 1000)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
swift=${SWIFT:-swift}
# Debug, so that what only tests have is compiled in.
export MUNINN_ENGINE_OPTIONS=-O MUNINN_FLIPS=${PLACES:-1000}
# shellcheck disable=SC2206 # several options in one variable
flags=(--scratch-path .build-flips ${BUILD_FLAGS:-})
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$swift" build --build-tests "${flags[@]}" >"$log" 2>&1 || { tail -n 40 "$log"; exit 1; }
start=$SECONDS
"$swift" test --skip-build "${flags[@]}" --filter BitFlipTests >"$log" 2>&1 || {
  grep -aE -A 10 '✘|recorded an issue|Fatal|error:' "$log" | head -n 80
  exit 1
}
grep -aoE '^flips: .*|Test run with .*' "$log"
echo "flips: ran in $((SECONDS - start)) s"
