"""The band above a model's: what it holds, and the gain that the model would have given it.

A model at 16 kHz says nothing about 8 to 24 kHz. Deleting that band makes a recording dull, leaving
it as it is keeps its noise. Noise and consonants reach across the border, so the band gets, from
frame to frame, the gain of the highest part of the model's own band,

    G_t = min(1, sqrt( sum_f |X^_ft|^2 / sum_f |Y_ft|^2 )),     f from 0.69 to 0.925 of Nyquist

with both powers averaged over three frames, and linear in time between frames.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from sciddm.physics.speech.stft import STFT

__all__ = ["BAND", "band_gain"]

#: Of the model's Nyquist frequency: 5.5 to 7.4 kHz of 8 kHz, below the edge of resampling filters.
BAND = (0.69, 0.925)
_TINY = 1e-12


def band_gain(estimate: Tensor, noisy: Tensor, stft: STFT, length: int) -> Tensor:
    """G at each of ``length`` samples of the model's rate.

    Args:
        estimate: compressed spectrogram (F, T), complex.
        noisy: that of the recording.
        stft: what they were made by.
        length: samples of the waveform.

    Returns:
        (length,), 0 to 1.
    """
    low, high = (round(edge * (stft.bins - 1)) for edge in BAND)
    powers = [stft.expand(Z[low:high]).abs().square().sum(0) for Z in (estimate, noisy)]
    kept, all_of_it = (
        functional.avg_pool1d(p[None, None], 3, 1, 1, count_include_pad=False) for p in powers
    )
    gain = (kept / (all_of_it + _TINY)).clamp(0, 1).sqrt()
    frames = gain.shape[-1]
    wave = functional.interpolate(
        gain, size=(frames - 1) * stft.hop + 1, mode="linear", align_corners=True
    )
    missing = length - wave.shape[-1]
    return functional.pad(wave, (0, max(0, missing)), mode="replicate")[0, 0, :length]
