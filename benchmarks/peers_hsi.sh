#!/usr/bin/env bash
# The peers' environment of the hyperspectral benchmark: HyDe, BM3D and BM4D, whose licences are
# for non-commercial use, and the torch that HyDe needs.
#
#   benchmarks/peers_hsi.sh     makes .venv-peers-hsi in the repository's root; safe to repeat
set -euo pipefail
cd "$(dirname "$0")/.."

TORCH=2.13.0
HYDE=0.4.3
BM3D=4.0.3
BM4D=4.2.5
WAVELETS=1.3.0
venv=.venv-peers-hsi
python=${PYTHON:-python3}
stamp=$venv/.complete
wanted="hyde-images $HYDE bm3d $BM3D bm4d $BM4D torch $TORCH"

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi

echo "peers: making $venv" >&2
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
# Where pip knows a CPU build of
# torch (2.13.0+cpu, by find-links or an index) it satisfies the pin, and is taken.
"$venv/bin/pip" install --quiet "numpy>=1.26" "scipy>=1.12" "scikit-image>=0.22" PyWavelets
"$venv/bin/pip" install --quiet "torch==$TORCH"
"$venv/bin/pip" install --quiet "torch==$TORCH" "bm3d==$BM3D" "bm4d==$BM4D" kornia
"$venv/bin/pip" install --quiet --no-deps "hyde-images==$HYDE" "pytorch-wavelets==$WAVELETS"
# Last: pytorch-wavelets imports pkg_resources, which newer setuptools no longer have.
"$venv/bin/pip" install --quiet "setuptools<81"
"$venv/bin/python" -W ignore -c "import hyde, bm3d, bm4d"
echo "$wanted" > "$stamp"
