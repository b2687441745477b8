#!/usr/bin/env bash
# The requests of RavenFS's page "Backup and restore", as they stand there, pasted into bash: locations changed and
# nothing else. Then the page's own Windows locations, which are answered with what a location looks like here.
# MUNINN=binary; see prelude.sh
. "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"
base=$scratch/base
mkdir -p "$scratch/tree/docs" "$base"
echo hello >"$scratch/tree/docs/hello.txt"
head -c 3000000 /dev/urandom >"$scratch/tree/large"

"$muninn" serve --base "$base" --listen 127.0.0.1:0 --log-level warning >"$scratch/url" 2>"$scratch/server.log" &
server=$!
clean_up() {
  kill -TERM "$server" 2>/dev/null && wait "$server"
  rm -rf "$scratch"
}
for _ in {1..200}; do [[ ! -s $scratch/url ]] || break; sleep 0.05; done
url=$(sed -n 's/^listening on //p' "$scratch/url")
[[ -n $url ]] || fail "the server does not listen: $(cat "$scratch/server.log")"
# The page talks to localhost:8080; its requests are sent to where this server listens instead.
port=${url##*:}
curl() { command curl -sS --connect-to "localhost:8080:127.0.0.1:$port" -D "$scratch/head" -o "$scratch/body" "$@"; }
answered() { # answered STATUS [BODY]
  local status
  status=$(awk 'NR == 1 { print $2 }' "$scratch/head")
  [[ $status == "$1" ]] || fail "$status instead of $1: $(cat "$scratch/body")"
  [[ $# == 1 || $(cat "$scratch/body") == "$2" ]] || fail "body $(cat "$scratch/body") instead of $2"
}
ended() { # ended ID: waits for the operation's end
  for _ in {1..600}; do
    curl "http://localhost:8080/operation/status?id=$1"
    jq -e .Completed "$scratch/body" >/dev/null && break
    sleep 0.1
  done
  jq -e '.Completed and (.Faulted | not) and (.Canceled | not) and .State.Error == null' "$scratch/body" >/dev/null \
    || fail "operation $1: $(cat "$scratch/body")"
}

curl -X PUT "http://localhost:8080/admin/fs/NorthwindFS" \
  -d "{'Settings':{'Raven/FileSystem/DataDir':'$scratch/tree'},'SecuredSettings':{}}"
answered 201

curl \
    -X POST http://localhost:8080/fs/NorthwindFS/admin/backup?incremental=false \
    -d "{'BackupLocation':'~\\temp\\backup\\NorthwindFS'}"
answered 400
grep -q 'control character' "$scratch/body" || fail "nothing about \\t and \\b in $(cat "$scratch/body")"

curl \
    -X POST http://localhost:8080/fs/NorthwindFS/admin/backup?incremental=false \
    -d "{'BackupLocation':'~/temp/backup/NorthwindFS'}"
answered 201 ''
curl 'http://localhost:8080/fs/NorthwindFS/config?name=Raven/Backup/Status'
answered 200
ended 1

curl \
	http://localhost:8080/admin/fs/restore  \
	-X POST \
	-d "{'FilesystemName':'NewNorthwindFS','BackupLocation':'~/temp/backup/NorthwindFS','IndexesLocation':null,'RestoreStartTimeout':null,'FilesystemLocation':'~\\FileSystem\\NewNorthwindFS','Defrag':false,'JournalsLocation':null}"
answered 200 '{"OperationId":2}'
ended 2
same_tree "$scratch/tree" "$base/FileSystem/NewNorthwindFS"

# As they stand, Windows locations and all.
curl \
    -X POST http://localhost:8080/fs/NorthwindFS/admin/backup?incremental=false \
    -d "{'BackupLocation':'c:\\temp\\backup\\NorthwindFS'}"
answered 400
grep -q 'drive letter' "$scratch/body" || fail "nothing about drive letters in $(cat "$scratch/body")"
curl \
	http://localhost:8080/admin/fs/restore  \
	-X POST \
	-d "{'FilesystemName':'NewNorthwindFS','BackupLocation':'c:\\temp\\backup\\NorthwindFS','IndexesLocation':null,'RestoreStartTimeout':null,'FilesystemLocation':'~\\FileSystem\\NewNorthwindFS','Defrag':false,'JournalsLocation':null}"
answered 400
grep -q '/srv/backups' "$scratch/body" || fail "no location of this machine in $(cat "$scratch/body")"
echo 'seedpage: the page works'
