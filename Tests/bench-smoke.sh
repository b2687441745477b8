#!/usr/bin/env bash
# Every subcommand of muninn-bench runs on tiny data, ends well, and says what it measured. No time
# is asserted.
# usage: bench-smoke.sh    BENCH=binary (default: the debug build's)
set -euo pipefail
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bench=${BENCH:-$tests/../.build/debug/muninn-bench}
[[ -x $bench ]] || { echo "$0: no binary at $bench; set BENCH" >&2; exit 64; }
scratch=$(mktemp -d "${TMPDIR:-/tmp}/muninn-bench-smoke.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
export XDG_STATE_HOME=$scratch/state

fail() {
  printf '%s: FAILED: %s\n' "${0##*/}" "$*" >&2
  tail -20 "$scratch/log" >&2
  exit 1
}

# expect WORDS COMMAND...: it succeeds and its output has the words.
expect() {
  local words=$1
  shift
  "$bench" "$@" >"$scratch/log" 2>&1 || fail "muninn-bench $*"
  grep -qF -- "$words" "$scratch/log" || fail "muninn-bench $*: does not say '$words'"
}

small=(--size 3 --files 40)
tree=$scratch/tree
mkdir "$scratch/disk"
expect 'hash ' generate "$tree" --size 6 --files 12
first=$(sed -n 's/.*hash //p' "$scratch/log")
expect "hash $first" generate "$scratch/again" --size 6 --files 12
diff -r "$tree" "$scratch/again" >/dev/null || fail 'the same parameters gave other files'

expect 'machine: ' kernels --size 1 --runs 1 --quick
expect 'muninn' evaluate "$tree" --averages 16
expect 'bound of a first backup' roofline "$tree" --directory "$scratch/disk" --runs 1 --sample 16
expect 'achieved/bound' tree "$tree" --repository "$scratch/disk" --runs 1 --sample 1 \
  --plot "$scratch/tree.svg"
grep -q '</svg>' "$scratch/tree.svg" || fail 'tree drew no picture'
expect 'changed backup' backup "${small[@]}" --runs 1 --sample 1 --directory "$scratch/disk"
expect 'achieved/bound' restore "${small[@]}" --runs 1 --sample 1 --directory "$scratch/disk"
expect 'extents a file' defrag "${small[@]}" --runs 1 --sample 1 --directory "$scratch/disk"
expect 'open, read, decode, verify' container --size 2 --runs 1 --directory "$scratch/disk"
expect 'lookup, misses' index --entries 4000 --lookups 500 --runs 1 --directory "$scratch/disk"
expect 'open without checkpoints' journal --snapshots 200 --runs 1 --directory "$scratch/disk"
expect 'read amplification' generations --size 3 --files 20 --generations 3 --every 2 --runs 1 \
  --directory "$scratch/disk" --plot "$scratch/generations.svg"
grep -q 'over generations' "$scratch/generations.svg" || fail 'generations drew no picture'
expect 2 chain "$scratch/chain" --size 3 --files 20 <<<''
expect 'half forgotten' prune --snapshots 8 --containers 4 --runs 1 --directory "$scratch/disk"
expect 'simplest within 5 % of the best' readpath "$tree" --runs 1 --threads 1 2

for command in "tree $tree --repository $scratch/disk --sample 1" \
  "container --size 1 --directory $scratch/disk" "readpath $tree --threads 1"; do
  # shellcheck disable=SC2086 # several words in one variable
  "$bench" $command --runs 1 --json >"$scratch/log" 2>&1 || fail "$command --json"
  jq -e '.machine.processor and .command' "$scratch/log" >/dev/null || fail "$command: no JSON"
done
left=$(find "$scratch/disk" -mindepth 1 | wc -l)
[[ $left == 0 ]] || fail "$left files were left behind"
echo 'every subcommand of muninn-bench runs'
