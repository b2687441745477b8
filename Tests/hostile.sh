#!/usr/bin/env bash
# A tree of everything that Linux keeps of files comes back identical, for root and for an ordinary user.
# usage: hostile.sh [short]    MUNINN=binary; see prelude.sh
# Run by root it does all of it, and again as the user nobody. What a machine cannot have is said and left out.
. "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"
is_root=
[[ $(id -u) != 0 ]] || is_root=yes
mounted=()

clean_up() {
  local place
  for place in "${mounted[@]}"; do umount -q "$place" 2>/dev/null || true; done
  # Flags and modes that keep even their owner from removing things.
  if [[ -n $is_root ]]; then chattr -R -f -ia "$scratch" 2>/dev/null || true; fi
  chmod -R u+rwX "$scratch" 2>/dev/null || true
  if [[ -n ${KEEP:-} ]]; then echo "kept $scratch"; else rm -rf "$scratch"; fi
}

left_out=()
# try NAME COMMAND...: does it, or notes that it cannot be had here.
try() {
  local name=$1
  shift
  "$@" 2>/dev/null || left_out+=("$name")
}

make_files() {
  mkdir files && cd files
  local size mode
  for size in 0 1 127 128 129 4095 4096 4097 65536 1048576 1048577 3000000; do
    head -c "$size" /dev/urandom >"size-$size"
  done
  head -c 500000 /dev/zero >zeros
  cp size-65536 twin
  for mode in 0400 0444 0777 1644 2755 4755 6711 7777; do echo "$mode" >"mode-$mode" && chmod "$mode" "mode-$mode"; done
  touch -d @0 epoch
  touch -d '1931-05-02 03:04:05.123456789 UTC' before
  touch -d '2262-04-11 23:47:16.854775806 UTC' far
  touch -d '2001-02-03 04:05:06.000000001 UTC' nanosecond
  cd ..
}

make_names() {
  mkdir names && cd names
  local name byte
  for byte in $(seq 1 255); do
    [[ $byte == 47 || $byte == 46 ]] && continue
    printf -v name '%b' "\\x$(printf %x "$byte")"
    printf %d "$byte" >"./$name"
  done
  for name in '-rf' ' ' 'a ' '*' '....' $'a\nb' $'\xc3' $'\xff\xfe' $'\xed\xa0\x80' 'aa-b' 'aa b' 'aa.b' '\x41' \
    "$(printf 'n%.0s' {1..255})" "$(printf '\x80%.0s' {1..255})"; do
    printf %s "$name" >"./$name"
  done
  mkdir aa && echo 1 >aa/b
  cd ..
}

make_directories() {
  mkdir -p directories/empty directories/many && cd directories
  local mode number
  for mode in 0700 0500 1777 2775 0711; do mkdir "mode-$mode" && chmod "$mode" "mode-$mode"; done
  for number in $(seq 1500); do printf %s "$number" >"many/$number"; done
  touch -d '2011-11-11 11:11:11.111111111' empty
  cd ..
}

make_links() {
  mkdir links elsewhere && cd links
  ln -s ../files/size-1 relative
  ln -s /etc/passwd absolute
  ln -s nowhere dangling
  ln -s loop loop
  ln -s "$(printf 't%.0s' {1..4000})" long
  ln -s $'\xff\n' bytes
  touch -h -d '1999-09-09 09:09:09.909090909' dangling
  head -c 150000 /dev/urandom >hard-1
  : >hard-empty-1
  ln hard-1 ../elsewhere/hard-2
  ln hard-1 ../hard-3
  ln hard-empty-1 ../elsewhere/hard-empty-2
  ln dangling ../elsewhere/dangling-2
  head -c 3000000 /dev/urandom >hard-large
  ln hard-large ../a-comes-first
  cd ..
}

make_nodes() {
  mkdir nodes && cd nodes
  mkfifo -m 640 fifo
  ln fifo fifo-2
  try socket perl -MSocket -e 'socket(S,PF_UNIX,SOCK_STREAM,0) && bind(S,pack_sockaddr_un("socket")) or exit 1'
  if [[ -n $is_root ]]; then
    try devices mknod -m 666 null c 1 3
    try devices mknod -m 600 block b 240 70000
  fi
  cd ..
}

make_sparse() {
  mkdir sparse && cd sparse
  truncate -s 5M all-hole
  echo start >start && truncate -s 3M start
  truncate -s 4M middle && printf middle | dd of=middle bs=1 seek=2M conv=notrunc status=none
  truncate -s 1100K end && echo end >>end
  local tooth
  for tooth in $(seq 0 99); do printf %s "$tooth" | dd of=comb bs=1 seek=$((tooth * 65536)) conv=notrunc status=none; done
  try reserved fallocate -l 1M reserved
  cd ..
}

make_attributes() {
  mkdir attributes && cd attributes
  echo file >file && mkdir directory && ln -s file symlink
  try 'user attributes' setfattr -n user.small -v value file
  try 'user attributes' setfattr -n user.empty file
  try 'user attributes' setfattr -n user.big -v "$(printf 'v%.0s' {1..3000})" file
  try 'user attributes' setfattr -n user.directory -v 0x00ff0a directory
  try ACLs setfacl -m u:12345:rwx,g:23456:r,m::rwx file
  try ACLs setfacl -m d:u:12345:rx,d:g::-,u:1:r directory
  if [[ -n $is_root ]]; then
    try 'trusted attributes' setfattr -n trusted.file -v 1 file
    try 'trusted attributes' setfattr -h -n trusted.link -v 2 symlink
    try 'security attributes' setfattr -n security.other -v 3 file
    cp file capable
    # vfs_cap_data, revision 2, effective: CAP_NET_BIND_SERVICE.
    try capabilities setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 capable
    chmod 755 capable
  fi
  cd ..
}

make_owners() {
  [[ -n $is_root ]] || return 0
  mkdir owners && cd owners
  echo 1 >file && ln -s file symlink && mkdir directory
  chown 12345:6789 file && chown -h 1:2 symlink && chown 4000000000:3000000000 directory
  echo 2 >set-id && chown 12345:6789 set-id && chmod 6755 set-id
  cd ..
}

# Flags come last: what has them takes no more changes.
make_flags() {
  mkdir flags && cd flags
  mkdir fixed && echo in >fixed/inside
  local flag
  for flag in d A i a; do
    [[ $flag == [dA] || -n $is_root ]] || continue
    # Of small files only what statx shows is kept, and that is all but A here.
    if [[ $flag == A ]]; then head -c 1100000 /dev/zero >flag-A; else echo "$flag" >"flag-$flag"; fi
    try "flag $flag" chattr "+$flag" "flag-$flag"
  done
  if [[ -n $is_root ]]; then
    echo both >linked && ln linked linked-2 && try 'flag i' chattr +i linked
    try 'flag i' chattr +i fixed
  fi
  cd ..
}

# Longer than PATH_MAX: rsync cannot go there, so it stands beside.
make_deep() {
  local name level
  name=$(printf 'd%.0s' {1..200})
  for level in $(seq 40); do
    mkdir "$name" && echo "$level" >"file-$level" && ln -s "$level" link && cd -P "./$name" 2>/dev/null || return 1
  done
}

# attributes_of DIR, flags_of DIR, deep_sum DIR: what rsync does not compare.
attributes_of() {
  (cd "$1" && find . -print0 | LC_ALL=C sort -z | xargs -0 getfattr -h -d -m - -e hex 2>/dev/null)
}

flags_of() {
  (cd "$1" && find . \( -type f -o -type d \) -print0 | LC_ALL=C sort -z \
    | xargs -0 lsattr -d 2>/dev/null | sed -E 's/^([^ ]*)/\n\1/' | sed -E '/^[-a-zA-Z]+ /s/[eIEN]/-/' || true)
}

deep_sum() {
  tar -C "$1" --sort=name --format=posix --pax-option=delete=atime,delete=ctime -cf - . | sha256sum
}

identical() { # identical WHAT A B
  local what=$1
  cmp -s <("$what" "$2") <("$what" "$3") || fail "$what of $3 differs from $2:
$(diff <("$what" "$2") <("$what" "$3") | head -20)"
}

repository=$scratch/repository tree=$scratch/tree deep=$scratch/deep
umask 022
mkdir "$tree" "$deep"
(cd "$tree" && make_files && make_names && make_directories && make_links && make_nodes && make_sparse \
  && make_attributes && make_owners && make_flags && printf '%s\n' "${left_out[@]}" | sed '/^$/d' >"$scratch/left-out")
(cd "$deep" && make_deep)
[[ ! -s $scratch/left-out ]] || echo "hostile tree: cannot be had here: $(sort -u "$scratch/left-out" | paste -sd,)"
# A file whose change time is this very moment cannot be told from one that is being written.
sleep 0.1

"$muninn" init "$repository" --no-encryption >/dev/null
for source in "$tree" "$deep"; do
  for round in first second; do
    code=$(exit_code "$muninn" backup "$repository" "$source" --json)
    [[ $code == 0 ]] || fail "$round backup of $source ended with $code: $(tail -5 "$scratch/log")"
    read_bytes=$(jq .snapshot.statistics.bytesRead "$scratch/log")
    [[ $round == first || $read_bytes == 0 ]] || fail "an unchanged $source was read: $read_bytes bytes"
    rm -rf "$scratch/restored"
    "$muninn" restore "$repository" latest --target "$scratch/restored" >"$scratch/log" 2>&1 \
      || fail "$round restore of $source: $(tail -5 "$scratch/log")"
    if [[ $source == "$tree" ]]; then
      same_tree "$source" "$scratch/restored"
      identical attributes_of "$source" "$scratch/restored"
      identical flags_of "$source" "$scratch/restored"
    else
      identical deep_sum "$source" "$scratch/restored"
    fi
    [[ -z $is_root ]] || chattr -R -f -ia "$scratch/restored" 2>/dev/null || true
    chmod -R u+rwX "$scratch/restored"
    rm -rf "$scratch/restored"
  done
done
must_be_clean "$repository"

# A full backup reads everything again and finds that the second was right to take over what it did.
code=$(exit_code "$muninn" backup "$repository" "$tree" --full --json)
[[ $code == 0 ]] || fail "full backup ended with $code: $(tail -5 "$scratch/log")"
[[ $(jq .differingCount "$scratch/log") == 0 ]] || fail "a full backup found differences: $(cat "$scratch/log")"

if [[ -n $is_root ]]; then
  # Other file systems: /proc is never entered, and with -x none is.
  mkdir -p "$scratch/mounts/here" "$scratch/mounts/proc" "$scratch/mounts/other"
  echo here >"$scratch/mounts/here/file"
  if mount -t proc proc "$scratch/mounts/proc" 2>/dev/null && mounted+=("$scratch/mounts/proc") \
    && mount -t tmpfs tmpfs "$scratch/mounts/other" && mounted+=("$scratch/mounts/other"); then
    echo other >"$scratch/mounts/other/file"
    "$muninn" backup "$repository" "$scratch/mounts" >/dev/null
    "$muninn" ls "$repository" latest --json | jq -r '.entries[].path' | sort | paste -sd' ' >"$scratch/log"
    [[ $(cat "$scratch/log") == ' here here/file other other/file proc' ]] || fail "taken: $(cat "$scratch/log")"
    "$muninn" backup "$repository" -x "$scratch/mounts" >/dev/null
    "$muninn" ls "$repository" latest --json | jq -r '.entries[].path' | sort | paste -sd' ' >"$scratch/log"
    [[ $(cat "$scratch/log") == ' here here/file other proc' ]] || fail "taken with -x: $(cat "$scratch/log")"
  else
    echo 'hostile tree: mounts left out, they cannot be had here'
  fi
  echo 'hostile tree: comes back identical for root'
  # The same for a user who is nobody; and what root backed up, as far as nobody may have it.
  chmod 755 "$scratch"
  mkdir "$scratch/nobody"
  cp "$muninn" "$scratch/muninn"
  cp -a "$repository" "$scratch/nobody/roots"
  chown -R 65534:65534 "$scratch/nobody"
  as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups env "HOME=$scratch/nobody"
    "XDG_STATE_HOME=$scratch/nobody/state" "MUNINN=$scratch/muninn" "TMPDIR=$scratch/nobody")
  "${as_nobody[@]}" bash "${BASH_SOURCE[0]}" "$@"
  newest=$("$muninn" snapshots "$repository" --json \
    | jq -r --arg path "$tree" '[.snapshots[] | select(.paths == [$path])] | last.id')
  code=$(exit_code "${as_nobody[@]}" "$scratch/muninn" restore "$scratch/nobody/roots" "$newest" \
    --target "$scratch/nobody/restored")
  [[ $code == 3 ]] || fail "nobody's restore of root's tree ended with $code: $(tail -5 "$scratch/log")"
  complaints=$(grep -c '^muninn: ' "$scratch/log")
  ((complaints <= 8)) || fail "nobody is told $complaints things: $(head -20 "$scratch/log")"
  for kind in owner 'device nodes' trusted security 'inode flags'; do
    if grep -q "${kind%% *}" "$scratch/left-out"; then continue; fi
    [[ $(grep -c "$kind" "$scratch/log") == 1 ]] || fail "nobody is not told once of $kind: $(cat "$scratch/log")"
  done
  difference=$(rsync -rltHn --checksum --exclude nodes --exclude owners --itemize-changes --delete \
    "$tree/" "$scratch/nobody/restored/" | grep -v '^\.' || true)
  [[ -z $difference ]] || fail "nobody's restore of root's tree: $(head -10 <<<"$difference")"
  echo "hostile tree: nobody restores what root backed up, and is told $complaints things"
else
  # What may not be read is listed, and the rest is backed up.
  mkdir -p "$scratch/closed/directory" "$scratch/closed/open"
  echo secret >"$scratch/closed/directory/file" && echo secret >"$scratch/closed/secret"
  echo plain >"$scratch/closed/open/plain"
  chmod 000 "$scratch/closed/directory" "$scratch/closed/secret"
  code=$(exit_code "$muninn" backup "$repository" "$scratch/closed")
  [[ $code == 3 ]] || fail "a backup with closed files ended with $code"
  grep -q '^muninn: directory: .*EACCES' "$scratch/log" && grep -q '^muninn: secret: .*EACCES' "$scratch/log" \
    && grep -q '2 paths could not be read' "$scratch/log" || fail "closed files: $(cat "$scratch/log")"
  "$muninn" restore "$repository" latest --target "$scratch/restored" >/dev/null
  [[ $(cat "$scratch/restored/open/plain") == plain ]] || fail 'what could be read is not there'
  echo 'hostile tree: comes back identical for an ordinary user'
fi
