#!/usr/bin/env bash
# kill -9 of `muninn backup` at ten moments spread over its duration. After each one the repository verifies to the last
# byte, the earlier snapshots restore, and the next backup succeeds.
# usage: crash.sh [short]    MUNINN=binary; see prelude.sh
. "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"
case ${1:-} in
  short) least=6000000 fresh=12 ;;
  *) least=150000000 fresh=100 ;;
esac
kills=10
tree=$scratch/tree repository=$scratch/repository
copy_of_usr "$tree" $least $((least * 2)) $((least / 25000))

# Something that no earlier snapshot has, so that every backup has containers to write. In megabytes.
add_fresh_content() {
  local round=$tree/round-$1
  mkdir -p "$round"
  head -c $((fresh * 900000)) /dev/urandom >"$round/large"
  head -c $((fresh * 100000)) /dev/urandom | split -a 4 -b 7000 - "$round/small-"
}
copy_tree() { # the quick check of --link-dest has to see nanoseconds
  rsync -aHAX --modify-window=-1 "$@"
}
keep_reference() { # the tree as it is now; unchanged files are shared between references
  local before=()
  [[ $1 == 0 ]] || before=(--link-dest="$scratch/reference-$(($1 - 1))")
  copy_tree "${before[@]}" "$tree/" "$scratch/reference-$1/"
}
back_up() {
  local code start
  start=$(now_ms)
  code=$(exit_code "$muninn" backup "$repository" "$tree" --full)
  [[ $code == 0 ]] || fail "$1 ended with $code: $(tail -5 "$scratch/log")"
  duration=$(($(now_ms) - start))
}

"$muninn" init --no-encryption "$repository" >/dev/null
add_fresh_content 0
back_up 'the first backup'
keep_reference 0
newest=$(newest_snapshot "$repository")
snapshots=("$newest")

for ((round = 1; round <= kills; round++)); do
  add_fresh_content "$round"
  # The share of a backup's duration after which this round kills; less where the backup was quicker than that.
  moment=$((duration * (2 * round - 1) / (2 * kills)))
  for ((attempt = 1; ; attempt++)); do
    "$muninn" backup "$repository" "$tree" --full >"$scratch/log" 2>&1 &
    victim=$!
    sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
    kill -9 "$victim" 2>/dev/null || true
    code=0
    wait "$victim" 2>/dev/null || code=$?
    [[ $code != 137 ]] || break
    [[ $code == 0 ]] || fail "backup ended with $code: $(tail -5 "$scratch/log")"
    [[ $attempt -lt 8 ]] || fail "round $round: every backup ended before it could be killed"
    moment=$((moment * 4 / 5))
    newest=$(newest_snapshot "$repository")
    snapshots[round - 1]=$newest
    rm -rf "$scratch/reference-$((round - 1))"
    copy_tree "$tree/" "$scratch/reference-$((round - 1))/"
    add_fresh_content "$round"
  done

  must_be_clean "$repository"
  # A kill between the commit and the end of the process leaves a snapshot: then it has to be whole.
  newest=$(newest_snapshot "$repository")
  [[ $newest == "${snapshots[round - 1]}" ]] || restores_to "$repository" "$newest" "$tree"
  restores_to "$repository" "${snapshots[0]}" "$scratch/reference-0"
  restores_to "$repository" "${snapshots[round - 1]}" "$scratch/reference-$((round - 1))"
  back_up "the backup after kill $round"
  keep_reference "$round"
  newest=$(newest_snapshot "$repository")
  snapshots+=("$newest")
  echo "kill $round after $moment ms: clean, earlier snapshots restore, the next backup took $duration ms"
done

must_be_clean "$repository"
for round in "${!snapshots[@]}"; do
  restores_to "$repository" "${snapshots[round]}" "$scratch/reference-$round"
done
echo "$kills kills; all ${#snapshots[@]} snapshots restore"
