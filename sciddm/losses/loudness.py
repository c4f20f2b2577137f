"""How different two sounds are to the ear: a differentiable distance of their loudness patterns.

It follows PESQ (ITU-T P.862), without what has no useful slope (the alignment in time)
and with closed formulas in place of its tables. With P the power in bands half a Bark wide, both
sounds at the same level in the telephone band::

    L = (theta / 0.5)^g ((0.5 + 0.5 P / theta)^g - 1),   g = 0.23         loudness (Zwicker)
    D = sign(L - L') max(|L - L'| - min(L, L') / 4, 0)                     masking
    symmetric   d  = norm_2 over bands of D
    asymmetric  d' = norm_1 over bands of A D,   A = ((P + 50) / (P' + 50))^1.2 where >= 3, <= 12

A frame counts the less, the louder it is; frames are joined in windows of a third of a second by a
6-norm, so that a short disturbance counts, and windows by a 2-norm. The distance is
0.1 d + 0.0309 d', what PESQ subtracts from 4.5.

References:
    ITU-T P.862, 2001; A. Rix et al., "Perceptual evaluation of speech quality (PESQ)", 2001.
    H. Traunmueller, "Analytical expressions for the tonotopic sensory scale", 1990 (Bark).
    E. Terhardt, "Calculating virtual pitch", 1979 (threshold in quiet).
    J. Richter, D. de Oliveira and T. Gerkmann, "Investigating Training Objectives for Generative
    Speech Enhancement", 2024: such a term in the training of a Schroedinger bridge.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["loudness_distance"]

_ZWICKER = 0.23
_BAND = (325.0, 3250.0)  # Hz, in which levels are compared
#: Power of a frame in that band, on average, that speech is brought to: 65 dB above the 0 dB of
#: theta, as P.862's level of 10^7 and its factor of 6.9e-6 make of it.
_LEVEL = 3.4e6
#: Power above 100 times the threshold that a frame has, unless it is a pause.
_ACTIVE = 3e6
_QUIET = 1e-6  # power of a bin that counts as silence, in the units of the input


def loudness_distance(
    estimate: Tensor, truth: Tensor, rate: float = 16_000.0, frame_rate: float = 125.0
) -> Tensor:
    """0.1 d + 0.0309 d' of each item: 0 for equal sounds, about 2 where PESQ is near its lowest.

    Args:
        estimate: power spectrogram P (B, F, T), frequencies 0 to rate / 2.
        truth: that of the reference P', the same shape.
        rate: samples per second of the sounds.
        frame_rate: frames per second.

    Returns:
        (B,); it does not change with the level of either sound.
    """
    frequency = torch.linspace(0, rate / 2, truth.shape[1], device=truth.device)
    bands, width, threshold = (v.to(truth) for v in _bands(truth.shape[1], float(rate)))
    telephone = ((frequency >= _BAND[0]) & (frequency <= _BAND[1])).to(truth)
    deg, ref = (bands @ _levelled(p, telephone) for p in (estimate, truth))

    # A gain that differs from band to band, and one from frame to frame, count in part only.
    heard = (_audible(ref, threshold, 100.0).sum(1, keepdim=True) > _ACTIVE).to(ref)
    mean_deg, mean_ref = ((_audible(p, threshold, 100.0) * heard).mean(2, True) for p in (deg, ref))
    ref = ref * ((mean_deg + 1e3) / (mean_ref + 1e3)).clamp(1e-2, 1e2)
    loud_deg, loud_ref = (_audible(p, threshold, 1.0).sum(1, keepdim=True) for p in (deg, ref))
    gain = (loud_ref + 5e3) / (loud_deg + 5e3)
    gain = torch.cat([gain[..., :1], 0.8 * gain[..., 1:] + 0.2 * gain[..., :-1]], dim=-1)
    deg = deg * gain.clamp(3e-4, 5.0)

    ours, theirs = (_loudness(p, threshold) for p in (deg, ref))
    difference = ours - theirs
    masked = 0.25 * torch.minimum(ours, theirs)
    disturbance = (difference.abs() - masked).clamp_min(0)
    ratio = ((deg + 50) / (ref + 50)) ** 1.2
    asymmetry = torch.where(ratio < 3, torch.zeros_like(ratio), ratio.clamp_max(12))
    total = width.sum()
    symmetric = total * ((disturbance * width).square().sum(1) / total + 1e-9).sqrt()
    asymmetric = (disturbance * asymmetry * width).sum(1)
    weight = ((_audible(ref, threshold, 1.0).sum(1) + 1e5) / 1e7) ** 0.04
    d, d_asymmetric = (
        _over_time((v / weight).clamp_max(45.0), frame_rate) for v in (symmetric, asymmetric)
    )
    return 0.1 * d + 0.0309 * d_asymmetric


def _levelled(power: Tensor, telephone: Tensor) -> Tensor:
    """In units in which a frame has on average _LEVEL in the telephone band."""
    level = torch.einsum("bft,f->bt", power, telephone).mean(1) + _QUIET * telephone.sum()
    return power * (_LEVEL / level)[:, None, None]


def _audible(power: Tensor, threshold: Tensor, factor: float) -> Tensor:
    return torch.where(power > factor * threshold, power, torch.zeros_like(power))


def _loudness(power: Tensor, threshold: Tensor) -> Tensor:
    inner = 0.5 + 0.5 * power.clamp_min(0) / threshold
    loudness = (2 * threshold) ** _ZWICKER * (inner**_ZWICKER - 1)
    return 0.1866 * torch.where(power > threshold, loudness, torch.zeros_like(loudness))


def _over_time(disturbance: Tensor, frame_rate: float) -> Tensor:
    """6-norm in windows of 0.32 s that half overlap, 2-norm of the windows: (B, T) -> (B,)."""
    size = min(round(0.32 * frame_rate), disturbance.shape[1])
    windows = disturbance.unfold(1, size, max(1, size // 2))
    # The small constant keeps the slope of the root finite where nothing differs.
    joined = (windows.pow(6).mean(2) + 1e-12) ** (1 / 6)
    return joined.square().mean(1).sqrt()


@lru_cache(maxsize=8)
def _bands(bins: int, rate: float) -> tuple[Tensor, Tensor, Tensor]:
    """(sums of bins (Q, F), widths in Bark (Q, 1), thresholds (Q, 1)) of bands half a Bark wide."""
    f = torch.linspace(0, rate / 2, bins, dtype=torch.float64)
    bark = 26.81 * f / (1960 + f) - 0.53
    index = torch.floor(2 * bark).long()
    # Bins below 40 Hz, at a negative number of Bark, are not heard.
    rows = [index == q for q in range(int(index.max()) + 1)]
    rows = [r for r in rows if r.any()]
    matrix = torch.stack(rows).double()
    khz = (matrix @ f / matrix.sum(1)) / 1000
    decibels = 3.64 * khz**-0.8 - 6.5 * torch.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4
    threshold = 10 ** (decibels / 10)
    width = torch.full((len(rows), 1), 0.5, dtype=torch.float64)
    return matrix.float(), width.float(), threshold[:, None].float()
