# shellcheck shell=bash
# Sourced by the shell tests: a scratch directory, the binary under test, a tree, and the proof that
# two trees are equal.
#
# MUNINN   the muninn binary (default: the debug build's)
# TMPDIR   where the scratch directory is made; it is removed at the end unless KEEP is set
set -euo pipefail
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
muninn=${MUNINN:-$tests/../.build/debug/muninn}
[[ -x $muninn ]] || { echo "$0: no binary at $muninn; set MUNINN" >&2; exit 64; }
scratch=$(mktemp -d "${TMPDIR:-/tmp}/muninn-${0##*/}.XXXXXX")
# What this machine remembers of the repositories stays with them.
export XDG_STATE_HOME=$scratch/state

clean_up() { # a test that mounts something redefines this
  if [[ -n ${KEEP:-} ]]; then echo "kept $scratch"; else rm -rf "$scratch"; fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
  printf '%s: FAILED: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# copy_of_usr DIR MIN_BYTES MAX_BYTES MIN_FILES: a tree of real files, with their metadata.
copy_of_usr() {
  local subtrees
  mapfile -t subtrees < <(bash "$tests/pick-usr.sh" "$2" "$3" "$4" | tail -n +2)
  mkdir -p "$1"
  # Files of /usr that an ordinary user may not read are left out.
  (cd /usr && cp -a --parents "${subtrees[@]}" "$1/") || [[ $(id -u) != 0 ]]
}

# same_tree A B: nothing that rsync could see differs: bytes, metadata with nanoseconds, hard links,
# ACLs, xattrs.
same_tree() {
  local difference
  difference=$(rsync -aHAXn --modify-window=-1 --checksum --delete --itemize-changes "$1/" "$2/")
  [[ -z $difference ]] || fail "$2 differs from $1:
$(head -20 <<<"$difference")"
}

# restores_to REPOSITORY SNAPSHOT REFERENCE: the snapshot restores and equals the reference.
restores_to() {
  rm -rf "$scratch/restored"
  "$muninn" restore "$1" "$2" --target "$scratch/restored" >"$scratch/log" 2>&1 \
    || fail "restore of $2: $(tail -3 "$scratch/log")"
  same_tree "$3" "$scratch/restored"
  rm -rf "$scratch/restored"
}

# newest_snapshot REPOSITORY: its id.
newest_snapshot() {
  "$muninn" snapshots "$1" --json | jq -re '.snapshots | max_by(.completed).id'
}

# exit_code COMMAND...: runs it with its output in $scratch/log and prints its exit code.
exit_code() {
  local code=0
  "$@" >"$scratch/log" 2>&1 || code=$?
  echo "$code"
}

# must_be_clean REPOSITORY: every byte of it verifies.
must_be_clean() {
  local code
  code=$(exit_code "$muninn" check "$1" --read-data)
  [[ $code == 0 ]] || fail "check --read-data ended with $code: $(tail -5 "$scratch/log")"
}

now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
