"""How much of a recording has several talkers at once, by a classifier of frames.

The classifier sees the level of each bin below 4 kHz, whose spacing of 15.6 Hz resolves the
harmonics of two voices. With the spectrogram X (Hann window of 64 ms, hop of 16 ms, at 16 kHz), and
L the 95th percentile over the frames of their loudest bin,

    feature = clip(20 lg |X| - L, -60, .) / 20 + 1.5

so that a gain changes nothing. A frame counts as several talkers where the classifier gives them a
probability above 0.75, and is loud where its loudest bin is at most 30 dB below that of the
recording. The share is that of such frames among the loud ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

__all__ = ["BINS", "HOP", "LIMIT", "RATE", "TalkerCount", "talker_features"]

#: Rate in Hz, hop in samples and number of bins of the features.
RATE, HOP, BINS = 16_000, 256, 256

#: Share of frames with several talkers from which a recording is named.
LIMIT = 0.03

_WINDOW = 1024
_LOWEST = 2  # bin: 31 Hz
_RANGE_DB, _QUIET_DB = 60.0, 30.0
_PROBABILITY = 0.75
_PIECE_S = 8.0
_FEWEST = 60  # loud frames that are enough to judge: a second


def talker_features(wave: Tensor) -> tuple[Tensor, Tensor]:
    """What the classifier sees of (n,) at 16 kHz: (bins, T), and each frame's loudest bin in dB."""
    side = (_WINDOW - HOP) // 2
    padded = torch.nn.functional.pad(wave.float(), (side, side))
    window = torch.hann_window(_WINDOW, device=wave.device)
    spectrum = torch.stft(padded, _WINDOW, HOP, window=window, center=False, return_complex=True)
    level = 20 * torch.log10(spectrum[_LOWEST : _LOWEST + BINS].abs() + 1e-9)
    loudest = level.amax(0)
    return (level - loudest.quantile(0.95)).clamp(min=-_RANGE_DB) / 20 + 1.5, loudest


class TalkerCount:
    """Counts frames of several talkers, in memory of a piece of 8 s.

    Args:
        logits: of several talkers for features (1, 1, bins, T): (1, 1, 1, T).
    """

    def __init__(self, logits: Callable[[Tensor], Tensor]) -> None:
        self._logits = logits
        self._loudest: list[list[Tensor]] = []
        self._several: list[list[Tensor]] = []

    def share(self, blocks: Iterable[Tensor]) -> float | None:
        """The share of several talkers in the channel where it is largest.

        Args:
            blocks: (channel, n) at 16 kHz, of any lengths.

        Returns:
            None for less than a second of sound.
        """
        piece = round(_PIECE_S * RATE / HOP) * HOP
        waiting: Tensor | None = None
        self._loudest, self._several = [], []
        for block in blocks:
            waiting = block if waiting is None else torch.cat([waiting, block], dim=-1)
            while waiting.shape[-1] >= 2 * piece:
                self._count(waiting[:, :piece])
                waiting = waiting[:, piece:]
        if waiting is not None:
            self._count(waiting)
        shares = [
            value
            for loudest, several in zip(self._loudest, self._several, strict=True)
            if loudest and (value := _share(torch.cat(loudest), torch.cat(several))) is not None
        ]
        return max(shares, default=None)

    def _count(self, waves: Tensor) -> None:
        if waves.shape[-1] < _WINDOW:
            return
        if not self._loudest:
            self._loudest = [[] for _ in waves]
            self._several = [[] for _ in waves]
        for c, wave in enumerate(waves):
            if not wave.any():
                continue
            features, loudest = talker_features(wave)
            with torch.no_grad():
                probability = self._logits(features[None, None]).sigmoid().flatten()
            self._loudest[c].append(loudest)
            self._several[c].append(probability > _PROBABILITY)


def _share(loudest: Tensor, several: Tensor) -> float | None:
    loud = loudest > loudest.max() - _QUIET_DB
    return float(several[loud].float().mean()) if int(loud.sum()) >= _FEWEST else None
