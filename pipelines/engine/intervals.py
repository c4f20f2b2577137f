"""Intervals of what is read from an estimate: any function of it, and means of regions.

The error of an estimate is the correlated Gaussian field that its pipeline states in the attribute
``error_field`` (``uncertainty.error_field``), with the result's own standard deviation, in which
the model's and the scan's calibration factors are. A mean over a region has a closed form; any
other function is taken of draws x + s g.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciddm.errors import InputError, OptionError

if TYPE_CHECKING:
    import xarray as xr

    from sciddm.uncertainty.error_field import ErrorField

__all__ = ["BETWEEN", "FIELD", "Errors", "Interval", "errors_of"]

#: Attribute of a result that holds the correlation of its errors, and where the correlation
#: between its layers lies among what only memory holds (``Dataset.encoding``).
FIELD, BETWEEN = "error_field", "error_between_layers"


@dataclass(frozen=True)
class Interval:
    """Where the true value lies, with a probability.

    Attributes:
        mean: expected value of the function, a number or an array.
        low, high: ends of the interval, of the same shape.
        std: standard deviation.
        level: the probability.
        correlation: how errors of neighbouring pixels are alike, in words.
    """

    mean: Any
    low: Any
    high: Any
    std: Any
    level: float
    correlation: str

    def __repr__(self) -> str:
        if np.ndim(self.mean):
            return f"<interval of {np.shape(self.mean)} values, level {self.level:g}>"
        return (
            f"<{self.mean:.6g}, {100 * self.level:g} % interval {self.low:.6g} to {self.high:.6g}>"
        )


class Errors:
    """The errors of an estimate.

    Args:
        estimate: with three axes, the first that of slices, bands or frames.
        std: of its elements.
        field: how they are correlated.
        between: correlation of the layers; None for that of the field.
    """

    def __init__(
        self,
        estimate: xr.DataArray,
        std: xr.DataArray,
        field: ErrorField,
        between: NDArray[np.floating[Any]] | None = None,
    ) -> None:
        self.estimate, self.std = estimate, std.transpose(*estimate.dims)
        self.field, self.between = field, between

    def interval(
        self,
        function: Callable[[xr.DataArray], Any],
        level: float = 0.9,
        *,
        draws: int = 400,
        seed: int = 0,
    ) -> Interval:
        """See ``Result.interval``."""
        if not 0 < level < 1:
            raise OptionError("level", f"{level:g} is given, take one between 0 and 1")
        if draws < 20:
            raise OptionError("draws", f"{draws} are given, take 20 or more")
        std = np.nan_to_num(np.asarray(self.std.values, np.float32))
        base = self.estimate.astype(np.float32).load()
        layers, rows, columns = base.shape
        rng = np.random.default_rng(seed)
        values = []
        for _ in range((draws + 1) // 2):
            draw = self.field.draw((layers, rows, columns), rng, self.between)
            error: NDArray[Any] = np.multiply(std, draw)
            # Pairs of opposite errors: what is linear in the estimate has no error of the draws.
            values += [np.asarray(function(base + sign * error), float) for sign in (1, -1)]
        table = np.stack(values)
        low, high = np.quantile(table, [0.5 - level / 2, 0.5 + level / 2], axis=0)
        mean, std_of = _plain(table.mean(0)), _plain(table.std(0, ddof=1))
        return Interval(mean, _plain(low), _plain(high), std_of, level, self.field.sentence)

    def mean_of(self, inside: NDArray[np.bool_], level: float = 0.9) -> Interval:
        """Of the mean over a region, in closed form.

        Args:
            inside: (layer, y, x) bool.
            level: probability.
        """
        values, std = _within(self.estimate, inside), _within(self.std, inside)
        usable = np.isfinite(values) & np.isfinite(std) & _within(inside, inside)
        count = int(usable.sum())
        if count == 0:
            nothing = float("nan")
            return Interval(nothing, nothing, nothing, nothing, level, self.field.sentence)
        mean = float(values[usable].mean(dtype=np.float64))
        shares = np.where(usable, std, 0.0) / count
        between = self.between
        if between is not None:
            layers = np.flatnonzero(inside.any((1, 2)))
            between = between[layers[0] : layers[-1] + 1, layers[0] : layers[-1] + 1]
        spread = self.field.variance(shares, between) ** 0.5
        half = NormalDist().inv_cdf(0.5 + level / 2) * spread
        return Interval(mean, mean - half, mean + half, spread, level, self.field.sentence)


def errors_of(dataset: xr.Dataset, estimate: str, std: str) -> Errors:
    """The errors of a result.

    Raises:
        InputError: it has no standard deviation, or no correlation of its errors.
    """
    from sciddm.uncertainty.error_field import ErrorField

    if std not in dataset:
        raise InputError(
            "this result has no standard deviation, which an interval needs: take a method that "
            "draws samples"
        )
    text = dataset.attrs.get(FIELD)
    if not text:
        raise InputError(
            "this result does not say how the errors of its pixels are correlated, so that nothing "
            "is known of a region: intervals are of images with a calibrated method"
        )
    field = ErrorField.from_attribute(str(text))
    return Errors(dataset[estimate], dataset[std], field, dataset.encoding.get(BETWEEN))


def _within(values: Any, inside: NDArray[np.bool_]) -> NDArray[Any]:
    """The box about a region, so that of a large or lazy result little is read."""
    box = []
    for axis in range(inside.ndim):
        where = np.flatnonzero(inside.any(tuple(a for a in range(inside.ndim) if a != axis)))
        box.append(slice(int(where[0]), int(where[-1]) + 1))
    part = values[tuple(box)]
    return np.asarray(getattr(part, "values", part))


def _plain(values: NDArray[Any]) -> Any:
    return float(values) if np.ndim(values) == 0 else values
