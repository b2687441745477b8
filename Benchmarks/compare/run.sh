#!/usr/bin/env bash
# Muninn beside its peers on one corpus: the scenario several times, then the table of medians.
# usage: run.sh CORPUS OUT_PREFIX [TOOL...]        (tools: muninn borg restic tar-lz4 cp; default: borg restic muninn)
#   RUNS=3            how often
#   SCENARIO=PATH     scenario.py (default: ../shared/bench/scenario.py beside the package)
#   PEERS=DIR         where setup-peers.sh put restic and borg (default: /tmp/peers)
#   MUNINN=PATH       the binary (default: the release build, made if it is missing)
#   SCEN_VERSIONS=N   only the first N versions of the corpus; the other SCEN_ settings are scenario.py's
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
package=$(cd "$here/../.." && pwd)
corpus=${1:?a directory of versions} prefix=${2:?where the results go}
shift 2
[[ $# -gt 0 ]] || set -- borg restic muninn
scenario=${SCENARIO:-$package/../shared/bench/scenario.py}
peers=${PEERS:-/tmp/peers}
# shellcheck disable=SC1091 # written by setup-peers.sh
[[ ! -f $peers/env.sh ]] || . "$peers/env.sh"
export MUNINN_DRIVER=$here/muninn.json
export MUNINN=${MUNINN:-$package/.build/release/muninn}
[[ -x $MUNINN ]] || (cd "$package" && make build)

results=()
for ((run = 1; run <= ${RUNS:-3}; run++)); do
  printf '\n== run %d: %s\n' "$run" "$*"
  python3 "$scenario" "$corpus" "$prefix-$run.json" "$@"
  results+=("$prefix-$run.json")
done
python3 "$here/table.py" "${results[@]}"
