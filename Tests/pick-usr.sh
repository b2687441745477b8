#!/usr/bin/env bash
# Chooses subtrees of /usr that hold about as much as is asked for: first what is rich in files, then the rest by name.
# Prints "FILES BYTES" of the choice, then one path a line, relative to /usr; all of /usr (".") where it is small.
# usage: pick-usr.sh MIN_BYTES MAX_BYTES MIN_FILES
set -euo pipefail
(find /usr -xdev -printf '%y %s %n %i %P\n' 2>/dev/null || true) | LC_ALL=C awk \
  -v least="${1:?}" -v most="${2:?}" -v least_files="${3:?}" '
  { path = $0; sub(/^[^ ]+ [^ ]+ [^ ]+ [^ ]+ /, "", path) }
  $1 == "f" {
    # A hard-linked file takes its bytes once.
    size = ($3 > 1 && seen[$4]++) ? 0 : $2
    total += size; count++
    depth = split(path, part, "/"); prefix = ""
    for (i = 1; i < depth && i <= 4; i++) {
      prefix = i == 1 ? part[1] : prefix "/" part[i]
      bytes[prefix] += size; files[prefix]++
    }
  }
  function parent(p) { return sub(/\/[^\/]*$/, "", p) ? p : "" }
  END {
    if (total <= most) { print count, total; print "."; exit }
    # A unit is a directory of at most a sixth of the whole whose parent is larger than that.
    limit = most / 6
    for (p in bytes) {
      up = parent(p)
      if (bytes[p] <= limit && (up == "" || bytes[up] > limit)) name[++units] = p
    }
    for (i = 2; i <= units; i++) {
      p = name[i]
      for (j = i - 1; j > 0 && name[j] > p; j--) name[j + 1] = name[j]
      name[j + 1] = p
    }
    while (have_files < least_files) {
      best = 0
      for (i = 1; i <= units; i++)
        if (!taken[i] && have + bytes[name[i]] <= most &&
            (!best || files[name[i]] / (bytes[name[i]] + 1) > files[name[best]] / (bytes[name[best]] + 1)))
          best = i
      if (!best) break
      taken[best] = 1; have += bytes[name[best]]; have_files += files[name[best]]
    }
    for (i = 1; i <= units && have < least; i++)
      if (!taken[i] && have + bytes[name[i]] <= most) {
        taken[i] = 1; have += bytes[name[i]]; have_files += files[name[i]]
      }
    print have_files + 0, have + 0
    for (i = 1; i <= units; i++) if (taken[i]) print name[i]
  }'
