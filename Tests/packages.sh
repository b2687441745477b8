#!/usr/bin/env bash
# Installs the Debian packages that are missing. usage: packages.sh build|demo|test|load
#   build  the headers that the C kernels are compiled against
#   demo   those, and what the demonstration calls
#   test   those, and what the shell tests call
#   load   those, and what polls a server
set -euo pipefail

packages=(liblz4-dev libxxhash-dev)
case ${1:?build, demo or test} in
  build) ;;
  demo) packages+=(rsync attr acl curl jq) ;;
  test) packages+=(rsync attr acl curl jq lz4 xxhash strace e2fsprogs util-linux) ;;
  load) packages+=(wrk) ;;
  *) echo "packages.sh: '$1' is none of build, demo, test, load" >&2; exit 64 ;;
esac

if ! command -v dpkg-query >/dev/null; then
  echo "packages.sh: no dpkg here; make sure that these are installed: ${packages[*]}" >&2
  exit 0
fi
missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
  [[ $state == ii* ]] || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

as_root=()
if [[ $(id -u) != 0 ]]; then
  command -v sudo >/dev/null || { echo "packages.sh: as root: apt-get install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "installing ${missing[*]}"
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600)
"${apt[@]}" update
"${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null
