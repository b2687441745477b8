#!/usr/bin/env bash
# Puts what was built below PREFIX. usage: install.sh BIN-DIRECTORY MANUAL-DIRECTORY PREFIX
set -euo pipefail
bin=${1:?} manual=${2:?} prefix=${3:?}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
muninn=$bin/muninn

install -D -m 755 "$muninn" "$prefix/bin/muninn"
for page in "$manual"/*.1; do
  install -D -m 644 "$page" "$prefix/share/man/man1/${page##*/}"
done
put() { install -D -m 644 /dev/stdin "$1"; }
"$muninn" --generate-completion-script bash | put "$prefix/share/bash-completion/completions/muninn"
"$muninn" --generate-completion-script zsh | put "$prefix/share/zsh/site-functions/_muninn"
"$muninn" --generate-completion-script fish | put "$prefix/share/fish/vendor_completions.d/muninn.fish"
sed "s|^ExecStart=/usr/local/bin/|ExecStart=$prefix/bin/|" "$here/muninn.service" \
  | put "$prefix/lib/systemd/system/muninn.service"
install -D -m 644 "$here/muninn.yaml" "$prefix/share/doc/muninn/muninn.yaml"
