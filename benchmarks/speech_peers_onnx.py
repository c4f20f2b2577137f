"""GTCRN and DTLN, small networks that people use, by the ONNX files of their authors.

GTCRN  24 thousand weights, trained on the third DNS challenge (Rong et al. 2024); one frame of
       32 ms every 16 ms. File `stream/onnx_models/gtcrn_simple.onnx` of Xiaobin-Rong/gtcrn.
DTLN   one million weights, two stages (Westhausen and Meyer 2020); one block of 32 ms every 8 ms;
       its delay of 384 samples is taken out. Files `pretrained_model/model_1.onnx` and
       `model_2.onnx` of breizhn/DTLN.

Both repositories have the MIT licence. `peers_speech.sh` downloads the files.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]

FOLDER = Path(__file__).resolve().parent.parent / ".venv-peers-speech" / "models"
_BLOCK, _SHIFT = 512, 128  # of DTLN


def gtcrn(noisy: Wave) -> Wave:
    """Frame by frame, with the caches that carry its state."""
    window = np.sqrt(np.hanning(513)[:-1]).astype(np.float32)  # periodic, as torch's
    padded = np.pad(noisy, 256, mode="reflect")
    padded = np.pad(padded, (0, -(len(padded) - 512) % 256))
    count = 1 + (len(padded) - 512) // 256
    out, weight = np.zeros(len(padded)), np.zeros(len(padded))
    caches = {
        "conv_cache": np.zeros((2, 1, 16, 16, 33), np.float32),
        "tra_cache": np.zeros((2, 3, 1, 1, 16), np.float32),
        "inter_cache": np.zeros((2, 1, 33, 16), np.float32),
    }
    session = _session("gtcrn_simple.onnx")
    for start in range(0, 256 * count, 256):
        place = slice(start, start + 512)
        spectrum = np.fft.rfft(padded[place] * window)
        mix = np.stack([spectrum.real, spectrum.imag], -1)[None, :, None].astype(np.float32)
        enhanced, *states = session.run(None, {"mix": mix, **caches})
        caches = dict(zip(caches, states, strict=True))
        values = enhanced[0, :, 0, 0] + 1j * enhanced[0, :, 0, 1]
        out[place] += window * np.fft.irfft(values)
        weight[place] += window**2
    return (out / np.maximum(weight, 1e-8))[256 : 256 + len(noisy)].astype(np.float32)


def dtln(noisy: Wave) -> Wave:
    """A mask of magnitudes, then a mask of learned features; both recurrent."""
    first, second = _session("model_1.onnx"), _session("model_2.onnx")
    names = [[i.name for i in s.get_inputs()] for s in (first, second)]
    states = [np.zeros(s.get_inputs()[1].shape, np.float32) for s in (first, second)]
    delay = _BLOCK - _SHIFT
    padded = np.pad(noisy, (delay, delay + _SHIFT))
    out = np.zeros(len(padded))
    for start in range(0, len(padded) - _BLOCK + 1, _SHIFT):
        place = slice(start, start + _BLOCK)
        spectrum = np.fft.rfft(padded[place])
        magnitude = np.abs(spectrum)[None, None].astype(np.float32)
        mask, states[0] = first.run(None, dict(zip(names[0], (magnitude, states[0]), strict=True)))
        block = np.fft.irfft(spectrum * mask[0, 0])[None, None].astype(np.float32)
        made, states[1] = second.run(None, dict(zip(names[1], (block, states[1]), strict=True)))
        out[place] += made.ravel()
    return out[delay : delay + len(noisy)].astype(np.float32)


@cache
def _session(name: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        str(FOLDER / name), options, providers=["CPUExecutionProvider"]
    )
