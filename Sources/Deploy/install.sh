#!/usr/bin/env bash
# Puts what was built below DESTDIR/PREFIX. What it installs says PREFIX alone of where things are: DESTDIR is where a
# packager gathers them. usage: install.sh BIN-DIRECTORY MANUAL-DIRECTORY PREFIX [DESTDIR]
set -euo pipefail
bin=${1:?} manual=${2:?} prefix=${3:?} destination=${4:-}$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
muninn=$bin/muninn

pages=("$manual"/*.1)
[[ -e ${pages[0]} ]] || { echo "install.sh: no man pages in $manual: make man" >&2; exit 1; }
install -D -m 755 "$muninn" "$destination/bin/muninn"
install -d "$destination/share/man/man1"
# Pages of commands that are gone stay from an earlier version.
rm -f "$destination"/share/man/man1/muninn{,.*}.1
install -m 644 "${pages[@]}" "$destination/share/man/man1"

put() { install -D -m 644 /dev/stdin "$1"; }
"$muninn" --generate-completion-script bash | put "$destination/share/bash-completion/completions/muninn"
"$muninn" --generate-completion-script zsh | put "$destination/share/zsh/site-functions/_muninn"
"$muninn" --generate-completion-script fish | put "$destination/share/fish/vendor_completions.d/muninn.fish"
sed "s|^ExecStart=/usr/local/bin/|ExecStart=$prefix/bin/|" "$here/muninn.service" \
  | put "$destination/lib/systemd/system/muninn.service"
install -D -m 644 "$here/muninn.sysusers" "$destination/lib/sysusers.d/muninn.conf"
install -D -m 644 "$here/muninn.yaml" "$destination/share/doc/muninn/muninn.yaml"
