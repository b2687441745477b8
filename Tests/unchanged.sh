#!/usr/bin/env bash
# An incremental backup of an unchanged tree opens directories and nothing else of the source.
# usage: unchanged.sh [short]    MUNINN=binary; see prelude.sh
. "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"
shopt -s extglob
case ${1:-} in
  short) copy_of_usr "$scratch/tree" 10000000 20000000 1000 ;;
  *) copy_of_usr "$scratch/tree" 300000000 600000000 10000 ;;
esac
tree=$scratch/tree repository=$scratch/repository
# A file whose change time is this very moment cannot be told from one that is being written.
sleep 1.1
"$muninn" init --no-encryption "$repository" >/dev/null
"$muninn" backup "$repository" "$tree" >/dev/null

# opened_files COMMAND...: leaves in $scratch/opened each file of the tree that it opened, and counts the directories that
# it opened in $directories. -y writes the path of the descriptor that an open returned; -ff gives each thread its own
# file, so that no line is torn.
opened_files() {
  local line path
  rm -rf "$scratch/traces"
  mkdir "$scratch/traces"
  strace -ff -y -qq -s 4096 -e trace=open,openat,openat2 -o "$scratch/traces/thread" "$@" \
    >"$scratch/log" 2>&1 || fail "backup under strace: $(tail -5 "$scratch/log")"
  : >"$scratch/opened"
  directories=0
  while IFS= read -r line; do
    path=${line##*= +([0-9])<}
    path=${path%>}
    if [[ $line == *O_DIRECTORY* || -d $path ]]; then
      directories=$((directories + 1))
    else
      echo "$path" >>"$scratch/opened"
    fi
  done < <(cat "$scratch"/traces/* | grep -E "= [0-9]+<${tree}(/|>)")
}

# First that the trace sees what it looks for.
files=$(find "$tree" -type f | wc -l)
opened_files "$muninn" backup "$repository" "$tree" --full
seen=$(wc -l <"$scratch/opened")
[[ $seen -ge $((files / 2)) ]] || fail "a full backup of $files files shows only $seen opens: the trace is blind"

opened_files "$muninn" backup "$repository" "$tree"
[[ ! -s $scratch/opened ]] || fail "opened: $(head -5 "$scratch/opened")"
[[ $directories -gt 0 ]] || fail 'no directory opened: the trace is blind'
newest=$(newest_snapshot "$repository")
restores_to "$repository" "$newest" "$tree"
echo "unchanged tree of $files files: no file opened, $directories directories read"
