#!/usr/bin/env bash
# Disk, store and pipeline with their tests under ThreadSanitizer, then under AddressSanitizer, without what lies above
# them. Both share one directory of build products, in which the packages that we depend on are built once.
# usage: sanitize.sh [short] [thread|address]...    SWEEP_EVERY=N tries every N-th case of the crash sweeps
# short: what has threads under ThreadSanitizer, what has unsafe pointers under AddressSanitizer, and no sweeps.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
swift=${SWIFT:-swift}
scratch=.build-sanitize
export MUNINN_SWEEP_EVERY=${SWEEP_EVERY:-25}
# A leak or a race is an error of the test, not a line in its output.
export ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS="suppressions=$PWD/Tests/lsan-suppressions.txt:print_suppressions=0"
export TSAN_OPTIONS="halt_on_error=1 suppressions=$PWD/Tests/tsan-suppressions.txt"
declare -A filter=([thread]=. [address]=.)
if [[ ${1:-} == short ]]; then
  shift
  filter[thread]='BoundedQueue|ThreadTests|LocalStorage|RaceTests|CommitTests|ChunkIndexTests|BackupControl|BackupTests'
  filter[thread]+='|VerifiedDuplicate|RestoreJournal|DirectRestore'
  filter[address]='DirectoryListing|ExtendedAttribute|FileContent|DirectWrite|LocalStorage|ContainerTests|TreeTests'
  filter[address]+='|SealedObject|ChunkTable|ChunkIndexTests|BackupTests|RestoreTests|RepairTests|BitFlipTests'
  export MUNINN_FLIPS=${MUNINN_FLIPS:-1}
fi
(($# > 0)) || set -- thread address
# shellcheck disable=SC2206 # several options in one variable
flags=(${BUILD_FLAGS:-})

log=$(mktemp) probe=$(mktemp -d)
trap 'rm -rf "$log" "$probe"' EXIT
# Some kernels and containers do not let a sanitizer's runtime have the memory or the calls that it wants.
starts() { # starts SANITIZER
  echo 'print("started")' >"$probe/main.swift"
  "$(dirname "$(readlink -f "$(command -v "$swift")")")/swiftc" "-sanitize=$1" "$probe/main.swift" -o "$probe/main" \
    && [[ $("$probe/main") == started ]]
}
for sanitizer in "$@"; do
  start=$SECONDS
  if ! starts "$sanitizer" 2>"$log"; then
    tail -n 5 "$log"
    echo "sanitizer $sanitizer: NOT RUN: its runtime does not start on this machine"
    continue
  fi
  export MUNINN_ENGINE_OPTIONS=-sanitize=$sanitizer
  "$swift" build --build-tests --scratch-path "$scratch" "${flags[@]}" >"$log" 2>&1 || {
    tail -n 40 "$log"
    exit 1
  }
  built=$SECONDS
  "$swift" test --skip-build --scratch-path "$scratch" --filter "${filter[$sanitizer]}" >"$log" 2>&1 || {
    grep -aE 'SUMMARY|✘|recorded an issue' "$log" || true
    grep -aE -A 40 'ERROR: |WARNING: ' "$log" | head -n 120 || true
    echo "sanitizer $sanitizer: failed"
    exit 1
  }
  grep -aE 'Test run with' "$log"
  echo "sanitizer $sanitizer: clean; built in $((built - start)) s, ran in $((SECONDS - built)) s"
done
