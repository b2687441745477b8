#!/usr/bin/env bash
# An incremental backup of an unchanged tree opens directories and nothing else of the source.
# usage: unchanged.sh [short]    MUNINN=binary; see prelude.sh
. "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"
case ${1:-} in
  short) copy_of_usr "$scratch/tree" 10000000 20000000 1000 ;;
  *) copy_of_usr "$scratch/tree" 300000000 600000000 10000 ;;
esac
tree=$scratch/tree repository=$scratch/repository
# A file whose change time is this very moment cannot be told from one that is being written.
sleep 1.1
"$muninn" init "$repository" >/dev/null
"$muninn" backup "$repository" "$tree" >/dev/null

# opened_files COMMAND...: how many files of the tree it opened. -y writes the path of the descriptor that an open
# returned; what was opened as a directory is none. -ff gives each thread its own file, so that no line is torn.
opened_files() {
  rm -rf "$scratch/traces"
  mkdir "$scratch/traces"
  strace -ff -y -qq -s 4096 -e trace=open,openat,openat2 -o "$scratch/traces/thread" "$@" \
    >"$scratch/log" 2>&1 || fail "backup under strace: $(tail -5 "$scratch/log")"
  cat "$scratch"/traces/* | grep -F "<$tree" | grep -E "= [0-9]+<$tree" >"$scratch/opened" || true
  grep -vc O_DIRECTORY "$scratch/opened" || true
}

# First that the trace sees what it looks for.
files=$(find "$tree" -type f | wc -l)
seen=$(opened_files "$muninn" backup "$repository" "$tree" --full)
[[ $seen -ge $((files / 2)) ]] || fail "a full backup of $files files shows only $seen opens: the trace is blind"

seen=$(opened_files "$muninn" backup "$repository" "$tree")
[[ $seen == 0 ]] || fail "opened: $(grep -v O_DIRECTORY "$scratch/opened" | head -5)"
directories=$(wc -l <"$scratch/opened")
restores_to "$repository" "$(newest_snapshot "$repository")" "$tree"
echo "unchanged tree of $files files: no file opened, $directories directories read"
