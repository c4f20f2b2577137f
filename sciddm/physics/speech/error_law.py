"""How far an enhanced recording is from the truth, by what it is and what was taken away.

Draws of a model that nearly always gives the same answer say little about its error. On mixtures
whose truth is known the error follows from the recording y and the answer x^:

    s_k = power of x^ over 32 ms,     r_k = power of y - x^ over 32 ms,     every 8 ms
    S_k, R_k = their means over half a second,     m_k = S_k + R_k
    ln v_k = c_0 + ln m_k + c_1 ln(s_k/m_k) + c_2 ln(r_k/m_k) + c_3 ln(S_k/m_k) + c_4 ln(R_k/m_k)
    std(t) = factor sqrt(v(t)),       v between frames by interpolation of ln v

c is fitted by least squares to the logarithm of the error's power. The factor makes intervals of
1.645 std hold 90 % of the samples in each quarter of the level of truth, recording and answer, at a
confidence of 95 % over recordings.
The law is one of scale: a louder recording has a louder error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciddm.errors import InputError

__all__ = ["Case", "ErrorLaw", "calibration", "coverage_by_level", "quarters"]

_WINDOW_S, _HOP_S = 0.032, 0.008
_REACH = 31  # frames to each side of the mean over half a second
_FLOOR = 1e-6  # of the mean power: what counts as nothing
_TINY = 1e-20
_BOOTSTRAP, _CONFIDENCE = 200, 0.95
_SEGMENT = 1024  # frames at a time
_NORMAL = 1.6448536269514722

Waves = NDArray[np.floating[Any]]
#: Recording, answer and truth, all (time,).
Case = tuple[Waves, Waves, Waves]


@dataclass(frozen=True)
class ErrorLaw:
    """Standard deviation of the error of an answer at every sample.

    Args:
        coefficients: c_0, ..., c_4.
        factor: on the square root of v.
    """

    coefficients: tuple[float, ...]
    factor: float

    def __post_init__(self) -> None:
        values = (*self.coefficients, self.factor)
        if len(self.coefficients) != 5 or not all(map(math.isfinite, values)) or self.factor < 0:
            raise InputError(f"{self}: 5 finite coefficients and a factor >= 0 are needed")

    @property
    def config(self) -> dict[str, Any]:
        """What a card keeps of it: `ErrorLaw.of(config)`."""
        return {
            "coefficients": [round(c, 4) for c in self.coefficients],
            "factor": round(self.factor, 4),
        }

    @classmethod
    def of(cls, config: dict[str, Any]) -> Self:
        """The law of a card.

        Raises:
            InputError: it is none.
        """
        try:
            coefficients = tuple(float(c) for c in config["coefficients"])
            return cls(coefficients, float(config["factor"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"error law {config}: coefficients and factor are needed") from error

    @classmethod
    def fit(cls, cases: Sequence[Case], rate: int, level: float = 0.9) -> Self:
        """The law of a method.

        Args:
            cases: (recording, answer, truth) of each mixture, all (time,).
            rate: in Hz.
            level: share of the samples that intervals hold.

        Raises:
            InputError: no case.
        """
        if not cases:
            raise InputError("an error law needs at least one case")
        terms, powers = [], []
        for noisy, answer, truth in cases:
            scale, features = _features(noisy[None], answer[None], rate)
            error = _power((truth - answer)[None].astype(np.float64), rate)
            terms.append(features[0])
            powers.append(np.log(error[0] / scale[0] + _FLOOR))
        solution = np.linalg.lstsq(np.concatenate(terms), np.concatenate(powers), rcond=None)[0]
        plain = cls(tuple(float(c) for c in solution), 1.0)
        scores = []
        for noisy, answer, truth in cases:
            std = plain.std(noisy[None], answer[None], rate)[0]
            scores.append(np.abs(truth - answer) / (_NORMAL * std + _TINY))
        groups = [
            part for signal in range(3) for part in quarters([case[signal] for case in cases], rate)
        ]
        return cls(plain.coefficients, _safe_factor(scores, groups, level))

    def std(self, noisy: Waves, answer: Waves, rate: int) -> NDArray[np.float32]:
        """Standard deviation at every sample.

        Args:
            noisy: the recording without offset, (channel, time).
            answer: what was made of it, the same shape.
            rate: in Hz.
        """
        pieces = list(self.stream([(noisy, answer)], rate))
        return np.concatenate(pieces, axis=1)

    def stream(
        self, blocks: Iterable[tuple[Waves, Waves]], rate: int
    ) -> Iterator[NDArray[np.float32]]:
        """The standard deviation piece by piece, as much as comes in, in constant memory.

        Args:
            blocks: consecutive (recording, answer), each (channel, n) of any n.
            rate: in Hz.
        """
        hop = _hop(rate)
        step, margin = _SEGMENT * hop, (_REACH + 4) * hop
        buffer: list[NDArray[np.float64]] = []
        begin, position, end = 0, 0, 0  # of the buffer; of what is due; of all that came
        for pair in blocks:
            both = np.stack([np.asarray(part, dtype=np.float64) for part in pair])
            buffer.append(both)
            end += both.shape[-1]
            while end >= position + step + margin:
                whole = np.concatenate(buffer, axis=-1)
                yield self._piece(whole[..., : position + step + margin - begin], rate)[
                    :, position - begin : position + step - begin
                ]
                position += step
                cut = max(0, position - margin) - begin
                buffer, begin = [whole[..., cut:]], begin + cut
        if end > position:
            whole = np.concatenate(buffer, axis=-1)
            yield self._piece(whole, rate)[:, position - begin :]

    def _piece(self, both: NDArray[np.float64], rate: int) -> NDArray[np.float32]:
        scale, features = _features(both[0], both[1], rate)
        logarithm = features @ np.asarray(self.coefficients) + np.log(scale + _TINY)
        at = np.arange(both.shape[-1]) / _hop(rate)
        frames = np.arange(logarithm.shape[-1])
        std = [self.factor * np.exp(0.5 * np.interp(at, frames, row)) for row in logarithm]
        silent = np.abs(both).max(axis=(0, 2)) == 0
        out: NDArray[np.float32] = np.where(silent[:, None], 0, np.stack(std)).astype(np.float32)
        return out


def _safe_factor(
    scores: list[NDArray[np.float64]], groups: list[NDArray[np.bool_]], level: float
) -> float:
    """The factor under which every group holds the level, were other recordings drawn.

    Recordings differ more than their samples: the factor is the 95 % quantile over bootstrap
    samples of the recordings. Scores are counted in bins of 1 %.
    """
    edges = np.exp(np.arange(math.log(1e-3), math.log(1e3), 0.01))
    ends = np.cumsum([len(part) for part in scores])
    counts = np.stack(
        [
            [
                np.bincount(np.searchsorted(edges, score[mask]), minlength=len(edges) + 1)
                for score, mask in zip(scores, np.split(group, ends[:-1]), strict=True)
            ]
            for group in groups
        ]
    )  # (group, recording, bin)
    weights = np.random.default_rng(0).multinomial(
        len(scores), np.full(len(scores), 1 / len(scores)), _BOOTSTRAP
    )
    totals = np.einsum("br,grk->bgk", weights.astype(np.float64), counts.astype(np.float64))
    shares = np.cumsum(totals, axis=-1) / np.maximum(totals.sum(-1, keepdims=True), 1)
    bins = (shares < level).sum(-1).max(-1)
    return float(edges[min(int(np.quantile(bins, _CONFIDENCE)), len(edges) - 1)])


def coverage_by_level(
    law: ErrorLaw, cases: Sequence[Case], rate: int
) -> tuple[NDArray[np.bool_], list[list[float]]]:
    """Which samples of the truths 90 % intervals hold.

    Returns:
        a mask over all samples one after the other; the share that is held in each quarter of the
        level of truth, recording and answer, the quietest first.
    """
    inside = np.concatenate(
        [
            np.abs(truth - answer) <= _NORMAL * law.std(noisy[None], answer[None], rate)[0]
            for noisy, answer, truth in cases
        ]
    )
    shares = [
        [float(inside[part].mean()) for part in quarters([case[k] for case in cases], rate)]
        for k in (2, 0, 1)
    ]
    return inside, shares


def calibration(cases: Sequence[Case], rate: int) -> dict[str, Any]:
    """A card's entry: the law of all cases, and what laws of one half hold of the other half.

    Args:
        cases: in pairs of a kind, so that both halves have all kinds; at least four.
        rate: in Hz.
    """
    halves = [[case for i, case in enumerate(cases) if i // 2 % 2 == k] for k in (0, 1)]
    shares = [
        coverage_by_level(ErrorLaw.fit(halves[k], rate), halves[1 - k], rate)[1][0] for k in (0, 1)
    ]
    return {
        "error_law": ErrorLaw.fit(cases, rate).config,
        "by_level": [round(float(share), 3) for share in np.mean(shares, axis=0)],
    }


def quarters(signals: Sequence[ArrayLike], rate: int) -> list[NDArray[np.bool_]]:
    """Which samples of several signals lie in each quarter of their own signal's level.

    Args:
        signals: each (time,).
        rate: in Hz.

    Returns:
        of each quarter, the quietest first, a mask over all samples one after the other.
    """
    parts: list[list[NDArray[np.bool_]]] = [[], [], [], []]
    for signal in signals:
        wave = np.asarray(signal, dtype=np.float64)
        power = _power(wave[None], rate)[0]
        level = np.interp(np.arange(len(wave)) / _hop(rate), np.arange(len(power)), power)
        place = np.argsort(np.argsort(level, kind="stable"), kind="stable") * 4 // len(level)
        for number in range(4):
            parts[number].append(place == number)
    return [np.concatenate(part) for part in parts]


def _hop(rate: int) -> int:
    return max(1, round(_HOP_S * rate))


def _power(wave: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """Mean square about every hop, (channel, frame)."""
    hop, half = _hop(rate), max(1, round(_WINDOW_S * rate / 2))
    total = np.pad(np.cumsum(wave**2, axis=-1), ((0, 0), (1, 0)))
    centre = np.arange(0, wave.shape[-1], hop)
    low, high = np.maximum(centre - half, 0), np.minimum(centre + half, wave.shape[-1])
    out: NDArray[np.float64] = (total[:, high] - total[:, low]) / (high - low)
    return np.maximum(out, 0)


def _around(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over half a second, (channel, frame)."""
    total = np.pad(np.cumsum(power, axis=-1), ((0, 0), (1, 0)))
    centre = np.arange(power.shape[-1])
    low = np.maximum(centre - _REACH, 0)
    high = np.minimum(centre + _REACH + 1, power.shape[-1])
    out: NDArray[np.float64] = (total[:, high] - total[:, low]) / (high - low)
    return out


def _features(
    noisy: Waves, answer: Waves, rate: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """m (channel, frame) and the terms (channel, frame, 5) that c is multiplied by."""
    estimate: NDArray[np.float64] = np.asarray(answer, dtype=np.float64)
    answer_power = _power(estimate, rate)
    residual_power = _power(np.asarray(noisy, dtype=np.float64) - estimate, rate)
    answer_mean, residual_mean = _around(answer_power), _around(residual_power)
    scale = answer_mean + residual_mean + _TINY
    terms = [
        np.log(part / scale + _FLOOR)
        for part in (answer_power, residual_power, answer_mean, residual_mean)
    ]
    return scale, np.stack([np.ones_like(scale), *terms], axis=-1)
