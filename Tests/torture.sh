#!/usr/bin/env bash
# Four writers, a restorer and a collector on one repository, and kill -9 at random. Every backup that was acknowledged
# and not forgotten restores bit for bit, the repository verifies to the last byte, and a last prune leaves no garbage.
# usage: torture.sh    MINUTES=how long (default 1), SEED=number of the random choices, MUNINN=binary; see prelude.sh
. "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"
minutes=${MINUTES:-1}
seed=${SEED:-$RANDOM}
echo "torture: SEED=$seed MINUTES=$minutes"
RANDOM=$seed
repository=$scratch/repository
deadline=$((SECONDS + minutes * 60))
mkdir -p "$scratch/acknowledged" "$scratch/notes"
"$muninn" init --no-encryption "$repository" >/dev/null
has_option() { [[ $("$muninn" help "$1" 2>/dev/null) == *"$2"* ]]; }
prune_options=()
if has_option prune --max-unused; then prune_options=(--max-unused 0); fi
has_defrag=
if has_option defrag REPOSITORY || has_option defrag repository; then has_defrag=1; fi

is_over() { ((SECONDS >= deadline)) || [[ -e $scratch/failed ]]; }
give_up() { # give_up WHAT: in one of the loops; the others end too
  echo "torture: $*" >&2
  touch "$scratch/failed"
  exit 1
}

# may_be_killed COMMAND...: runs it, and one time in three kills it within two seconds. Its exit code is in $code.
may_be_killed() {
  local pid
  code=0
  "$@" >"$log" 2>"$log.errors" &
  pid=$!
  if ((RANDOM % 3 == 0)); then
    sleep "$((RANDOM % 2)).$((RANDOM % 900 + 100))"
    kill -9 "$pid" 2>/dev/null || true
  fi
  wait "$pid" 2>/dev/null || code=$?
  [[ $code != 137 ]] || echo killed >>"$scratch/notes/kills"
}

change_tree() {
  local number
  for number in 1 2 3; do head -c $((RANDOM * 8)) /dev/urandom >"$1/new-$((RANDOM % 40))"; done
  rm -f "$1/new-$((RANDOM % 40))"
  # What the other writers have too, so that all deduplicate against each other.
  cp "$scratch/common" "$1/common-$((RANDOM % 5))"
  head -c 200000 /dev/urandom | split -a 3 -b 900 - "$1/small-$((RANDOM % 3))-"
}

forget_old() { # forget_old WRITER: keeps its two newest; takes the acknowledgements of the others back first
  local old one place id
  mapfile -t old < <(grep -l "/copy-$1-" "$scratch"/acknowledged/* 2>/dev/null | xargs -r ls -tr | head -n -2)
  for one in "${old[@]}"; do
    id=${one##*/}
    place=$(<"$one")
    rm -f "$one"
    may_be_killed "$muninn" forget "$repository" "$id"
    [[ $code == 0 || $code == 137 || $code == 4 ]] || give_up "forget ended with $code: $(tail -3 "$log.errors")"
    rm -rf "$place"
  done
}

writer() { # writer NUMBER: backs up its tree, changed each time, and keeps a copy of what was acknowledged
  local tree=$scratch/tree-$1 log=$scratch/log-writer-$1 round=0 id options
  RANDOM=$((base + $1))
  mkdir -p "$tree"
  while ! is_over; do
    round=$((round + 1))
    change_tree "$tree"
    options=()
    # Slow enough to be killed between two of its partial snapshots.
    if ((RANDOM % 2 == 0)); then options=(--partial-every 0 --limit-read 2M); fi
    may_be_killed "$muninn" backup "$repository" "$tree" --json "${options[@]}"
    case $code in
      0)
        id=$(jq -re .snapshot.id "$log") || give_up "writer $1: no id in $(tail -3 "$log")"
        jq -r '"\(.secondsWaited) \(.conflicts) \(.continued | length)"' "$log" >>"$scratch/notes/backups"
        rsync -aHAX --modify-window=-1 "$tree/" "$scratch/copy-$1-$round/"
        echo "$scratch/copy-$1-$round" >"$scratch/notes/ack-$1"
        mv "$scratch/notes/ack-$1" "$scratch/acknowledged/$id"
        ;;
      137) ;;
      *) give_up "writer $1: backup ended with $code: $(tail -5 "$log.errors")" ;;
    esac
    if ((round % 4 == 0)); then forget_old "$1"; fi
  done
}

restorer() {
  local log=$scratch/log-restorer some id place difference start whole=
  RANDOM=$((base + 10))
  while ! is_over; do
    some=$(find "$scratch/acknowledged" -type f | shuf -n 1)
    [[ -n $some ]] || { sleep 0.2; continue; }
    id=${some##*/}
    place=$(cat "$some" 2>/dev/null) || continue
    start=$(now_ms)
    # One restore in three goes onto a tree that another snapshot was restored to. By content: two writers' files of
    # one size may be of one tick of the clock.
    if [[ -n $whole ]] && ((RANDOM % 3 == 0)); then
      may_be_killed "$muninn" restore "$repository" "$id" --target "$scratch/restored-torture" \
        --overwrite always --delete
    else
      rm -rf "$scratch/restored-torture"
      may_be_killed "$muninn" restore "$repository" "$id" --target "$scratch/restored-torture"
    fi
    whole=
    if [[ $code == 0 ]]; then
      whole=1
      echo $(($(now_ms) - start)) >>"$scratch/notes/restores"
      difference=$(rsync -aHAXn --checksum --modify-window=-1 --delete --itemize-changes "$place/" \
        "$scratch/restored-torture/" 2>&1) || true
      # The copy goes away only after the acknowledgement.
      [[ -z $difference || ! -f $some ]] || give_up "$id differs: $(head -5 <<<"$difference")"
    elif [[ $code != 137 && -f $some ]]; then
      give_up "restore of $id ended with $code: $(tail -5 "$log.errors")"
    elif [[ $code != 137 ]]; then
      rm -rf "$scratch/restored-torture"
    fi
  done
}

collector() {
  local log=$scratch/log-collector start
  RANDOM=$((base + 11))
  while ! is_over; do
    start=$(now_ms)
    if [[ -n $has_defrag ]] && ((RANDOM % 4 == 0)); then
      may_be_killed "$muninn" defrag "$repository"
    else
      may_be_killed "$muninn" prune "$repository" "${prune_options[@]}"
    fi
    [[ $code == 0 || $code == 137 ]] || give_up "a collection ended with $code: $(tail -5 "$log.errors")"
    [[ $code != 0 ]] || echo $(($(now_ms) - start)) >>"$scratch/notes/collections"
    sleep 0.3
  done
}

base=$RANDOM
head -c 300000 /dev/urandom >"$scratch/common"
pids=()
for number in 1 2 3 4; do
  writer $number &
  pids+=($!)
done
restorer &
pids+=($!)
collector &
pids+=($!)
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
((failed == 0)) || fail "SEED=$seed: see above"

must_be_clean "$repository"
count=0
for acknowledged in "$scratch"/acknowledged/*; do
  [[ -f $acknowledged ]] || continue
  restores_to "$repository" "${acknowledged##*/}" "$(<"$acknowledged")"
  count=$((count + 1))
done
((count > 0)) || fail 'nothing was acknowledged'

# Nobody is at work: one prune frees everything, and a second finds nothing.
"$muninn" prune "$repository" "${prune_options[@]}" >"$scratch/log"
second=$("$muninn" prune "$repository" --json)
[[ $(jq '.objectsDeleted + .objectsWaiting + .containersCondemned' <<<"$second") == 0 ]] || fail "garbage stayed: $second"
[[ -z $(ls -A "$repository/sessions") ]] || fail "notes stayed: $(ls "$repository/sessions")"
there=$(find "$repository/containers" -type f | wc -l)
[[ $there == "$(jq .containersLeft <<<"$second")" ]] || fail "$there containers on the disk: $second"
must_be_clean "$repository"

touch "$scratch"/notes/{backups,restores,collections,kills}
lines() { wc -l <"$scratch/notes/$1"; }
echo "torture: $(lines backups) backups, $(lines restores) restores and $(lines collections) collections came to their end, $(lines kills) were killed"
echo "torture: $(awk '{c += $2; p += $3; if ($1 > m) m = $1} END {printf "%d conflicts, the longest wait of a backup for others %.0f ms; %d went on from partial snapshots", c, m * 1000, p}' "$scratch/notes/backups")"
echo "torture: $count acknowledged snapshots restore bit for bit; $there containers are left, no garbage"
