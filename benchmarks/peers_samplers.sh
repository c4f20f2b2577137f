#!/usr/bin/env bash
# The environment of the samplers' peers: azula and deepinv beside a CPU-only torch.
#
#   benchmarks/peers_samplers.sh   makes .venv-peers-samplers in the repository's root
#
# deepinv is installed without torchvision (see benchmarks/without_torchvision.py). torch has the
# version of constraints.txt, so that both environments evaluate a network with the same code.
set -euo pipefail
cd "$(dirname "$0")/.."

TORCH=2.13.0
AZULA=0.11.1
DEEPINV=0.5.0
venv=.venv-peers-samplers
stamp=$venv/.complete
wanted="torch $TORCH azula $AZULA deepinv $DEEPINV rev 1"
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi
echo "peers: making $venv" >&2
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/pip" install --quiet "torch==$TORCH" numpy scipy einops tqdm matplotlib pillow \
    requests h5py natsort safetensors pydantic pyyaml rich xarray
"$venv/bin/pip" install --quiet --no-deps torchmetrics lightning-utilities \
    "azula==$AZULA" "deepinv==$DEEPINV"
"$venv/bin/python" -c \
    "from benchmarks.without_torchvision import install; install(); import azula, deepinv"
echo "$wanted" > "$stamp"
