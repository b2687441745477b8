#!/usr/bin/env bash
# The real program on a real file system whose calls fail: EIO, EDQUOT, ENOSPC, EINTR and short writes at calls of a backup and of a
# restore, and a kill at any call of a check that keeps its ledger. A clear message, nothing half committed, and the next run goes on.
# usage: faults.sh [short]    MUNINN=binary; see prelude.sh
. "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"
case ${1:-} in
  short) points=3 ;;
  *) points=1000000 ;;
esac
shim=$scratch/faults.so
# The compiler that builds the package lies beside swift.
clang=$(command -v clang || echo "$(dirname "$(readlink -f "$(command -v swift)")")/clang")
"$clang" -shared -fPIC -O1 -g -Wall -Wextra -Werror -o "$shim" "$tests/Faults/faults.c" -ldl -pthread

# with_fault BELOW FAULT COMMAND...: prints the exit code.
with_fault() {
  local below=$1 fault=$2
  shift 2
  exit_code env LD_PRELOAD="$shim" MUNINN_FAULT_BELOW="$below" MUNINN_FAULT="$fault" "$@"
}
# calls BELOW COMMAND...: how many calls of each kind a run makes, into the array `count`.
declare -A count
calls() {
  local below=$1 code kind number
  shift
  code=$(exit_code env LD_PRELOAD="$shim" MUNINN_FAULT_BELOW="$below" MUNINN_FAULT_COUNTS="$scratch/counts" "$@")
  [[ $code == 0 ]] || fail "$* ended with $code under the shim: $(tail -5 "$scratch/log")"
  while read -r kind number; do count[$kind]=$number; done <"$scratch/counts"
}
# some N: at most so many of the numbers from 1 to N, spread over them, the last among them.
some() {
  local number=$1 step
  ((number > 0)) || return 0
  step=$(((number + points - 1) / points))
  seq "$number" "-$step" 1
}
snapshot_count() { "$muninn" snapshots "$1" --json | jq -e '.snapshots | length'; }

base=$scratch/base repository=$scratch/repository tree=$scratch/tree
mkdir -p "$tree/before"
for i in $(seq 20); do head -c 30000 /dev/urandom >"$tree/before/$i"; done
"$muninn" init --no-encryption "$base" >/dev/null
"$muninn" backup "$base" "$tree" >/dev/null
first=$(newest_snapshot "$base")
cp -a "$tree" "$scratch/reference"
mkdir "$tree/after"
for i in $(seq 20); do head -c 40000 /dev/urandom >"$tree/after/$i"; done
head -c 2000000 /dev/urandom >"$tree/after/large"
fresh() { rm -rf "$repository" "$XDG_STATE_HOME"; cp -a "$base" "$repository"; }

fresh
calls "$repository" "$muninn" backup "$repository" "$tree"
cases=0 failed=0
for kind in write sync name; do
  ((count[$kind] > 0)) || fail "a backup makes no call of kind $kind that the shim sees"
  case $kind in
    write) effects='EIO EDQUOT ENOSPC EINTR short EDQUOT+ EIO+' ;;
    sync) effects='EIO EDQUOT EIO+' ;;
    name) effects='EIO EDQUOT' ;;
  esac
  for effect in $effects; do
    for place in $(some "${count[$kind]}"); do
      fresh
      code=$(with_fault "$repository" "$kind,$place,$effect" "$muninn" backup "$repository" "$tree")
      what="backup with $effect at $kind $place of ${count[$kind]}"
      cp "$scratch/log" "$scratch/said"
      cases=$((cases + 1))
      found=$(snapshot_count "$repository")
      case $code in
        0) [[ $found == 2 ]] || fail "$what says that it is done, and there are $found snapshots" ;;
        1)
          failed=$((failed + 1))
          [[ $effect != EINTR && $effect != short ]] || fail "$what gives up: $(tail -3 "$scratch/said")"
          grep -qiE 'input/output|quota|no space' "$scratch/said" || fail "$what does not say why: $(cat "$scratch/said")"
          ;;
        *) fail "$what ended with $code: $(tail -5 "$scratch/said")" ;;
      esac
      must_be_clean "$repository"
      restores_to "$repository" "$first" "$scratch/reference"
      [[ $found != 2 ]] || restores_to "$repository" "$(newest_snapshot "$repository")" "$tree"
      code=$(exit_code "$muninn" backup "$repository" "$tree")
      [[ $code == 0 ]] || fail "the backup after a $what ended with $code: $(tail -5 "$scratch/log")"
      restores_to "$repository" "$(newest_snapshot "$repository")" "$tree"
    done
  done
done
((failed > 0)) || fail 'no fault ever ended a backup: the shim does nothing'
echo "faults: $cases backups with a failing call, $failed said why and committed nothing by halves, every next one went on"

# A restore whose writes fail, with a file in it that is written past the page cache: it says why, and another one mends it.
head -c 20000000 /dev/urandom >"$tree/after/direct"
fresh
"$muninn" backup "$repository" "$tree" >/dev/null
target=$scratch/target
calls "$target" "$muninn" restore "$repository" latest --target "$target"
cases=0 failed=0
for effect in EIO ENOSPC EINTR short EIO+; do
  for place in $(some "${count[write]}"); do
    rm -rf "$target"
    what="restore with $effect at write $place of ${count[write]}"
    code=$(with_fault "$target" "write,$place,$effect" "$muninn" restore "$repository" latest --target "$target")
    cases=$((cases + 1))
    case $code in
      # Where there are several threads a call may be the last of another run.
      0) same_tree "$tree" "$target" ;;
      1)
        failed=$((failed + 1))
        [[ $effect != EINTR && $effect != short ]] || fail "$what gives up: $(tail -3 "$scratch/log")"
        grep -qiE 'input/output|no space' "$scratch/log" || fail "$what does not say why: $(cat "$scratch/log")"
        ;;
      *) fail "$what ended with $code: $(tail -5 "$scratch/log")" ;;
    esac
    code=$(exit_code "$muninn" restore "$repository" latest --target "$target" --overwrite changed)
    [[ $code == 0 ]] || fail "the restore after a $what ended with $code: $(tail -5 "$scratch/log")"
    same_tree "$tree" "$target"
  done
done
((failed > 0)) || fail 'no fault ever ended a restore: the shim does nothing'
rm "$tree/after/direct"
echo "faults: $cases restores with a failing write, $failed said why, another one made the tree whole after each"

# A check within a budget reads one container at a time here, the one that was read longest ago, and is killed in between.
fresh
for i in 1 2 3; do
  head -c 50000 /dev/urandom >"$tree/after/round-$i"
  "$muninn" backup "$repository" "$tree" >/dev/null
done
state=$XDG_STATE_HOME
verified() { "$muninn" check "$repository" --json | jq -e '.verifiedBytes'; }
largest=$(find "$repository/containers" -type f -printf '%s\n' | sort -n | tail -1)
[[ $(verified) == 0 ]] || fail 'the ledger knows of a reading before there was any'
rounds=$(find "$repository/containers" -type f | wc -l)
kills=0
for ((round = 1; round <= rounds; round++)); do
  before=$(verified)
  cp -a "$state" "$scratch/state-before"
  calls "$scratch" "$muninn" check "$repository" --budget 0.001KiB --threads 1
  rm -rf "$state" && mv "$scratch/state-before" "$state"
  for kind in read write name; do
    for place in $(some "${count[$kind]}"); do
      code=$(with_fault "$scratch" "$kind,$place,kill" "$muninn" check "$repository" --budget 0.001KiB --threads 1)
      # Where there are several threads a call may be the last of another run.
      [[ $code == 137 || $code == 0 ]] || fail "a killed check ended with $code: $(tail -3 "$scratch/log")"
      kills=$((kills + 1))
      after=$(verified)
      ((after >= before)) || fail "a check killed at $kind $place lost what was verified: $after of $before bytes"
      ((after <= before + largest)) || fail "a check killed at $kind $place claims $after bytes after $before"
      before=$after
    done
  done
  code=$(exit_code "$muninn" check "$repository" --budget 0.001KiB --threads 1)
  [[ $code == 0 ]] || fail "check --budget ended with $code: $(tail -3 "$scratch/log")"
done
total=$("$muninn" check "$repository" --json | jq -e .containerBytes)
[[ $(verified) == "$total" ]] || fail "after $rounds readings $(verified) of $total bytes are verified"
echo "faults: a check within a budget was killed $kills times, claimed nothing that it had not read, and came round"
