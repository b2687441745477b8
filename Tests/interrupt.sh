#!/usr/bin/env bash
# What an interruption costs: a backup that is stopped halfway and run again. How much of the source is read twice, and
# how much is stored twice, beside a backup that nobody stopped.
# usage: interrupt.sh [short]    MUNINN=binary; see prelude.sh
. "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"
case ${1:-} in
  short) size=60 rate=6M interval=0.5s ;;
  *) size=1500 rate=25M interval=2s ;;
esac
tree=$scratch/tree
mkdir -p "$tree"
# Incompressible, three quarters in files of 1 MB and a quarter in small ones, in directories of either.
for folder in $(seq -w 20); do
  mkdir "$tree/$folder"
  head -c $((size * 37500)) /dev/urandom | split -a 4 -b 1000000 - "$tree/$folder/large-"
  head -c $((size * 12500)) /dev/urandom | split -a 4 -b 20000 - "$tree/$folder/small-"
done
total=$(find "$tree" -type f -printf '%s\n' | awk '{s += $1} END {print s}')
sleep 2.1 # beyond the grain of the clock: what changed just now is never trusted

stored() { find "$1/containers" -type f -printf '%s\n' | awk '{s += $1} END {print s + 0}'; }
share() { awk -v a="$1" -v b="$total" 'BEGIN {printf "%.1f MB, %.2f %%", a / 1e6, 100 * a / b}'; }

"$muninn" init --no-encryption "$scratch/whole" >/dev/null
"$muninn" backup "$scratch/whole" "$tree" >/dev/null
whole=$(stored "$scratch/whole")

# interrupted SIGNAL OPTION...: stops a backup at half of its bytes by SIGNAL, runs it again, and says what that cost.
interrupted() {
  local signal=$1 repository=$scratch/repository reached=0 victim code=0 report again
  shift
  rm -rf "$repository"
  "$muninn" init --no-encryption "$repository" >/dev/null
  "$muninn" backup "$repository" "$tree" --json-lines --limit-read "$rate" "$@" >"$scratch/lines" 2>"$scratch/log" &
  victim=$!
  while kill -0 "$victim" 2>/dev/null; do
    reached=$(tail -n 1 "$scratch/lines" | jq -r '.progress.bytesDone // 0' 2>/dev/null || echo 0)
    ((${reached:-0} * 2 < total)) || break
    sleep 0.05
  done
  kill "-$signal" "$victim" 2>/dev/null || fail 'the backup ended before it could be stopped'
  wait "$victim" || code=$?
  [[ $code == 137 || $code == 130 ]] || fail "the backup ended with $code: $(tail -3 "$scratch/log")"
  "$muninn" snapshots "$repository" --json >"$scratch/snapshots"
  [[ $(jq '[.snapshots[] | select(.kind != "partial")] | length' "$scratch/snapshots") == 0 ]] || fail 'it had ended'
  must_be_clean "$repository"
  report=$("$muninn" backup "$repository" "$tree" --json)
  read_again=$((reached + $(jq .snapshot.statistics.bytesRead <<<"$report") - total))
  stored_again=$(($(stored "$repository") - whole))
  again=$("$muninn" snapshots "$repository" --json | jq -c '[.snapshots[].kind]')
  [[ $again == '["full"]' ]] || fail "after the second run there are $again"
  must_be_clean "$repository"
  restores_to "$repository" latest "$tree"
  echo "$signal${*:+ $*}: stopped at $(share "$reached"); read twice $(share $((read_again > 0 ? read_again : 0))); stored twice $(share $((stored_again > 0 ? stored_again : 0)))"
}

echo "$(share "$total") in $(find "$tree" -type f | wc -l) files, read at $rate a second"
interrupted KILL --partial-every "$interval"
((read_again < total / 4)) || fail "$read_again bytes were read twice"
((stored_again < total / 4 + 70000000)) || fail "$stored_again bytes were stored twice"
interrupted INT
((read_again < total / 4)) || fail "$read_again bytes were read twice"
interrupted TERM --partial-every never
