#!/usr/bin/env bash
# Memory does not go with the size of what is backed up: the peak of a backup, of an incremental one, of a check and of a restore
# of a tree with ten times the files and ten times the bytes stays below a fixed bound, and near that of the small tree.
# usage: memory.sh [short]    MUNINN=binary; see prelude.sh
. "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"
case ${1:-} in
  short) files=2000 megabytes=40 ;;
  *) files=20000 megabytes=400 ;;
esac
# Two threads, whatever the machine has: buffers go with them.
bound=$((128 << 10)) growth=$((48 << 10))

# peak COMMAND...: runs it and prints its largest resident size in KiB.
clang=$(command -v clang || echo "$(dirname "$(readlink -f "$(command -v swift)")")/clang")
"$clang" -O1 -Wall -Wextra -Werror -o "$scratch/peak" "$tests/Faults/peak.c"
peak() { "$scratch/peak" "$@" || fail "$* ended with $?"; }

make_tree() { # make_tree DIR FILES MEGABYTES: so many small files, and large ones of so many bytes together
  local number
  mkdir -p "$1/large"
  for ((number = 0; number < $2; number += 500)); do
    mkdir "$1/$number"
    head -c 300000 /dev/urandom | split -a 4 -b 600 - "$1/$number/a-file-with-a-name-of-some-length-"
  done
  head -c $(($3 * 500000)) /dev/urandom >"$1/large/one"
  head -c $(($3 * 500000)) /dev/urandom | split -a 4 -b 3000000 - "$1/large/part-"
}

declare -A peaks
for size in small large; do
  factor=$([[ $size == small ]] && echo 1 || echo 10)
  tree=$scratch/$size repository=$scratch/repository-$size
  make_tree "$tree" $((files * factor)) $((megabytes * factor))
  "$muninn" init --no-encryption "$repository" >/dev/null
  peaks[backup-$size]=$(peak "$muninn" backup "$repository" "$tree" --threads 2)
  peaks[again-$size]=$(peak "$muninn" backup "$repository" "$tree" --threads 2)
  peaks[check-$size]=$(peak "$muninn" check "$repository" --read-data --threads 2)
  peaks[restore-$size]=$(peak "$muninn" restore "$repository" latest --target "$scratch/target-$size" --threads 2)
  rm -rf "$scratch/target-$size" "$tree"
done
report=
for work in backup again check restore; do
  small=${peaks[$work-small]} large=${peaks[$work-large]}
  ((large <= bound)) || fail "$work of the large tree took $large KiB, more than $bound"
  ((large <= small + growth)) || fail "$work took $small KiB of the small tree and $large KiB of the large one"
  report+="  $work $((small >> 10)) -> $((large >> 10)) MiB"
done
echo "memory, for ten times the files and bytes:$report"
