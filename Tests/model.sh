#!/usr/bin/env bash
# The model of the commit protocol, compiled with optimisation and explored to its last state.
# usage: model.sh [whole]    `whole` takes minutes and gigabytes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sources=(MuninnModelTests/*.swift)
"${SWIFTC:-swiftc}" -O -swift-version 6 -module-name Model -o "$work/model" \
  "${sources[@]/MuninnModelTests\/ModelTests.swift/Model/main.swift}"
"$work/model" "$@"
