"""Estimates with intervals beside the truth: what a card says of them, domain by domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciddm.metrics.images import psnr

__all__ = ["Outcome", "coverage_entry", "outcome_of", "psnr_row"]


@dataclass(frozen=True)
class Outcome:
    """One estimate against its truth.

    Attributes:
        psnr: dB.
        coverage: share of the pixels whose truth lies in the interval; NaN without intervals.
    """

    psnr: float
    coverage: float = float("nan")


def outcome_of(
    estimate: NDArray[Any],
    truth: NDArray[Any],
    data_range: float,
    half: NDArray[Any] | None = None,
    where: NDArray[np.bool_] | None = None,
) -> Outcome:
    """The figures of an estimate.

    Args:
        estimate, truth: of one shape.
        data_range: of PSNR.
        half: half width of the interval.
        where: pixels that count for the coverage; all if not given.
    """
    level = psnr(estimate, truth, data_range)
    if half is None:
        return Outcome(level)
    inside = np.abs(estimate - truth) <= half
    return Outcome(level, float((inside if where is None else inside[where]).mean()))


def psnr_row(outcomes: Mapping[str, Sequence[Outcome]]) -> dict[str, float]:
    """Mean PSNR of each method over the same cases."""
    return {
        name: round(float(np.mean([o.psnr for o in some])), 2)
        for name, some in outcomes.items()
        if some
    }


def in_words(figures: Mapping[str, object]) -> str:
    """Figures by their names, for the terminal: ``own 31.2, start 30.8``."""
    return ", ".join(f"{name} {value}" for name, value in figures.items())


def coverage_entry(outcomes: Sequence[Outcome]) -> str:
    """Mean coverage with the least and the greatest of a case."""
    values = [o.coverage for o in outcomes]
    return f"{np.mean(values):.3f} (cases {min(values):.3f} to {max(values):.3f})"
