#!/usr/bin/env bash
# Fuzzes the C kernels and every reader of the format with libFuzzer, under sanitizers.
#   Tests/Fuzz/run.sh [TARGET...]      all targets where none is named
#
# MINUTES  for each target (default 2)
# JOBS     targets at a time (default: processors)
# WORK     where the binaries, the grown corpora and the findings go (default .build-fuzz)
# KEEP     set to 1, puts what the run found into Tests/Fuzz/corpus, made small
#
# A target begins with the inputs in Tests/Fuzz/corpus/TARGET, which the tests replay. What makes it
# fail is left in WORK/findings: put it into that folder, as finding-NAME, with the fix.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

minutes=${MINUTES:-2}
[[ $minutes =~ ^[1-9][0-9]*$ ]] || {
  echo "run.sh: MINUTES is '$minutes', not 1 or more" >&2
  exit 64
}
jobs=${JOBS:-$(nproc)}
mkdir -p "${WORK:-.build-fuzz}"
work=$(cd "${WORK:-.build-fuzz}" && pwd)
kept=Tests/Fuzz/corpus
swift=${SWIFT:-swift}
tools=$(dirname "$(readlink -f "$(command -v "$swift")")")
kernels=(chunks decompress compress)
readers=(envelope frame block sealed-block container-directory container-footer segment-tables
  segment-footer reference-page entry-page extent-page container-list journal-record checkpoint
  repository key-slot)
targets=("$@")
[[ ${#targets[@]} -gt 0 ]] || targets=("${kernels[@]}" "${readers[@]}")

# A crash would wait for ever on the debugger that Swift starts.
export SWIFT_BACKTRACE=enable=no

build_kernels() {
  "$tools/clang" -O2 -g -std=gnu11 -Wall -Wextra -Werror -fuse-ld=lld \
    -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer \
    -ICSupport -ICSupport/include Tests/Fuzz/kernels.c CSupport/*.c -llz4 -o "$work/kernels"
}

# The format and its kernels are compiled for the fuzzer; swift-crypto is taken as it was built.
build_readers() {
  # shellcheck disable=SC2206 # several options in one variable
  local flags=(${BUILD_FLAGS:-}) built objects=$work/objects source crypto
  "$swift" build --target MuninnFormat "${flags[@]}"
  built=$("$swift" build --show-bin-path "${flags[@]}")
  rm -rf "$objects"
  mkdir -p "$objects"
  for source in CSupport/*.c; do
    "$tools/clang" -O2 -g -std=gnu11 -fsanitize=fuzzer-no-link,address -ICSupport/include \
      -c "$source" -o "$objects/$(basename "$source" .c).o"
  done
  cat >"$objects/module.modulemap" <<END
module CMuninn { umbrella header "$PWD/CSupport/include/CMuninn.h" export * }
END
  # Optimised, with the checks of a debug build.
  local options=(-O -g -use-ld=lld -assert-config Debug -swift-version 6 -parse-as-library
    -package-name muninn -sanitize=fuzzer,address -I "$objects" -I "$built/Modules"
    -Xcc "-fmodule-map-file=$objects/module.modulemap" -module-cache-path "$work/modules")
  local feature
  for feature in ExistentialAny InternalImportsByDefault MemberImportVisibility; do
    options+=(-enable-upcoming-feature "$feature")
  done
  "$tools/swiftc" "${options[@]}" -wmo -module-name MuninnFormat -emit-module \
    -emit-module-path "$objects/MuninnFormat.swiftmodule" -c Sources/MuninnFormat/*.swift \
    -o "$objects/MuninnFormat.o"
  mapfile -t crypto < <(find "$built"/{Crypto,CryptoExtras,SwiftASN1,CryptoBoringWrapper}.build \
    "$built"/{CCryptoBoringSSL,CCryptoBoringSSLShims,CXKCP,CXKCPShims}.build -name '*.o')
  "$tools/swiftc" "${options[@]}" -wmo -module-name MuninnFuzz \
    Tests/Fuzz/FuzzTarget.swift Tests/MuninnFormatTests/FuzzedReader.swift "$objects"/*.o \
    "${crypto[@]}" -llz4 -lstdc++ -o "$work/readers"
}

binary_of() {
  case " ${kernels[*]} " in
    *" $1 "*) echo "$work/kernels" ;;
    *) echo "$work/readers" ;;
  esac
}

fuzz() { # fuzz TARGET: prints one line; fails with the target
  local target=$1 corpus=$work/corpus/$1 log=$work/$1.log code=0
  mkdir -p "$corpus" "$work/findings" "$kept/$target"
  MUNINN_FUZZ_READER=$target nice "$(binary_of "$target")" -max_total_time=$((minutes * 60)) \
    -max_len=4096 -timeout=20 -rss_limit_mb=2048 -use_value_profile=1 -print_final_stats=1 \
    -artifact_prefix="$work/findings/$target-" "$corpus" "$kept/$target" >"$log" 2>&1 || code=$?
  local executions edges
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  # There is none where a kept input fails.
  edges=$(grep -o 'cov: [0-9]*' "$log" | tail -1 || true)
  printf '%-20s %12s executions, %s, %s\n' "$target" "${executions:-?}" "${edges:-cov: ?}" \
    "$([[ $code == 0 ]] && echo 'no finding' || echo "FINDING, see $log")"
  return "$code"
}

# keep TARGET: the fewest inputs of at most 512 bytes that reach all that the run reached, besides
# the seeds, from which fuzzing began, and inputs that made a target fail once (finding-NAME).
keep() {
  local target=$1 small=$work/small/$1
  rm -rf "$small"
  mkdir -p "$small"
  MUNINN_FUZZ_READER=$target nice "$(binary_of "$target")" -set_cover_merge=1 -max_len=512 \
    "$small" "$kept/$target" "$work/corpus/$target" >"$work/$target-merge.log" 2>&1
  find "$kept/$target" -type f ! -name 'seed-*' ! -name 'finding-*' -delete
  find "$small" -type f -exec cp -t "$kept/$target" {} +
}

for target in "${targets[@]}"; do
  case " ${kernels[*]} ${readers[*]} " in
    *" $target "*) ;;
    *) echo "run.sh: no target '$target'; there are ${kernels[*]} ${readers[*]}" >&2; exit 64 ;;
  esac
done
# Only what is asked for is built.
for target in "${kernels[@]}"; do
  [[ " ${targets[*]} " != *" $target "* ]] || { build_kernels; break; }
done
for target in "${readers[@]}"; do
  [[ " ${targets[*]} " != *" $target "* ]] || { build_readers; break; }
done
echo "fuzzing ${#targets[@]} targets, $minutes minutes each, $jobs at a time"
failed=0
running=0
for target in "${targets[@]}"; do
  if ((running >= jobs)); then
    wait -n || failed=1
    running=$((running - 1))
  fi
  fuzz "$target" &
  running=$((running + 1))
done
while ((running > 0)); do
  wait -n || failed=1
  running=$((running - 1))
done
if [[ $failed == 0 && ${KEEP:-0} == 1 ]]; then
  for target in "${targets[@]}"; do keep "$target"; done
fi
exit "$failed"
