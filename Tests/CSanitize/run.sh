#!/usr/bin/env bash
# Builds the C target apart, with AddressSanitizer and UndefinedBehaviorSanitizer, and runs its checks.
#   Tests/CSanitize/run.sh [SEED [ROUNDS]]
set -euo pipefail
cd "$(dirname "$0")/../.."

clang=$(command -v clang || true)
if [ -z "$clang" ]; then
  # The compiler that builds the package lies beside swift.
  clang=$(dirname "$(readlink -f "$(command -v swift)")")/clang
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for optimization in -O1 -O2; do
  "$clang" "$optimization" -g -std=gnu11 -Wall -Wextra -Werror \
    -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -fuse-ld=lld \
    -ICSupport -ICSupport/include Tests/CSanitize/check.c CSupport/*.c -llz4 -o "$work/check"
  "$work/check" "${1:-$RANDOM}" "${2:-3000}"
done
