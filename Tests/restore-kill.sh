#!/usr/bin/env bash
# kill -9 of `muninn restore` at twenty moments spread over its duration, each followed by the same command again: the
# result is what was backed up, and how many bytes were written twice is said and small. Then the same onto an existing
# tree, and a restore that is cleaned away instead.
# usage: restore-kill.sh [short]    MUNINN=binary; see prelude.sh
. "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"
case ${1:-} in
  short) least=6000000 large=24 kills=20 ;;
  *) least=150000000 large=400 kills=20 ;;
esac
tree=$scratch/tree repository=$scratch/repository target=$scratch/target
copy_of_usr "$tree" $least $((least * 2)) $((least / 25000))
mkdir "$tree/more"
head -c $((large * 1000000)) /dev/urandom >"$tree/more/large"
truncate -s $((large * 2000000)) "$tree/more/sparse"
head -c 3000000 /dev/urandom | dd of="$tree/more/sparse" bs=1M seek=7 conv=notrunc status=none
ln "$tree/more/large" "$tree/more/linked"
"$muninn" init --no-encryption "$repository" >/dev/null
"$muninn" backup "$repository" "$tree" >/dev/null

restore() { "$muninn" restore "$repository" latest --target "$target" "$@"; }

# run_and_kill MOMENT [ARGUMENT...]: whether the restore was killed, and had not ended before.
run_and_kill() {
  local moment=$1 code=0 victim
  shift
  # Not through the function: the shell that runs it would be killed in its place.
  "$muninn" restore "$repository" latest --target "$target" "$@" >"$scratch/log" 2>&1 &
  victim=$!
  sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
  kill -9 "$victim" 2>/dev/null || true
  wait "$victim" 2>/dev/null || code=$?
  [[ $code == 0 || $code == 137 ]] || fail "restore ended with $code: $(tail -5 "$scratch/log")"
  [[ $code == 137 ]]
}

go_on() { # go_on WHAT [ARGUMENT...]: the same command again; sets written, twice and resumed
  local what=$1 report
  shift
  report=$(restore --json "$@" 2>"$scratch/log") || fail "$what: $(tail -5 "$scratch/log")"
  read -r written twice resumed < <(jq -r '[.bytesWritten, .bytesRewritten, .isResumed] | @tsv' <<<"$report")
}

start=$(now_ms)
restore >/dev/null
duration=$(($(now_ms) - start))
same_tree "$tree" "$target"
total=$(du -sb "$tree" | cut -f1)
sum=0 most=0 resumptions=0
for ((round = 1; round <= kills; round++)); do
  rm -rf "$target"
  moment=$((duration * (2 * round - 1) / (2 * kills)))
  arguments=()
  ((round % 4 != 0)) || arguments=(--defrag)
  for ((attempt = 1; attempt < 6; attempt++)); do
    if run_and_kill "$moment" "${arguments[@]}"; then break; fi
    rm -rf "$target"
    moment=$((moment * 3 / 4))
  done
  go_on "after kill $round" "${arguments[@]}"
  same_tree "$tree" "$target"
  [[ $resumed == false ]] || resumptions=$((resumptions + 1))
  sum=$((sum + twice)) most=$((twice > most ? twice : most))
  ((twice * 20 <= total)) || fail "kill $round after $moment ms: $twice of $total bytes were written twice"
done
((resumptions * 2 >= kills)) || fail "only $resumptions of $kills restores had begun when they were killed"
echo "$kills kills over $duration ms, $resumptions resumed: all trees equal; written twice: $sum bytes in all, $most at most, of $total each time"

# Killed twice in the same restore, onto a tree that has everything, but other bytes in the large file and a file too many.
rm -rf "$target"
cp -a "$tree" "$target"
head -c 1000000 /dev/urandom | dd of="$target/more/sparse" bs=1M seek=8 conv=notrunc status=none
rm "$target/more/linked"
echo other >"$target/other"
onto=(--overwrite changed --delete)
run_and_kill $((duration / 6)) "${onto[@]}" || true
run_and_kill $((duration / 4)) "${onto[@]}" || true
go_on 'onto an existing tree' "${onto[@]}"
same_tree "$tree" "$target"
[[ -z $(find "$target" -name '.muninn-*') ]] || fail 'temporary names were left behind'
((written < total / 2)) || fail "an update wrote $written of $total bytes"
echo "onto an existing tree, killed twice: equal, the last attempt wrote $written bytes"

rm -rf "$target"
for ((moment = duration / 2; ; moment = moment * 3 / 4)); do
  if run_and_kill "$moment"; then break; fi
  rm -rf "$target"
done
if [[ -e $target ]]; then
  restore --clean >"$scratch/log" 2>&1 || fail "cleaning: $(tail -5 "$scratch/log")"
  [[ ! -e $target ]] || fail 'the target of a cleaned restore is still there'
fi
code=$(exit_code restore --clean)
[[ $code == 4 ]] || fail "cleaning what is not there ended with $code"
echo 'an unfinished restore was cleaned away'
