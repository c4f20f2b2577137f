#!/usr/bin/env bash
# The peers' environment for the benchmarks: sigpy and deepinv beside what loads our network.
#
#   benchmarks/peers.sh            makes .venv-peers in the repository's root; safe to repeat
#
# deepinv imports torchvision, whose compiled part needs the registry's full CUDA build of torch
# (several GB on disk; everything here still runs on the CPU). It is kept out of .venv for that
# reason. torch and torchvision are released as pairs, so both are pinned; torch has the version of
# constraints.txt, so that both environments evaluate the network with the same code.
set -euo pipefail
cd "$(dirname "$0")/.."

TORCH=2.13.0
TORCHVISION=0.28.0
SIGPY=0.1.27
DEEPINV=0.5.0
venv=.venv-peers
python=${PYTHON:-python3}
stamp=$venv/.complete
wanted="torch $TORCH torchvision $TORCHVISION sigpy $SIGPY deepinv $DEEPINV rev 1"

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi

echo "peers: making $venv (several GB, once)" >&2
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"

# A CPU-only torch that pip has at hand (2.13.0+cpu) would satisfy the pin, but torchvision's
# operators do not load beside it: "===" asks for the registry's build by its exact name.
"$venv/bin/pip" install --quiet "torch===$TORCH" "torchvision===$TORCHVISION"
"$venv/bin/pip" install --quiet "torch===$TORCH" "sigpy==$SIGPY" "deepinv==$DEEPINV" \
    PyWavelets "numpy>=1.26" "scipy>=1.12" "h5py>=3.10" "xarray>=2024.6" "monai>=1.4" \
    "einops>=0.7" "safetensors>=0.4.3" "huggingface-hub>=0.23" "pydantic>=2.7" "pyyaml>=6.0" \
    "rich>=13.7"
"$venv/bin/python" -c "import torch, torchvision, sigpy.mri.app, deepinv, monai" 
echo "$wanted" > "$stamp"
