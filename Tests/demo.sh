#!/usr/bin/env bash
# The demonstration: a server, a file system over a copy of this machine's own /usr, a full and an incremental backup and
# two restores by the curl requests of RavenFS's "Backup and restore" page, and rsync's word that nothing differs.
# It needs nothing but a Swift toolchain; it removes what it made and stops only the server that it started.
#
# DEMO_DIR                               where its working directory is made (default: TMPDIR or /tmp)
# DEMO_BYTES DEMO_MOST_BYTES DEMO_FILES  how much of /usr to take (default: 1.2 to 2 GB and 20,000 files, where /usr has them)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
swift=${SWIFT:-swift}
place=$(cd "${DEMO_DIR:-${TMPDIR:-/tmp}}" && pwd)
server=

say() { printf '\n== %s\n' "$*"; }
fail() { printf '\ndemo: FAILED: %s\n' "$*" >&2; exit 1; }
megabytes() { awk -v b="$1" 'BEGIN { printf "%.0f MB", b / 1e6 }'; }

clean_up() {
  local code=$?
  if [[ -n $server ]]; then
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" || true
  fi
  if [[ -n ${work:-} ]]; then
    [[ $code == 0 || ! -f $work/server.log ]] || { echo 'the end of the server log:'; tail -20 "$work/server.log"; } >&2
    rm -rf "$work"
  fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- What it will take -----------------------------------------------------------------------------------------

mapfile -t chosen < <(bash Tests/pick-usr.sh \
  "${DEMO_BYTES:-1200000000}" "${DEMO_MOST_BYTES:-2000000000}" "${DEMO_FILES:-20000}")
read -r files bytes <<<"${chosen[0]}"
subtrees=("${chosen[@]:1}")
# The tree, two restored trees and the repository, each with a block a file to spare.
needed=$(((bytes + files * 4096) * 4))
build_needed=2000000000
free_bytes() { df --output=avail -B1 "$1" | tail -1; }
say "This demonstration copies $files files, $(megabytes "$bytes"), from /usr
   at most $(megabytes $needed) in $place, removed at the end ($(megabytes "$(free_bytes "$place")") free)
   at most $(megabytes $build_needed) in $PWD/.build for the build, which stays ($(megabytes "$(free_bytes .)") free)"
[[ $(free_bytes "$place") -ge $needed ]] || fail "not enough space in $place; set DEMO_DIR to another directory"
[[ -d .build || $(free_bytes .) -ge $build_needed ]] || fail "not enough space in $PWD for the build"

# ---- Packages, build, tree -------------------------------------------------------------------------------------

say 'Packages'
bash Tests/packages.sh demo
say 'Release build'
# shellcheck disable=SC2086 # several options in one variable
"$swift" build -c release --product muninn ${BUILD_FLAGS:-}
muninn=$("$swift" build -c release --show-bin-path)/muninn

work=$(mktemp -d "$place/muninn-demo.XXXXXX")
export XDG_STATE_HOME=$work/state
tree=$work/tree backup=$work/backup/NorthwindFS base=$work/base
mkdir -p "$tree" "$base" "$work/backup"
say "Copy of /usr in $tree"
(cd /usr && cp -a --parents "${subtrees[@]}" "$tree/") || [[ $(id -u) != 0 ]] || fail 'cp -a'

# ---- The server ------------------------------------------------------------------------------------------------

say 'Server'
"$muninn" serve --base "$base" --listen 127.0.0.1:0 >"$work/server.log" 2>&1 &
server=$!
port=
for _ in $(seq 300); do
  port=$(sed -n 's|.*listening on http://127\.0\.0\.1:\([0-9]*\).*|\1|p' "$work/server.log" | head -1)
  [[ -z $port ]] || break
  kill -0 "$server" 2>/dev/null || fail 'the server ended'
  sleep 0.1
done
[[ -n $port ]] || fail 'the server did not say where it listens'
echo "muninn serve --base $base --listen 127.0.0.1:0: port $port, process $server"

# What the requests below leave out, so that they stand here as on the page: answers shown whole, no proxy.
printf 'silent\nshow-error\ninclude\nnoproxy = "*"\n' >"$work/.curlrc"
export CURL_HOME=$work

# send STATUS REQUEST: runs a request as it would be typed, shows it and the answer, and leaves the body in $body.
send() {
  local answer
  printf '%s\n' "$2"
  answer=$(bash -c "$2" | tr -d '\r')
  sed 's/^/< /' <<<"$answer"
  [[ $answer == "HTTP/1.1 $1 "* ]] || fail "expected status $1"
  body=${answer#*$'\n\n'}
}
# ask PATH: the JSON that a GET answers.
ask() { curl --no-include --fail "http://localhost:$port$1"; }
now() { echo "${EPOCHREALTIME/,/.}"; }

# The requests of the page, as they stand there.
IFS= read -r -d '' backup_request <<'EOF' || true
curl \
    -X POST http://localhost:8080/fs/NorthwindFS/admin/backup?incremental=false \
    -d "{'BackupLocation':'c:\\temp\\backup\\NorthwindFS'}"
EOF
IFS= read -r -d '' restore_request <<'EOF' || true
curl \
	http://localhost:8080/admin/fs/restore  \
	-X POST \
	-d "{'FilesystemName':'NewNorthwindFS','BackupLocation':'c:\\temp\\backup\\NorthwindFS','IndexesLocation':null,'RestoreStartTimeout':null,'FilesystemLocation':'~\\FileSystem\\NewNorthwindFS','Defrag':false,'JournalsLocation':null}"
EOF
# here REQUEST: with this server's port and this machine's location.
here() {
  local request=${1//8080/$port} location='c:\\temp\\backup\\NorthwindFS'
  printf '%s' "${request//"$location"/$backup}"
}

# ---- Steps and their figures -----------------------------------------------------------------------------------

rows=()
# figures STEP SECONDS TREE: notes what a step did.
figures() {
  local count size stored
  read -r count size < <(find "$3" -type f -printf '%n %i %s\n' \
    | awk '{ n++; if ($1 == 1 || !seen[$2]++) b += $3 } END { print n + 0, b + 0 }')
  stored=$(du -sb "$backup" | cut -f1)
  rows+=("$(awk -v s="$1" -v f="$count" -v b="$size" -v r="$stored" -v t="$2" \
    'BEGIN { printf "%-24s %9d %14.0f %16.0f %9.2f %9.1f", s, f, b, r, t, b / 1e6 / (t > 0 ? t : 0.001) }')")
}
seconds_since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.3f", b - a }'; }
alive() { kill -0 "$server" 2>/dev/null || fail 'the server ended'; }

# back_up STEP REQUEST
back_up() {
  local start status shown=0
  start=$(now)
  send 201 "$2"
  while status=$(ask '/fs/NorthwindFS/config?name=Raven/Backup/Status'); do
    [[ $(jq -r .IsRunning <<<"$status") == true ]] || break
    if ((SECONDS - shown >= 2)); then
      shown=$SECONDS
      jq -r '"Raven/Backup/Status: running, \(.Progress.Phase), \(.Progress.FilesDone) files, \(.Progress.BytesDone) bytes"' \
        <<<"$status"
    fi
    alive
    sleep 0.1
  done
  figures "$1" "$(seconds_since "$start")" "$tree"
  jq -r '"Raven/Backup/Status: IsRunning \(.IsRunning), Success \(.Success)", (.Messages[]?.Message | "  \(.)")' <<<"$status"
  [[ $(jq -r .Success <<<"$status") == true ]] || fail "the backup did not succeed: $status"
}

# restore STEP NAME REQUEST: and the proof.
restore() {
  local start id state shown=0 target=$base/FileSystem/$2 difference
  start=$(now)
  send 200 "$3"
  id=$(jq -re .OperationId <<<"$body") || fail "no OperationId in: $body"
  while state=$(ask "/operation/status?id=$id"); do
    [[ $(jq -r .Completed <<<"$state") != true ]] || break
    if ((SECONDS - shown >= 2)); then
      shown=$SECONDS
      jq -r --arg id "$id" '.State.Progress
        | "operation \($id): \(.Phase), \(.FilesDone) files, \(.BytesDone) bytes"' <<<"$state"
    fi
    alive
    sleep 0.1
  done
  figures "$1" "$(seconds_since "$start")" "$target"
  [[ $(jq -r '.Faulted or .Canceled' <<<"$state") == false ]] || fail "the restore did not succeed: $state"
  echo "operation $id: completed"
  ask /fs | jq -e --arg name "$2" 'index($name) != null' >/dev/null || fail "GET /fs does not list $2"
  difference=$(rsync -aHAXn --checksum --delete --itemize-changes "$tree/" "$target/")
  [[ -z $difference ]] || fail "the restored tree differs: $(head -20 <<<"$difference")"
  echo "rsync -aHAXn --checksum --delete --itemize-changes TREE/ RESTORED/: nothing differs"
}

say 'File system'
send 201 "curl -X PUT http://localhost:$port/admin/fs/NorthwindFS \\
    -d \"{'Settings':{'Raven/FileSystem/DataDir':'$tree'},'SecuredSettings':{}}\""

say 'Full backup'
back_up 'full backup' "$(here "$backup_request")"

# ---- Change the tree -------------------------------------------------------------------------------------------

say 'Change the tree: modify, add, delete, rename, chmod, extended attributes'
# Every 23rd regular file that has content is changed, each in one of five ways in turn.
mapfile -d '' -t picked < <(find "$tree" -type f -size +0 -perm -u+w -print0 | LC_ALL=C sort -z \
  | awk 'BEGIN { RS = ORS = "\0" } NR % 23 == 0')
modified=0 deleted=0 renamed=0 moded=0 attributed=0 attributes=true
setfattr -n user.muninn.demo -v probe "$tree" 2>/dev/null || attributes=false
for i in "${!picked[@]}"; do
  file=${picked[i]}
  case $((i % 5)) in
    0) echo "changed by the demonstration, $i" >>"$file" && modified=$((modified + 1)) ;;
    1) rm -f "$file" && deleted=$((deleted + 1)) ;;
    2) mv "$file" "${file%/*}/renamed-$i" && renamed=$((renamed + 1)) ;;
    3) chmod u+rwx,go= "$file" && moded=$((moded + 1)) ;;
    4) if $attributes; then setfattr -n user.muninn.demo -v "value $i" "$file" && attributed=$((attributed + 1)); fi ;;
  esac
done
largest=$(find "$tree" -type f -perm -u+w -printf '%s %p\n' | sort -n | tail -1 | cut -d' ' -f2-)
printf 'in the middle' | dd of="$largest" bs=1 seek=$(($(stat -c %s "$largest") / 2)) conv=notrunc status=none
new=$tree/added
mkdir "$new"
for i in $(seq 500); do printf 'file %d of the demonstration\n%s\n' "$i" "$RANDOM" >"$new/file-$i"; done
ln "$new/file-1" "$new/hard-link"
ln -s file-2 "$new/symbolic-link"
ln -s /nowhere/at/all "$new/dangling"
mkfifo "$new/fifo"
: >"$new/empty"
mkdir "$new/empty directory"
printf 'not UTF-8' >"$new/"$'\xff\xfe name\twith\nspace'
truncate -s 64M "$new/sparse" && printf 'end' | dd of="$new/sparse" bs=1M seek=40 conv=notrunc status=none
head -c 3000000 /dev/urandom >"$new/random"
setfacl -m u:1:rw,g:2:r "$new/file-3" 2>/dev/null || echo 'no ACLs on this file system'
setfacl -d -m u:1:rx "$new/empty directory" 2>/dev/null || true
[[ $(id -u) != 0 ]] || { chown 1:2 "$new/file-4"; chmod 4755 "$new/file-4"; mknod "$new/device" c 1 3 2>/dev/null || true; }
touch -h -d '1999-12-31 23:59:59.123456789' "$new/file-5" "$new/symbolic-link"
echo "$((modified + 1)) modified, 500 and more added, $deleted deleted, $renamed renamed, $moded modes, $attributed attributes"

say 'Incremental backup'
request=$(here "$backup_request")
back_up 'incremental backup' "${request/incremental=false/incremental=true}"

# ---- Restore twice, and prove both -----------------------------------------------------------------------------

say 'Restore, Defrag false'
request=$(here "$restore_request")
restore 'restore, Defrag false' NewNorthwindFS "$request"
say 'Restore, Defrag true'
request=${request//NewNorthwindFS/NewNorthwindFSDefrag}
restore 'restore, Defrag true' NewNorthwindFSDefrag "${request/"'Defrag':false"/"'Defrag':true"}"

say 'Stop the server, verify the repository'
kill -TERM "$server"
code=0
wait "$server" || code=$?
server=
[[ $code == 0 ]] || fail "the server ended with $code"
"$muninn" snapshots "$backup"
start=$(now)
"$muninn" check "$backup" --read-data
figures 'check --read-data' "$(seconds_since "$start")" "$tree"

say 'Figures'
printf '%-24s %9s %14s %16s %9s %9s\n' step files bytes 'repository bytes' seconds MB/s
printf '%s\n' "${rows[@]}"
echo
echo 'Both restored trees are equal to the source.'
