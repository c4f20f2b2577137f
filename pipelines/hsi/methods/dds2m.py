"""Untrained networks inside the reverse chain: denoising that has learned from this scene only.

Miao et al., DDS2M: Self-Supervised Denoising Diffusion Spatio-Spectral Model, ICCV 2023. In
coordinates that whiten the noise, z = S^-1 (y - m), the image is

    X = sum_r S_r (x) c_r

with spatial maps S_r of an untrained U-Net and spectra c_r of an untrained multilayer perceptron
(which corrects the scene's own components, `components`). The maps begin as the blurred
coefficients of the data, which the U-Net also sees beside its noise, so that it need not find again
what can be seen; the published networks begin at nothing and take hours. The reverse chain runs
over levels s_t from s_max down, the noise of the data being 1. In every step the networks take one
step of Adam on |X - x_t|^2, x0 is the exponential average of X over the steps, and the next state
is that of DDRM (Kawar et al., 2022) with its eta_A = eta and eta_B = 1:

    s >= 1:  x = z + sqrt(s^2 - 1) w
    s <  1:  x = x0 + s sqrt(1 - eta^2) (z - x0) + s eta w

which has the variance s^2 about the true image if x0 is right, in both cases. The fit leaves out
entries without data.

Networks of enough steps fit the noise as well. The published code returns the iterate nearest the
true image, which nobody has; here a share of the data's entries is held out of the fit. The error
there is that of the image plus the noise's variance, which does not know the fit: the average whose
error on them is least is the result, and the chain ends when it has long been rising. A pixel's
other entries still tell its few coefficients, so little is lost by leaving some out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from sciddm.classical.spectral.components import find_components
from sciddm.classical.spectral.interface import (
    Attributes,
    Estimate,
    Fitted,
    Method,
    SceneStatistics,
    Tile,
    chi2,
)
from sciddm.classical.spectral.lowrank import project
from sciddm.device import to_device, to_numpy
from sciddm.networks.skip_unet import SkipUNet
from sciddm.precision import network_arithmetic
from sciddm.progress import Progress
from sciddm.random.plane_streams import PlaneStreams
from sciddm.random.streams import fold

__all__ = ["DDS2M", "SETTINGS", "Settings", "levels", "next_state"]

_WEIGHTS, _SPLIT, _CODE, _CHAIN = range(4)  # what random numbers are for


@dataclass(frozen=True)
class Settings:
    """What a quality means.

    Attributes:
        steps: of the chain, one of Adam each.
        components: R at most.
        rate: of Adam.
        first: s_max, in units of the noise.
        last: level at the end.
        eta: see the module.
        average: weight of the past in the exponential average.
        held_out: share of the entries.
        patience: share of the steps without gain after which the chain ends.
    """

    steps: int
    components: int = 12
    rate: float = 4e-3
    first: float = 4.0
    last: float = 0.1
    eta: float = 0.95
    average: float = 0.97
    held_out: float = 0.05
    patience: float = 0.3


SETTINGS = {
    "fast": Settings(steps=250),
    "balanced": Settings(steps=600),
    "best": Settings(steps=2000, rate=2e-3, average=0.99, components=20),
}


class DDS2M(Method):
    """The chain above, for every tile on its own.

    Args:
        quality: key of SETTINGS.
        settings: in place of those of the quality.
    """

    name = "dds2m"

    def __init__(self, quality: str = "balanced", *, settings: Settings | None = None) -> None:
        self.settings = SETTINGS[quality] if settings is None else settings

    def fit(self, statistics: SceneStatistics) -> Fitted:
        """See `Method`."""
        return FittedDDS2M(self.settings, statistics)


class FittedDDS2M(Fitted):
    """Components of the scene, where the spectra begin."""

    halo = None

    def __init__(self, settings: Settings, statistics: SceneStatistics) -> None:
        self._settings = settings
        self._components = find_components(statistics)
        self._noisy = bool(statistics.sigma.max() > 0)
        self._rank = min(settings.components, len(self._components.power))
        self.attributes: Attributes = {
            "method": DDS2M.name,
            **asdict(settings),
            "rank": self._rank,
        }

    def apply(self, tile: Tile, seed: int = 0, progress: Progress | None = None) -> Estimate:
        """See `Fitted`."""
        if not self._noisy:
            return Estimate(tile.inner(tile.values), None, {"nfe": 0, "nvjp": 0, "chi2": 0.0})
        known = self._components
        noise = known.noise.astype(np.float32)[:, None, None]
        mean = known.mean.astype(np.float32)[:, None, None]
        white = np.where(tile.valid, (tile.values - mean) / noise, np.float32(0))
        best, steps = self._run(
            to_device(white), to_device(tile.valid), seed, tile.origin, progress
        )
        values = tile.inner(to_numpy(best)) * noise + mean
        return Estimate(
            values, None, {"nfe": steps, "nvjp": steps, "chi2": chi2(tile, values, known.noise)}
        )

    def _run(
        self,
        white: Tensor,
        valid: Tensor,
        seed: int,
        origin: tuple[int, int],
        progress: Progress | None,
    ) -> tuple[Tensor, int]:
        """(the average with the least error on what was held out (band, y, x), steps taken)."""
        o = self._settings
        place = fold(seed, *origin)
        numbers = torch.Generator().manual_seed(fold(place, _SPLIT))
        out = valid & (torch.rand(white.shape, generator=numbers) < o.held_out).to(valid.device)
        used = valid & ~out
        basis, power = self._components.basis[:, : self._rank], self._components.power[: self._rank]
        seen = project(to_numpy(white), to_numpy(used), basis, 1 / power)
        blurred = torch.from_numpy(gaussian_filter(seen, (0, _BLUR, _BLUR)))
        model = _Factors(basis, power, blurred, place).to(white.device)
        shape = (1, _CODE_CHANNELS, *white.shape[1:])
        code = PlaneStreams(fold(seed, _CODE), 1, origin).randn(white.new_empty(shape), 0)
        chain = PlaneStreams(fold(seed, _CHAIN), 1, origin)
        adam = torch.optim.Adam(model.parameters(), lr=o.rate)
        grid = list(levels(o))
        average: tuple[Tensor, Tensor] | None = None
        best, least, found_at, taken = torch.zeros_like(white), float("inf"), 0, 0
        state = white + (grid[0] ** 2 - 1) ** 0.5 * chain.randn(white[None], 0)[0]
        with torch.enable_grad():
            for step in range(o.steps):
                with network_arithmetic("auto", white.device):
                    maps, spectra = model(code)
                image = torch.tensordot(spectra, maps, 1)
                loss = (image - state)[used].square().mean() / (1 + grid[step] ** 2)
                adam.zero_grad()
                loss.backward()
                adam.step()
                taken = step + 1
                now = image.detach()
                average = _averaged(average, now, o.average)
                x0 = average[0] / average[1]
                if step % _EVERY == _EVERY - 1 or step == o.steps - 1:
                    error = float((x0 - white)[out].square().mean()) if out.any() else 0.0
                    if error < least or not out.any():
                        best, least, found_at = x0.clone(), error, step
                    elif step - found_at > o.patience * o.steps:
                        break
                if step + 1 < o.steps:
                    z = chain.randn(white[None], step + 1)[0]
                    state = next_state(white, x0, z, grid[step + 1], o.eta)
                if progress is not None:
                    progress(taken, o.steps, f"step {taken} of {o.steps}")
        return best, taken


_EVERY = 5  # steps between looks at what was held out
_BLUR = 1.0  # pixels
_CODE_CHANNELS = 8


def levels(settings: Settings) -> Iterator[float]:
    """Levels of the chain: s_max to `last`, evenly in their logarithm."""
    n = settings.steps
    for i in range(n):
        yield settings.first * (settings.last / settings.first) ** (i / max(1, n - 1))


def next_state(data: Tensor, x0: Tensor, z: Tensor, level: float, eta: float) -> Tensor:
    """The state at a level, from data with noise of variance 1 and an estimate of the image.

    Args:
        data: (band, y, x).
        x0: estimate, of the same shape.
        z: unit normal noise, of the same shape.
        level: s.
        eta: see the module.
    """
    if level >= 1:
        out: Tensor = data + (level**2 - 1) ** 0.5 * z
        return out
    out = x0 + level * ((1 - eta**2) ** 0.5 * (data - x0) + eta * z)
    return out


class _Factors(nn.Module):
    """Maps (R, y, x) and spectra (band, R) of a code."""

    basis: Tensor
    size: Tensor
    blurred: Tensor

    def __init__(
        self, basis: NDArray[np.float64], power: NDArray[np.float64], blurred: Tensor, seed: int
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(fold(seed, _WEIGHTS))
        rank = len(power)
        self.spatial = SkipUNet(rank, generator, code=_CODE_CHANNELS + rank)
        self.spatial.last.weight.data.zero_()
        self.register_buffer("basis", torch.from_numpy(basis).float())
        self.register_buffer("size", torch.from_numpy(np.sqrt(power)).float()[:, None, None])
        self.register_buffer("blurred", blurred)
        width = 64
        self.query = nn.Parameter(torch.randn(rank, 16, generator=generator))
        self.inner = nn.Linear(16, width)
        self.outer = nn.Linear(width, len(basis))
        for layer in (self.inner, self.outer):
            layer.weight.data.normal_(0, layer.in_features**-0.5, generator=generator)
            layer.bias.data.zero_()
        self.outer.weight.data.zero_()  # the spectra begin as the scene's components

    def forward(self, code: Tensor) -> tuple[Tensor, Tensor]:
        code = torch.cat([code, (self.blurred / self.size)[None]], dim=1)
        maps = self.blurred + self.spatial(code)[0].float() * self.size
        change = self.outer(torch.nn.functional.silu(self.inner(self.query))).float()
        return maps, self.basis + 0.1 * change.T


def _averaged(
    past: tuple[Tensor, Tensor] | None, now: Tensor, weight: float
) -> tuple[Tensor, Tensor]:
    """Sums of an exponential average without the bias of its beginning: (weighted, weights)."""
    if past is None:
        return (1 - weight) * now, torch.tensor(1 - weight)
    return weight * past[0] + (1 - weight) * now, weight * past[1] + (1 - weight)
