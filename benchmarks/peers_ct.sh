#!/usr/bin/env bash
# The peer's environment of the CT benchmark: BM3D, whose licence is for non-commercial use.
#
#   benchmarks/peers_ct.sh     makes .venv-peers-ct in the repository's root; safe to repeat
set -euo pipefail
cd "$(dirname "$0")/.."

BM3D=4.0.3
venv=.venv-peers-ct
python=${PYTHON:-python3}
stamp=$venv/.complete
wanted="bm3d $BM3D"

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi

echo "peers: making $venv" >&2
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/pip" install --quiet "bm3d==$BM3D" "numpy>=1.26" "scipy>=1.12"
"$venv/bin/python" -c "import bm3d"
echo "$wanted" > "$stamp"
