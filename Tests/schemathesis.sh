#!/usr/bin/env bash
# Requests by the thousand, drawn from /openapi.json by schemathesis: no 5xx, no status and no content that the
# description does not have. The server stays up and its memory bounded. Installs schemathesis from PyPI into a scratch
# environment.
# usage: schemathesis.sh [EXAMPLES an operation]    MUNINN=binary; see prelude.sh
. "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"
examples=${1:-1000}
base=$scratch/base
venv=${SCHEMATHESIS_VENV:-$scratch/venv}
if [[ ! -x $venv/bin/schemathesis ]]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install -q 'schemathesis>=4,<5'
fi
mkdir -p "$base" "$scratch/tree"
echo hello >"$scratch/tree/hello"
# Locations lie below the base, whatever is drawn.
"$muninn" serve --base "$base" --listen 127.0.0.1:0 --allow-root "$base" --log-level error \
  >"$scratch/url" 2>"$scratch/server.log" &
server=$!
clean_up() {
  kill -TERM "$server" 2>/dev/null && wait "$server"
  if [[ -n ${KEEP:-} ]]; then echo "kept $scratch"; else rm -rf "$scratch"; fi
}
for _ in {1..200}; do [[ ! -s $scratch/url ]] || break; sleep 0.05; done
url=$(sed -n 's/^listening on //p' "$scratch/url")
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$server/status"; }
for name in NorthwindFS B C; do curl -sS -X PUT "$url/admin/fs/$name" -d '{}' >/dev/null; done
# What the description's examples name is there.
curl -sS -T "$scratch/tree/hello" "$url/fs/NorthwindFS/files/docs/hello.txt" >/dev/null
curl -sS -X POST "$url/fs/NorthwindFS/admin/backup" -d "{'BackupLocation':'~/backup/NorthwindFS'}" >/dev/null
sleep 1
before=$(resident)
# It leaves what it found out in the directory that it runs in.
cd "$scratch"
"$venv/bin/schemathesis" run "$url/openapi.json" --max-examples "$examples" --phases examples,coverage,fuzzing \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
  --request-timeout 30 --continue-on-failure --no-color 2>&1 | tee "$scratch/report" | tail -n 60
status=${PIPESTATUS[0]}
kill -0 "$server" || fail "the server ended: $(tail -5 "$scratch/server.log")"
requests=$(curl -sS "$url/metrics" | awk '/^hb_requests_total/ { sum += $NF } END { print sum }')
printf 'schemathesis: %d requests, resident %d KiB before, %d KiB after\n' "$requests" "$before" "$(resident)"
[[ $status == 0 ]] || fail 'schemathesis has findings'
