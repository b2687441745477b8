#!/usr/bin/env bash
# What can be said about the sources without compiling them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

"${SWIFT:-swift}" format lint --strict -r Package.swift Sources Tests Benchmarks
while IFS= read -r -d '' script; do
  bash -n "$script"
done < <(find .ci Sources/Deploy Tests Benchmarks -type f \( -name '*.sh' -o -path '.ci/run' \) -print0)
