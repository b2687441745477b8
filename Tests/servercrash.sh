#!/usr/bin/env bash
# kill -9 of `muninn serve` in the middle of a backup, then of a restore, again and again. After each start nothing says
# running that is not, operation ids go on, the same request works, and what it makes is right.
# usage: servercrash.sh [short]    MUNINN=binary; see prelude.sh
. "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"
case ${1:-} in
  short) rounds=4 megabytes=60 ;;
  *) rounds=20 megabytes=250 ;;
esac
base=$scratch/base tree=$scratch/tree
mkdir -p "$tree/small"
server=
start() {
  : >"$scratch/url"
  "$muninn" serve --base "$base" --listen 127.0.0.1:0 --log-level error >"$scratch/url" 2>>"$scratch/server.log" &
  server=$!
  for _ in {1..400}; do [[ ! -s $scratch/url ]] || break; sleep 0.05; done
  url=$(sed -n 's/^listening on //p' "$scratch/url")
  [[ -n $url ]] || fail "the server does not listen: $(tail -5 "$scratch/server.log")"
}
clean_up() {
  [[ -z $server ]] || { kill -TERM "$server" && wait "$server"; } 2>/dev/null
  if [[ -n ${KEEP:-} ]]; then echo "kept $scratch"; else rm -rf "$scratch"; fi
}
crash() {
  kill -9 "$server"
  wait "$server" 2>/dev/null || true
  server=
}
ask() { # ask STATUS METHOD PATH [BODY]: prints the body
  local status
  status=$(curl -sS -o "$scratch/body" -w '%{http_code}' -X "$2" "$url$3" ${4:+-d "$4"})
  [[ $status == "$1" ]] || fail "$2 $3: $status instead of $1: $(cat "$scratch/body")"
  cat "$scratch/body"
}
nothing_runs() { # after a start
  local running
  running=$(ask 200 GET '/operations?pageSize=1024' | jq '[.[] | select(.Completed | not)] | length')
  [[ $running == 0 ]] || fail "$running operations still say running"
  [[ $(ask 200 GET /fs/A/stats | jq -c .RunningOperations) == '[]' ]] || fail 'stats name what runs'
}
await() { # await ID: the operation completes without a fault
  local status
  for _ in {1..1200}; do
    status=$(ask 200 GET "/operation/status?id=$1")
    [[ $(jq .Completed <<<"$status") == false ]] || break
    sleep 0.1
  done
  [[ $(jq -c '[.Completed, .Faulted, .Canceled, .State.Error]' <<<"$status") == '[true,false,false,null]' ]] \
    || fail "operation $1: $status"
}
newest() { ask 200 GET '/operations?pageSize=1' | jq '.[0].Id'; }

start
ask 201 PUT /admin/fs/A "{'Settings':{'Raven/FileSystem/DataDir':'$tree'}}" >/dev/null
killed=0 resumed=0 last=0
for ((round = 1; round <= rounds; round++)); do
  head -c $((megabytes * 1000000)) /dev/urandom >"$tree/large"
  for ((file = 0; file < 200; file++)); do echo "$round $file" >"$tree/small/$file"; done

  # In the middle of a backup.
  began=$(now_ms)
  ask 201 POST '/fs/A/admin/backup?incremental=false' "{'BackupLocation':'~/b'}" >/dev/null
  sleep "0.$((RANDOM % 6))$((RANDOM % 10))"
  [[ $(ask 200 GET '/fs/A/config?name=Raven/Backup/Status' | jq .IsRunning) == false ]] || killed=$((killed + 1))
  crash
  start
  nothing_runs
  status=$(ask 200 GET '/fs/A/config?name=Raven/Backup/Status')
  [[ $(jq -c '[.IsRunning, .Success, .Completed != null]' <<<"$status") =~ ^\[false,(true|false),true\]$ ]] \
    || fail "after a crash the status is $status"
  id=$(newest)
  ((id > last)) || fail "operation ids do not go on: $id after $last"
  ask 201 POST '/fs/A/admin/backup?incremental=true' "{'BackupLocation':'~/b'}" >/dev/null
  last=$(newest)
  ((last == id + 1)) || fail "the next operation is $last, not $((id + 1))"
  await "$last"

  # In the middle of a restore of it.
  restore="{'BackupLocation':'~/b','FilesystemName':'R$round','FilesystemLocation':'$scratch/restored'}"
  ask 200 POST /admin/fs/restore "$restore" >/dev/null
  sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
  id=$(newest)
  [[ $(ask 200 GET "/operation/status?id=$id" | jq .Completed) == true ]] || killed=$((killed + 1))
  crash
  start
  nothing_runs
  status=$(ask 200 GET "/operation/status?id=$id")
  if [[ $(jq .Faulted <<<"$status") == true ]]; then
    jq -e '.State.Error | test("still in|removed|goes on")' <<<"$status" >/dev/null \
      || fail "an interrupted restore does not say what became of its files: $status"
    [[ $(ask 200 GET /fs | jq "index(\"R$round\")") == null ]] || fail "R$round is registered and not complete"
    ask 200 POST /admin/fs/restore "$restore" >/dev/null
    await "$(newest)"
    ! jq -e '.State.Error | test("goes on")' <<<"$status" >/dev/null \
      || jq -e '.State.Messages | any(test("Went on"))' "$scratch/body" >/dev/null \
      || fail "the restore did not go on: $(cat "$scratch/body")"
    ! jq -e '.State.Error | test("goes on")' <<<"$status" >/dev/null || resumed=$((resumed + 1))
  fi
  same_tree "$tree" "$scratch/restored"
  last=$(newest)
  ask 204 DELETE "/admin/fs/R$round?hard-delete=true" >/dev/null
  rm -rf "$scratch/restored"
  printf 'servercrash: round %d of %d, %d kills met a running operation, %d restores went on, %d ms\n' \
    "$round" "$rounds" "$killed" "$resumed" $(($(now_ms) - began))
done
((killed > 0)) || fail 'no kill met a running operation: make the tree larger'
"$muninn" check "$base/b" --read-data >/dev/null || fail 'the repository is damaged'
