#!/usr/bin/env bash
# A disk that fills up under a backup and under a restore: a clear message, exit code 1, and nothing that was committed is lost.
# Small file systems in memory and, where a loop device can be had, on ext4. Needs root, or user namespaces.
# usage: fulldisk.sh [short]    MUNINN=binary; see prelude.sh
if [[ $(id -u) != 0 && -z ${IN_NAMESPACE:-} ]]; then
  if unshare -Urm true 2>/dev/null; then exec env IN_NAMESPACE=1 unshare -Urm bash "${BASH_SOURCE[0]}" "$@"; fi
  echo 'full disk: left out, mounting needs root or user namespaces'
  exit 0
fi
. "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"
case ${1:-} in
  short) size=24 ;;
  *) size=200 ;;
esac
disk=$scratch/disk
clean_up() {
  umount -q "$disk" 2>/dev/null || true
  if [[ -n ${KEEP:-} ]]; then echo "kept $scratch"; else rm -rf "$scratch"; fi
}
mkdir "$disk" "$scratch/first" "$scratch/second"

# A quarter of the disk, then one and a half times as much as it holds, in large and in small files, incompressible.
for i in $(seq 40); do head -c $((size * 1000000 / 160)) /dev/urandom >"$scratch/first/file-$i"; done
cp -a "$scratch/first/." "$scratch/second/"
head -c $((size * 1000000)) /dev/urandom >"$scratch/second/large"
head -c $((size * 500000)) /dev/urandom | split -a 4 -b 20000 - "$scratch/second/small-"

# must_say_full WHAT CODE: the last command failed and said why.
must_say_full() {
  [[ $2 == 1 ]] || fail "$1 on a full disk ended with $2: $(tail -5 "$scratch/log")"
  grep -qiE 'no space|disk.*full|space.*left' "$scratch/log" || fail "$1 on a full disk does not say so: $(tail -5 "$scratch/log")"
}

# on_a_disk NAME: the whole story on the file system mounted at $disk.
on_a_disk() {
  local name=$1 repository=$disk/repository first code
  # What is taken away to make room at the end.
  fallocate -l $((size * 5 / 2))M "$disk/ballast"
  "$muninn" init --no-encryption "$repository" >/dev/null
  "$muninn" backup "$repository" "$scratch/first" >/dev/null
  first=$(newest_snapshot "$repository")

  for attempt in 1 2; do
    must_say_full "backup $attempt" "$(exit_code "$muninn" backup "$repository" "$scratch/second")"
    must_be_clean "$repository"
    restores_to "$repository" "$first" "$scratch/first"
  done

  # Not a byte left: reading must still go.
  dd if=/dev/zero of="$disk/filler" bs=64k status=none 2>/dev/null || true
  dd if=/dev/zero of="$disk/filler" bs=512 oflag=append conv=notrunc status=none 2>/dev/null || true
  must_say_full 'backup with nothing free' "$(exit_code "$muninn" backup "$repository" "$scratch/second")"
  must_be_clean "$repository"
  restores_to "$repository" "$first" "$scratch/first"
  must_say_full restore "$(exit_code "$muninn" restore "$repository" "$first" --target "$disk/restored")"
  rm -rf "$disk/filler" "$disk/restored" "$disk/ballast"

  code=$(exit_code "$muninn" backup "$repository" "$scratch/second")
  [[ $code == 0 ]] || fail "backup after making room ended with $code: $(tail -5 "$scratch/log")"
  must_be_clean "$repository"
  restores_to "$repository" "$first" "$scratch/first"
  newest=$(newest_snapshot "$repository")
  restores_to "$repository" "$newest" "$scratch/second"
  umount "$disk"
  echo "full disk ($name): said so with exit code 1, nothing lost, the next backup succeeds with room"
}

mount -t tmpfs -o "size=$((size * 7 / 2))m" tmpfs "$disk"
on_a_disk tmpfs

truncate -s $((size * 7 / 2))M "$scratch/image"
mkfs.ext4 -q -F -m 0 "$scratch/image"
if mount -o loop "$scratch/image" "$disk" 2>/dev/null; then
  on_a_disk ext4
else
  echo 'full disk (ext4): left out, no loop device can be had'
fi
