"""Errors of neighbouring pixels are alike: a model of them, for what is read of a region.

A standard deviation of every pixel says nothing of a mean over pixels. With independent errors the
mean of N has a variance N times less; with errors that are the same, no less. The error of an
estimate is taken for a Gaussian field

    e(p) = s(p) g(p),   Cov(g(p), g(q)) = B(z_p, z_q) sum_j w_j exp(-|p - q|^2 / (2 L_j^2)),

s the standard deviation of the pixel, z its layer (slice or band), L_j correlation lengths within a
layer: 0 for what pixels do not share, infinity for what a layer shares. B is the correlation
between layers. The sum of the weights is not 1 where s is calibrated for single pixels and errors
of regions are larger or smaller than it says. A weighted mean sum_p a(p) x(p) then has the variance

    sum_j w_j sum_pq a(p) s(p) B exp(-|p - q|^2 / (2 L_j^2)) s(q) a(q),

and any other function has the law of its values on draws x + s g.

Few posterior samples cannot take the place of this model: four of them tell the variance of one
region within a factor of two, and they do not show what the network gets wrong in all of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d
from scipy.optimize import minimize

__all__ = ["ErrorField", "fit_weights"]

Floats = NDArray[np.floating[Any]]
_REACH = 4.0  # lengths at which a correlation ends


@dataclass(frozen=True)
class ErrorField:
    """The correlation of errors.

    Attributes:
        lengths: L_j in pixels, 0 and infinity among them.
        weights: w_j, as many.
        layers: correlation of neighbouring layers; of layers n apart it is its n-th power.
        source: what it was measured on, in words.
    """

    lengths: tuple[float, ...]
    weights: tuple[float, ...]
    layers: float = 0.0
    source: str = ""

    def __post_init__(self) -> None:
        if len(self.lengths) != len(self.weights) or not self.lengths:
            raise ValueError("as many weights as lengths, at least one")
        if min(self.lengths) < 0 or min(self.weights) < 0 or not sum(self.weights) > 0:
            raise ValueError("lengths and weights are not negative, and some weight is above 0")
        if not 0 <= self.layers < 1:
            raise ValueError(f"the correlation of layers is from 0 to below 1, not {self.layers}")

    @property
    def length(self) -> float:
        """Pixels at which the correlation has fallen to 1/e of that of neighbours at distance 0.

        Infinite where more than that is common to a whole layer.
        """
        total, lag = sum(self.weights), 0.0
        while lag < 1000:
            if self._at(lag) < total / math.e:
                return lag
            lag += 0.1
        return math.inf

    @property
    def common(self) -> float:
        """Share of the variance that all pixels of a layer have in common."""
        shared = sum(w for n, w in zip(self.lengths, self.weights, strict=True) if math.isinf(n))
        return shared / sum(self.weights)

    @property
    def sentence(self) -> str:
        """How errors within a region are alike."""
        said = f"Errors of pixels are correlated over {self.length:.1f} pixels"
        if self.common > 0:
            said += f", and {100 * self.common:.2g} % of their variance is common to an image"
        source = f" ({self.source})" if self.source else ""
        return f"{said}{source}."

    def between(self, count: int) -> Floats:
        """B of so many layers."""
        n = np.arange(count)
        return np.asarray(np.where(n == n[:, None], 1.0, self.layers ** np.abs(n - n[:, None])))

    def parts(self, values: Floats, between: Floats | None = None) -> Floats:
        """The variance of a sum by lengths: with weight 1 each.

        Args:
            values: (layer, y, x), a(p) s(p).
            between: B; of ``layers`` if not given.
        """
        values = np.asarray(values, np.float64)
        values, kept = _cropped(values)
        if not values.size:
            return np.zeros(len(self.lengths))
        B = (self.between(kept.stop) if between is None else between)[kept, kept]
        return np.array(
            [np.einsum("zyx,zw,wyx->", values, B, _smooth(values, n)) for n in self.lengths]
        )

    def variance(self, values: Floats, between: Floats | None = None) -> float:
        """Of sum_p a(p) x(p).

        Args:
            values: (layer, y, x), a(p) s(p).
            between: B (layer, layer); of ``layers`` if not given.
        """
        return float(self.parts(values, between) @ np.array(self.weights))

    def draw(
        self, shape: tuple[int, int, int], rng: np.random.Generator, between: Floats | None = None
    ) -> NDArray[np.float32]:
        """One g (layer, y, x).

        Args:
            shape: of the result.
            rng: source of the noise.
            between: B (layer, layer); of ``layers`` if not given.
        """
        total = np.zeros(shape)
        for length, weight in zip(self.lengths, self.weights, strict=True):
            if weight > 0:
                total += math.sqrt(weight) * _unit_field(shape, length, rng)
        if shape[0] > 1 and (between is not None or self.layers > 0):
            total = np.tensordot(_root(between, self.between(shape[0])), total, 1)
        return total.astype(np.float32)

    def attribute(self) -> str:
        """As a result holds it: JSON."""
        lengths = [n if math.isfinite(n) else None for n in self.lengths]
        table = {"lengths_pixels": lengths, "weights": list(self.weights), "layers": self.layers}
        return json.dumps({**table, "source": self.source})

    @classmethod
    def from_attribute(cls, text: str) -> Self:
        """What ``attribute`` wrote.

        Raises:
            ValueError: it is damaged.
        """
        try:
            table: Mapping[str, Any] = json.loads(text)
            lengths = (math.inf if n is None else float(n) for n in table["lengths_pixels"])
            weights = tuple(float(w) for w in table["weights"])
            return cls(tuple(lengths), weights, float(table["layers"]), str(table["source"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no correlation of errors: {error}") from error

    def _at(self, lag: float) -> float:
        terms = zip(self.lengths, self.weights, strict=True)
        return sum(w * _correlation(lag, n) for n, w in terms)


def fit_weights(
    parts: Floats, errors: Floats, level: float = 0.9, where: NDArray[np.bool_] | None = None
) -> tuple[float, ...]:
    """The weights that explain errors of regions: maximum likelihood, then coverage.

    -log p(errors | w) is least for errors ~ N(0, parts w) with w >= 0; all weights are then scaled
    so that a share ``level`` of the errors lies within the Gaussian interval of that level, as
    errors of several scans have heavier tails than those of one.

    Args:
        parts: (region, length), see ``ErrorField.parts``.
        errors: (region,) of the means.
        level: of the interval.
        where: (region,) those whose coverage counts; all if not given.
    """
    from scipy.special import ndtri

    parts, squares = np.asarray(parts, np.float64), np.asarray(errors, np.float64) ** 2
    size = parts.sum(1, keepdims=True)
    relative, seen = parts / size, squares / size[:, 0]

    def cost(logs: Floats) -> tuple[float, Floats]:
        w = np.exp(logs)
        variance = relative @ w
        value = float((np.log(variance) + seen / variance).sum())
        slope = ((1 - seen / variance) / variance) @ relative
        return value, slope * w

    start = np.full(parts.shape[1], math.log(max(float(seen.mean()), 1e-12)))
    low = start[0] - 16
    fit = minimize(
        cost, start, jac=True, method="L-BFGS-B", bounds=[(low, start[0] + 8)] * len(start)
    )
    w = np.exp(fit.x)
    w[w < 1e-4 * w.sum()] = 0.0
    scores = np.sqrt(squares / (parts @ w))
    scores = scores if where is None else scores[where]
    factor = float(np.quantile(scores, level)) / float(ndtri(0.5 + level / 2))
    return tuple(float(f"{v:.3g}") for v in w * factor**2)


def _correlation(lag: float, length: float) -> float:
    if math.isinf(length):
        return 1.0
    if length == 0:
        return float(lag == 0)
    return math.exp(-(lag**2) / (2 * length**2))


def _cropped(values: Floats) -> tuple[Floats, slice]:
    """The part that is not 0, and its layers."""
    if not values.any():
        return values[:0], slice(0, 0)
    cut = []
    for axis in range(3):
        where = np.flatnonzero(values.any(tuple(a for a in range(3) if a != axis)))
        cut.append(slice(int(where[0]), int(where[-1]) + 1))
    return values[tuple(cut)], cut[0]


def _smooth(values: Floats, length: float) -> Floats:
    """sum_q exp(-|p - q|^2 / (2 L^2)) values(q) within each layer."""
    if length == 0:
        return values
    if math.isinf(length):
        return np.broadcast_to(values.sum((1, 2), keepdims=True), values.shape)
    out = values
    for axis in (1, 2):
        reach = min(math.ceil(_REACH * length), values.shape[axis] - 1)
        lags = np.arange(-reach, reach + 1)
        kernel = np.exp(-(lags**2) / (2 * length**2))
        out = convolve1d(out, kernel, axis=axis, mode="constant")
    return out


def _unit_field(shape: tuple[int, int, int], length: float, rng: np.random.Generator) -> Floats:
    """Of variance 1, independent between layers."""
    if math.isinf(length):
        return np.broadcast_to(rng.standard_normal((shape[0], 1, 1)), shape)
    if length == 0:
        return rng.standard_normal(shape)
    # A kernel of width L / sqrt 2 has the autocorrelation exp(-d^2 / (2 L^2)).
    lags = np.arange(-math.ceil(_REACH * length), math.ceil(_REACH * length) + 1)
    kernel = np.exp(-(lags**2) / length**2)
    kernel /= np.sqrt((kernel**2).sum())
    more = len(lags) // 2
    field = rng.standard_normal((shape[0], shape[1] + 2 * more, shape[2] + 2 * more))
    for axis in (1, 2):
        field = convolve1d(field, kernel, axis=axis, mode="constant")
    return field[:, more : more + shape[1], more : more + shape[2]]


def _root(between: Floats | None, standard: Floats) -> Floats:
    """F with F F^T = B."""
    values, vectors = np.linalg.eigh(standard if between is None else between)
    return np.asarray(vectors * np.sqrt(np.clip(values, 0, None)))
