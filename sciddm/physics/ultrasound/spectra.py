"""Where sampling starts: echoes taken apart by their local spectra.

Haze has come a longer way than tissue, through a wider beam and a narrower, lower band, so that the
two differ in their spectra where they cannot be told apart by eye. Near every place the scan is
taken for the sum of three Gaussian fields: tissue, haze and white noise,

    E|Y(f, k)|^2 = g_x P_x(f, k) + g_h P_h(f, k) + g_n

with f the axial frequency in units of the carrier, k the lateral one in cycles per line, and

    P_x = exp(-((f - c) / s)^2 - (2 pi b k)^2),    s = B / (2 sqrt(2 ln 2))

the power of the pulse and beam of `waves`; haze's has b r_1, B r_2, c r_3 in place of b, B, c, and
b widens with depth. These seven numbers of the scan and the powers g of every window maximise the
likelihood (Itakura and Saito's divergence, as in non-negative matrix factorisation; Fevotte et al.
2009). Haze that changes over millimetres would explain any speckle, so g_h and g_n are tied to
their neighbours. Given all that, tissue is Gaussian: Wiener's filter is its mean, and samples about
it follow by perturbing and filtering (as `physics.Measurement.draw`).

Nothing here knows what a heart looks like: that is for the two priors, which go on from here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from sciddm.physics.ultrasound.waves import SAMPLES_PER_PERIOD

__all__ = ["LocalSpectra"]

_WINDOW, _HOP = (32, 16), (8, 4)  # samples, lines
_TIED = (3.0, 5.0)  # windows over which the power of haze is one; noise, a few more
_TIED_NOISE = (8.0, 8.0)
#: What the numbers of a scan may be: those of `echoes.draw_beam` and `draw_clutter`, and a little
#: beyond. A wider range would let the two parts change places.
_RANGES: Mapping[str, tuple[float, float]] = {
    "log_bandwidth": (math.log(0.3), math.log(1.0)),
    "log_lines": (math.log(0.5), math.log(3.5)),
    "widening": (1.0, 2.2),
    "wider": (1.6, 3.8),
    "narrower": (0.4, 0.9),
    "lower": (0.84, 1.0),
    "centre": (0.95, 1.03),
}
_ALL, _WITHOUT = [0, 1, 2], [0, 2]  # tissue, haze, noise; without haze
_SHARES = (0.5, 0.5, 0.0025)  # of the power, to begin with
_ENOUGH = 1200  # windows that the seven numbers are fitted to
_STEPS, _UPDATES = 100, 30
_SMALL = 1e-12  # of full scale squared


class LocalSpectra:
    """The local spectra of a scan's tissue and haze.

    Args:
        rf: (z, x), 4 samples per period.
        beam: `beam` of another frame of the same scanner, in place of a fit to this one: the powers
            are then the only unknowns.
    """

    def __init__(self, rf: Tensor, beam: Tensor | None = None) -> None:
        self.frame = _Frame((rf.shape[0], rf.shape[1]))
        self.spectrum = self.frame.analyse(rf)
        power = self.spectrum.abs().square()
        depth = self.frame.depth
        thin = max(2, math.ceil(math.sqrt(power.shape[0] * power.shape[1] / _ENOUGH)))
        self._few = (power[::thin, ::thin], depth[::thin])
        self.beam = _fitted(*self._few, _ALL) if beam is None else beam
        self.shapes = _shapes(self.beam, depth)  # (3, depth, f, k)
        self.gains = _gains(power, self.shapes)  # (3, depth, lateral)
        self.numbers = {k: float(v) for k, v in zip(_RANGES, _bounded(self.beam), strict=True)}

    def evidence(self) -> float:
        """Whether the scan shows haze: how much more likely it is with haze than without.

        The same model is fitted once more to tissue and noise alone, whose powers are free in every
        window. Of both models' divergences from the windows' power, in nats per entry, this is the
        median difference: above 0 most windows ask for haze. Of nine simulated scans with haze
        18 dB below tissue or more it was above 0 in eight, of their clean tissue below 0 in all; of
        a real scan of a phantom without haze -0.12.
        """
        power = self.spectrum.abs().square()
        shapes = _shapes(_fitted(*self._few, _WITHOUT), self.frame.depth)[_WITHOUT]
        level = power.mean((2, 3)).clamp_min(_SMALL)
        gains = torch.stack([0.9 * level, 0.1 * level])
        for _ in range(_UPDATES):
            more, less = _slopes(power, shapes, gains)
            gains = gains * more / less
        without = _divergence(power, shapes, gains)
        return float((without - _divergence(power, self.shapes, self.gains)).median())

    def tissue(self, noise: Tensor | None = None) -> Tensor:
        """Tissue (K, z, x) as it may be; its mean (1, z, x) without noise.

        Args:
            noise: (K, 2, z, x), white and of variance 1.
        """
        tissue, haze, white = (
            g[..., None, None] * s[:, None] for g, s in zip(self.gains, self.shapes, strict=True)
        )
        weight = tissue / (tissue + haze + white + _SMALL)
        mean = self.frame.synthesise(weight * self.spectrum)[None]
        if noise is None:
            return mean
        drawn = []
        for first, second in noise:
            x = tissue.sqrt() * self.frame.analyse(first)
            rest = (haze + white).sqrt() * self.frame.analyse(second)
            drawn.append(self.frame.synthesise(x - weight * (x + rest)))
        return mean + torch.stack(drawn)


@dataclass(frozen=True)
class _Frame:
    """Overlapping windows of a frame, and back."""

    shape: tuple[int, int]

    def analyse(self, rf: Tensor) -> Tensor:
        """Spectra (depth, lateral, f, k) of all windows; white noise of variance 1 has power 1."""
        sides = [(w, w + -n % h) for n, w, h in zip(self.shape, _WINDOW, _HOP, strict=True)]
        padded = torch.from_numpy(np.pad(rf.numpy(), sides, mode="symmetric"))
        parts = padded.unfold(0, _WINDOW[0], _HOP[0]).unfold(1, _WINDOW[1], _HOP[1])
        weight = _window()
        out: Tensor = torch.fft.rfft2(parts * weight, dim=(3, 2)) / weight.square().sum().sqrt()
        return out

    def synthesise(self, spectrum: Tensor) -> Tensor:
        """The frame (z, x) whose windows these are, or the nearest to them."""
        weight = _window()
        whole = torch.fft.irfft2(spectrum, s=(_WINDOW[1], _WINDOW[0]), dim=(3, 2))
        parts = whole * weight * weight.square().sum().sqrt()
        sides = zip(parts.shape, _HOP, _WINDOW, strict=False)
        size = tuple(h * (n - 1) + w for n, h, w in sides)

        def added(windows: Tensor) -> Tensor:
            flat = windows.flatten(2).flatten(0, 1).T[None]
            return functional.fold(flat, size, _WINDOW, stride=_HOP)[0, 0]

        total = added(parts) / added(weight.square().expand_as(parts)).clamp_min(_SMALL)
        rows, columns = (slice(w, w + n) for n, w in zip(self.shape, _WINDOW, strict=True))
        return total[rows, columns]

    @property
    def depth(self) -> Tensor:
        """Of the windows' middles, as shares of the frame."""
        count = (self.shape[0] + -self.shape[0] % _HOP[0] + _WINDOW[0]) // _HOP[0] + 1
        middle = torch.arange(count) * _HOP[0] - _WINDOW[0] / 2
        return (middle / self.shape[0]).clamp(0, 1)


def _window() -> Tensor:
    """The root of a Hann window, (samples, lines)."""
    down, across = (torch.sin(math.pi * (torch.arange(n) + 0.5) / n) for n in _WINDOW)
    return down[:, None] * across


def _bounded(free: Tensor) -> list[Tensor]:
    """Numbers of the scan within `_RANGES`."""
    shares = torch.sigmoid(free)
    return [lo + (hi - lo) * u for (lo, hi), u in zip(_RANGES.values(), shares, strict=True)]


def _shapes(free: Tensor, depth: Tensor) -> Tensor:
    """Power of tissue, haze and noise, (3, depth, f, k) each with mean 1, as windows see it."""
    log_bandwidth, log_lines, widening, wider, narrower, lower, centre = _bounded(free)
    f = torch.arange(_WINDOW[0] // 2 + 1) / _WINDOW[0] * SAMPLES_PER_PERIOD
    k = torch.fft.fftfreq(_WINDOW[1])
    s = log_bandwidth.exp() / (2 * math.sqrt(2 * math.log(2)))
    lines = log_lines.exp() * widening ** (depth - 0.5)

    def shape(s: Tensor, lines: Tensor, centre: Tensor) -> Tensor:
        axial = torch.exp(-(((f - centre) / s) ** 2))[:, None]
        lateral = torch.exp(-((2 * math.pi * lines[:, None, None] * k) ** 2))
        seen = _smeared(axial * lateral)
        return seen / seen.mean((-2, -1), keepdim=True)

    tissue = shape(s, lines, centre)
    haze = shape(s * narrower, lines * wider, centre * lower)
    return torch.stack([tissue, haze, torch.ones_like(tissue)])


def _smeared(power: Tensor) -> Tensor:
    """The convolution of (depth, f, k) with the spectrum of the window."""
    full = torch.cat([power, power[:, 1:-1].flip(1)], 1)  # -f, for an even number of samples
    spread = torch.fft.fft2(_window()).abs().square()
    spread = torch.fft.fft2(spread / spread.sum())
    out: Tensor = (
        torch.fft.ifft2(torch.fft.fft2(full) * spread).real[:, : power.shape[1]].clamp_min(0)
    )
    return out


def _fitted(power: Tensor, depth: Tensor, parts: list[int]) -> Tensor:
    """The free numbers by which some parts explain the windows' power (depth, lateral, f, k)."""
    level = power.mean((2, 3)).clamp_min(_SMALL).log()

    def mean_divergence(free: Tensor, gains: Tensor) -> Tensor:
        return _divergence(power, _shapes(free, depth)[parts], gains.exp()).mean()

    free = torch.zeros(len(_RANGES))
    shares = torch.tensor(_SHARES)[parts]
    gains = level + (shares / shares.sum()).log()[:, None, None]
    return _minimised(mean_divergence, [free, gains], rates=(0.08, 0.15))[0]


def _model(shapes: Tensor, gains: Tensor) -> Tensor:
    """Power (depth, lateral, f, k) of parts together."""
    return torch.einsum("cdx,cdfk->dxfk", gains, shapes) + _SMALL


def _divergence(power: Tensor, shapes: Tensor, gains: Tensor) -> Tensor:
    """Of Itakura and Saito, but for what depends on the power alone: (depth, lateral)."""
    model = _model(shapes, gains)
    return (model.log() + power / model).mean((2, 3))


def _slopes(power: Tensor, shapes: Tensor, gains: Tensor) -> tuple[Tensor, Tensor]:
    """Of the divergence in each gain, what asks for more and what asks for less."""
    inverse = _model(shapes, gains).reciprocal_()
    less = torch.einsum("dxfk,cdfk->cdx", inverse, shapes)
    more = torch.einsum("dxfk,cdfk->cdx", inverse.square_().mul_(power), shapes)
    return more, less


def _minimised(
    function: Callable[..., Tensor],
    start: Sequence[Tensor],
    rates: Sequence[float],
    decay: tuple[float, float] = (0.9, 0.999),
) -> list[Tensor]:
    """The arguments of a function after `_STEPS` steps of Adam (Kingma and Ba, 2015).

    Of torch.optim the first step alone would load its compiler, for more than a second: longer than
    all of these.
    """
    x = [v.clone() for v in start]
    first, second = ([torch.zeros_like(v) for v in x] for _ in range(2))
    for step in range(1, _STEPS + 1):
        with torch.enable_grad():
            free = [v.requires_grad_(True) for v in x]
            slopes = torch.autograd.grad(function(*free), free)
        for v, m, s, g, rate in zip(x, first, second, slopes, rates, strict=True):
            v.requires_grad_(False)
            m.lerp_(g, 1 - decay[0])
            s.mul_(decay[1]).addcmul_(g, g, value=1 - decay[1])
            root = (s / (1 - decay[1] ** step)).sqrt()
            v.addcdiv_(m, root + 1e-8, value=-rate / (1 - decay[0] ** step))
    return x


def _gains(power: Tensor, shapes: Tensor) -> Tensor:
    """Powers (3, depth, lateral) of tissue, haze and noise by multiplicative updates.

    Haze begins at what the darker quarter of its surroundings has: tied updates keep what is rough
    at the beginning rough.
    """
    level = power.mean((2, 3)).clamp_min(_SMALL)
    around = [max(3, level.shape[0] // 5), max(3, level.shape[1] // 3)]
    log = level.log().numpy()
    dark = ndimage.percentile_filter(log, 25, size=around, mode="nearest")
    smooth = torch.from_numpy(ndimage.gaussian_filter(dark, _TIED, mode="nearest")).exp()
    quiet = torch.full_like(level, 0.1 * math.exp(float(np.percentile(log, 5))))
    gains = torch.stack([0.5 * level, 0.5 * smooth, quiet])
    for _ in range(_UPDATES):
        more, less = _slopes(power, shapes, gains)
        for ratio in (more, less):
            for part, width in ((1, _TIED), (2, _TIED_NOISE)):
                tied = ndimage.gaussian_filter(ratio[part].numpy(), width, mode="nearest")
                ratio[part] = torch.from_numpy(tied)
        gains = gains * more / less
    return gains
