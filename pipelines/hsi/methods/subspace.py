"""A diffusion prior on the images of spectral coefficients: the default method.

In the basis of `components` every pixel's spectrum is z = E c + n with white noise n. Where all its
bands are valid E^T z = c + noise of variance 1, independently for every coefficient: each
coefficient image is a plain denoising problem, at the level sigma = 1 / sqrt(power) of the image
divided by its own standard deviation. The prior's denoiser D(x, sigma) = E[x0 | x] is the posterior
mean of exactly this, by one evaluation; nothing is guided, and no gradient is taken.

Images of one scene share their edges. The density is taken as a chain: the first component alone,
each other one given the (up to three) strongest before it, which are put beside it as they are
after denoising.

Where bands are missing E_o^T E_o is not the identity, and coefficients are coupled. With the
missing entries as further unknowns they are not: given c, their best estimate is E_m c, so that

    v <- c + E_o^T (z_o - E_o c),      c <- D(v)

climbs to the posterior's mode in both (expectation maximisation; for a Gaussian prior its mean).
That takes long where little is known of a pixel. So it starts from the pixel's Gaussian posterior
about the mean of its surroundings, and at a higher level tau of noise, from 4 down to 1 in a number
of sweeps that is fixed for the scene; D then fills gaps from further away, and what it says of a
pixel with gaps is joined with the pixel's data as DiffPIR does (Zhu et al., 2023),

    c <- argmin |z_o - E_o c|^2 + |c - D(v)|^2 / r^2,   r^2 = tau^2 power / (tau^2 + power)

The network sees one image and three stronger ones; what all coefficients of one neighbourhood tell
of each other it cannot see. So the mean goes through `similar_patches` as its pilot.

The spread comes from samples: reverse chains that start at the measured image v itself, which is a
state x_t of the diffusion at t = sigma, and go down from there (SDE-DPM-Solver++(2M), which is of
second order). Missing entries are drawn as E_m c + noise first (data augmentation; Tanner and Wong,
1987). Samples come in antithetic pairs.

HIR-Diff (Pang et al., CVPR 2024) has a diffusion prior on three coefficients, which are bands; here
they are principal directions in units of the noise, as many as the scene has, which makes the
likelihood trivial, and the result is a mean rather than the iterate nearest the truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from sciddm import zoo
from sciddm.classical.spectral.components import Components, find_components
from sciddm.classical.spectral.interface import (
    Attributes,
    Estimate,
    Fitted,
    Method,
    SceneStatistics,
    Tile,
    chi2,
)
from sciddm.classical.spectral.own_error import own_error, variance_factors
from sciddm.classical.spectral.similar_patches import refined, refinement_context
from sciddm.denoiser import Denoiser
from sciddm.device import placed, to_device, to_numpy
from sciddm.ledger import tally
from sciddm.method_choice import OWN
from sciddm.pipelines.hsi.methods.gaps import GappedData
from sciddm.pipelines.hsi.methods.orientations import turned, turned_back
from sciddm.progress import Progress
from sciddm.random.plane_streams import PlaneStreams
from sciddm.sampling import DPMSolver2M, karras, sample
from sciddm.uncertainty.verdict import Finding

__all__ = ["SETTINGS", "Settings", "Subspace"]

Array = NDArray[np.float32]
_BATCH = 2**18  # pixels that a network sees at a time
_QUIETEST = 0.004  # level below which the prior was not trained, and nothing is to be gained
# To this share of the first level four steps give the standard deviation of Gaussian fields within
# 6 %; ten of first order give 84 % of it.
_END = 0.15
#: Step of the derivative in `calibrate`, in units of the noise, and pixels that say enough.
_STEP, _FEW_PIXELS = 0.1, 256
#: Errors in units of the model's own standard deviation: 0.9 to 1.3 on simulated scenes of seeds
#: that no recipe uses and on scenes of two other sensors (`benchmarks/hsi_calibration.py`).
_UNLIKE = 1.6
_MOST_BANDS = 0.9  # of a pixel's bands that were measured, so that it counts there


def _width(samples: int) -> float:
    """Pixels, standard deviation of the window that the variance of so many samples is averaged in.

    Of 4 pi w^2 pixels with K samples each: a variance is then uncertain by some 20 % in all cases.
    """
    return min(2.0, 2.0 * math.sqrt(2 / max(samples, 1)))


@dataclass(frozen=True)
class Settings:
    """What a quality means.

    Attributes:
        components: images that the network denoises, the strongest first; further ones are
            shrunk pixel by pixel, c power / (power + 1).
        orientations: of the image over which the mean is taken: 1, 2 (rotated by 180 degrees), 4
            (all flips) or 8 (rotations too).
        samples: K, for the spread.
        steps: of each sample's chain.
        sweeps: the network's passes where bands are missing.
        window: patches like one another are looked for within so many pixels; 0 for not at all.
        alike: how many of them make a group.
        spread: factor on the samples' standard deviation, where the scene does not tell its own
            (`FittedSubspace.calibrate`).
    """

    components: int
    orientations: int
    samples: int
    steps: int
    sweeps: int
    window: int = 0
    alike: int = 24
    spread: float = 1.0


#: Factor on the spread where a scene is too small to tell its own (`FittedSubspace.calibrate`), and
#: towards which uncertain ones are drawn: that of simulated scenes, see
#: `benchmarks/hsi_calibration.py`.
_CALIBRATED = 1.25
SETTINGS = {
    "fast": Settings(
        components=10, orientations=1, samples=2, steps=3, sweeps=2, spread=_CALIBRATED
    ),
    "balanced": Settings(
        components=20, orientations=4, samples=4, steps=4, sweeps=3, window=12, spread=_CALIBRATED
    ),
    "best": Settings(
        components=40, orientations=8, samples=8, steps=5, sweeps=4, window=16, spread=_CALIBRATED
    ),
}


class Subspace(Method):
    """Posterior mean of the coefficient images, and the spread of their samples.

    Args:
        model: name, folder or hub id of the prior.
        quality: key of SETTINGS.
        denoiser: the prior itself, in place of a model.
        settings: in place of those of the quality.
    """

    name = "subspace"
    has_std = True

    def __init__(
        self,
        model: str | Path = "hsi-subspace",
        quality: str = "balanced",
        *,
        denoiser: Denoiser | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.settings = SETTINGS[quality] if settings is None else settings
        self.provenance: dict[str, str] = {"model": "unnamed", "weights_sha256": ""}
        if denoiser is None:
            loaded = zoo.from_pretrained(model)
            network = loaded.denoiser
            network.precision = "auto"
            denoiser = network
            self.provenance = {"model": loaded.name, "weights_sha256": loaded.weights_sha256}
        self.denoiser = denoiser.eval()
        self.choice = OWN

    def fit(self, statistics: SceneStatistics) -> Fitted:
        """See `Method`."""
        return FittedSubspace(self, statistics)


class FittedSubspace(Fitted):
    """Components of a scene, and the prior on their images."""

    def __init__(self, method: Subspace, statistics: SceneStatistics) -> None:
        self._denoiser, self._settings = method.denoiser, method.settings
        self._choice = method.choice
        self._components = find_components(statistics, correlated=True)
        self._noisy = bool(statistics.sigma.max() > 0)
        power = self._components.power
        self._count = min(len(power), self._settings.components)
        network = getattr(self._denoiser, "network", None)
        self._guides = int(getattr(network, "cond_channels", 0))
        # What beyond this changes a guide, or a gap, reaches a pixel through another image only.
        halo = int(getattr(network, "context", 60)) + round(4 * _width(self._settings.samples))
        if self._settings.window:
            halo += refinement_context(self._settings.window)
        self.halo: int | None = halo
        self._shape = tuple(statistics.shape)
        self._kept: tuple[int, Array, Array] | None = None
        self._variance: NDArray[np.float64] | None = None
        # One number for the scene: tiles must not differ in it.
        self._gaps = statistics.valid < 1
        self.attributes: Attributes = {
            "method": Subspace.name,
            **method.provenance,
            **asdict(self._settings),
            "rank": len(power),
            **method.choice.stamp(),
        }

    def apply(self, tile: Tile, seed: int = 0, progress: Progress | None = None) -> Estimate:
        """See `Fitted`."""
        if not self._noisy and not self._gaps:
            values = tile.inner(tile.values)
            return Estimate(values, np.zeros_like(values), {"nfe": 0, "nvjp": 0, "chi2": 0.0})
        known = self._components
        noise = known.noise.astype(np.float32)[:, None, None]
        mean = known.mean.astype(np.float32)[:, None, None]
        tick = self._ticker(progress)
        with torch.inference_mode(), tally() as cost:
            found, sampled = self._whole(tile, seed, tick)
        spread = self._scaled(sampled)
        basis = known.basis.astype(np.float32)
        values = np.tensordot(basis, tile.inner(found), 1)
        values *= noise
        values += mean
        std = np.tensordot(basis**2, tile.inner(spread), 1)
        std += (known.rest + known.unseen).astype(np.float32)[:, None, None]
        np.sqrt(std, out=std)
        std *= noise
        counted = {"nfe": round(cost.nfe / max(1, self._count)), "nvjp": 0}
        return Estimate(
            values,
            std,
            {**counted, "chi2": chi2(tile, values, known.noise)},
        )

    def calibrate(self, tile: Tile, seed: int = 0) -> None:
        """See `Fitted`: Stein's estimate of the error of each coefficient image (`own_error`)."""
        known = self._components
        share = tile.valid.mean(axis=0)
        seen = share >= _MOST_BANDS
        if not self._noisy or not self._draws or seen.sum() < _FEW_PIXELS:
            return
        silent = self._ticker(None)
        rng = np.random.default_rng([seed, 11])
        shape = (len(known.power), *tile.values.shape[1:])
        direction = rng.standard_normal(shape).astype(np.float32)
        noise, mean = (v.astype(np.float32)[:, None, None] for v in (known.noise, known.centre))
        basis, dual = (m.astype(np.float32) for m in (known.basis, known.dual))
        away = np.tensordot(basis, direction, 1)
        moved = replace(tile, values=tile.values + np.float32(_STEP) * noise * away)
        with torch.inference_mode():
            found, sampled = self._whole(tile, seed, silent)
            other, _ = self._mean(GappedData(moved, known), silent)

        def measured(spectra: Array) -> Array:
            """Coefficients of what the measured bands hold, of the pixels that are looked at."""
            return dual.T[: self._count] @ np.where(tile.valid, spectra, np.float32(0))[:, seen]

        error, chance = own_error(
            measured((tile.values - mean) / noise - np.tensordot(basis, found, 1)),
            measured(away),
            measured(np.tensordot(basis, other - found, 1)),
            _STEP,
            share[seen],
        )
        stated = sampled[: self._count][:, seen].mean(axis=1, dtype=np.float64)
        factors, common = variance_factors(error, chance, stated, self._settings.spread**2)
        self.calibration = factors
        self._variance = self._scaled(sampled).mean(axis=(1, 2), dtype=np.float64)
        self.attributes = {**self.attributes, "std_factor": round(float(np.sqrt(common)), 4)}
        if tile.values.shape[1:] == self._shape:  # it is all of the scene: once is enough
            self._kept = (seed, found, sampled)

    def band_correlation(self) -> NDArray[np.float64]:
        """See `Fitted`: of the coefficients' mean variances, seen in the bands."""
        known = self._components
        variance = known.power / (known.power + 1) if self._variance is None else self._variance
        covariance = (known.basis * variance) @ known.basis.T + np.diag(known.rest + known.unseen)
        scale = np.sqrt(np.maximum(np.diag(covariance), 1e-30))
        correlation = covariance / np.outer(scale, scale)
        np.fill_diagonal(correlation, 1.0)
        return np.asarray(correlation, np.float64)

    def familiarity(self) -> Finding:
        """See `Fitted`: the model's own variances against the errors that the scene tells of.

        The prior is one of single coefficient images: the number of bands and their wavelengths
        mean nothing to it. What can be unlike its training are the images' texture, and the levels
        of their noise.
        """
        factor = self.attributes.get("std_factor")
        if factor is None:
            return Finding(sentence="The scene is too small, or too quiet, to compare its images.")
        levels = [1 / self._scale(i) for i in range(self._count)]
        said = f"at noise levels of {min(levels):.2g} to {max(levels):.2g} times their signal"
        if factor > _UNLIKE:
            return Finding(
                "no",
                float(factor),
                _UNLIKE,
                f"The scene's {len(levels)} coefficient images, {said}, are harder than those of "
                f"training: errors are {factor:.2f} times what the model expects. The standard "
                "deviation includes that.",
            )
        return Finding(
            "yes",
            float(factor),
            _UNLIKE,
            f"The scene's {len(levels)} coefficient images, {said}, are like those of training: "
            f"errors are {factor:.2f} times what the model expects.",
        )

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_kept": None}

    def coefficients(self, tile: Tile, seed: int = 0) -> tuple[Array, Array]:
        """Posterior mean and variance of the coefficients, (k, y, x).

        What is computed of several bands needs draws of whole spectra, which `SpectrumDraws` makes
        of these moments.
        """
        with torch.inference_mode():
            found, sampled = self._whole(tile, seed, self._ticker(None))
        return found, self._scaled(sampled)

    @property
    def components(self) -> Components:
        """Of the scene."""
        return self._components

    def _whole(self, tile: Tile, seed: int, tick: Callable[[str], None]) -> tuple[Array, Array]:
        """(c, variances of its samples): (k, y, x)."""
        placed(self._denoiser)
        kept = self._kept
        if kept is not None and kept[0] == seed and kept[1].shape[1:] == tile.values.shape[1:]:
            self._kept = None
            return kept[1], kept[2]
        data = GappedData(tile, self._components)
        found, measured = self._mean(data, tick)
        return found, self._spread(data, found, measured, seed, tile.origin, tick)

    def _scaled(self, sampled: Array) -> Array:
        """Variances of the coefficients from those of their samples."""
        factors = np.ones(len(sampled))
        drawn = [i for i in range(self._count) if 1 / self._scale(i) >= _QUIETEST]
        if self._draws:
            factors[drawn] = self._settings.spread**2
            if self.calibration is not None:
                factors[drawn] = self.calibration[drawn]
        return np.asarray(sampled * factors.astype(np.float32)[:, None, None], np.float32)

    def _ticker(self, progress: Progress | None) -> Callable[[str], None]:
        sweeps = self._settings.sweeps if self._gaps else 1
        total = self._count * (sweeps + self._draws) + (self._settings.window > 0)
        done = 0

        def tick(what: str) -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(min(done, total), total, what)

        return tick

    @property
    def _draws(self) -> int:
        """Rounds of the samples: those of missing entries and those of coefficients alternate."""
        return 0 if self._settings.samples < 2 else (2 if self._gaps else 1)

    def _mean(self, data: GappedData, tick: Callable[[str], None]) -> tuple[Array, Array]:
        """(c, v): coefficients (k, y, x), and the completed measurement that they came from."""
        found = data.start()
        measured = found
        last = self._settings.sweeps - 1 if self._gaps else 0
        for sweep in range(last + 1):
            level = 4.0 ** (1 - sweep / last) if last else 1.0
            measured = data.complete(found)
            found = self._shrunk(measured) if sweep == 0 else found.copy()
            for i in range(self._count):
                turns = self._settings.orientations if sweep == last else 1
                found[i] = self._denoised(i, measured[i], level, self._context(i, found), turns)
                tick("posterior mean")
            found[self._count :] = self._shrunk(measured)[self._count :]
            if sweep < last:
                found = data.join(found, level)
        if self._settings.window and self._noisy:
            found = refined(found, measured, self._settings.window, self._settings.alike)
            tick("posterior mean")
        return found, measured

    def _shrunk(self, measured: Array) -> Array:
        power = self._components.power.astype(np.float32)[:, None, None]
        return np.asarray(measured * (power / (power + 1)), np.float32)

    def _scale(self, i: int) -> float:
        """Standard deviation of a coefficient's signal, in units of the noise."""
        return float(np.sqrt(self._components.power[i]))

    def _context(self, i: int, found: Array) -> Tensor | None:
        """(1, guides, y, x) for component i: the strongest before it, 0 where there is none."""
        if not self._guides:
            return None
        guides = np.zeros((1, self._guides, *found.shape[1:]), np.float32)
        for k in range(min(i, self._guides)):
            guides[0, k] = found[k] / self._scale(k)
        return to_device(guides)

    def _denoised(
        self, i: int, measured: Array, tau: float, context: Tensor | None, turns: int
    ) -> Array:
        """D(v) at tau times the level of the noise, the mean over orientations."""
        scale = self._scale(i)
        level = tau / scale
        if 1 / scale < _QUIETEST:
            return measured
        x = to_device(measured / scale)[None, None]
        total = torch.zeros_like(x)
        for turn in range(turns):
            cond = None if context is None else turned(context, turn)
            total += turned_back(self._denoiser(turned(x, turn), level, None, cond), turn, x.shape)
        return to_numpy(total[0, 0] * (scale / turns))

    def _spread(
        self,
        data: GappedData,
        found: Array,
        measured: Array,
        seed: int,
        origin: tuple[int, int],
        tick: Callable[[str], None],
    ) -> Array:
        """(k, y, x) variances of the coefficients' samples."""
        power = self._components.power.astype(np.float32)
        spread = np.broadcast_to((power / (power + 1))[:, None, None], found.shape).copy()
        samples, steps = self._settings.samples, self._settings.steps
        contexts = [self._context(i, found) for i in range(self._count)]
        drawn = np.broadcast_to(found, (samples, *found.shape)).copy()
        for round_ in range(self._draws):
            states = [measured] * samples
            if self._gaps:
                states = [data.draw(drawn[s], seed, s, round_) for s in range(samples)]
            for i in range(self._count):
                scale = self._scale(i)
                if 1 / scale >= _QUIETEST:
                    start = to_device(np.stack([s[i] for s in states]) / scale)[:, None]
                    numbers = [(round_ * 10_000 + i) * samples + s for s in range(samples)]
                    streams = PlaneStreams(seed, numbers, origin, antithetic=samples % 2 == 0)
                    chain = self._chain(start, 1 / scale, steps, streams, contexts[i])
                    drawn[:, i] = to_numpy(chain[:, 0]) * scale
                else:
                    drawn[:, i] = np.stack([s[i] for s in states])
                tick("spread")
        for i in range(self._count if self._draws else 0):
            if 1 / self._scale(i) < _QUIETEST:
                continue
            # The mean of antithetic pairs is nearly the posterior's: no degree of freedom is lost.
            variance = drawn[:, i].var(axis=0, ddof=samples % 2)
            # The variance of a few samples is itself uncertain, and varies slowly in space.
            variance = gaussian_filter(variance, _width(samples))
            spread[i] = variance
        return spread

    def _chain(
        self,
        start: Tensor,
        level: float,
        steps: int,
        streams: PlaneStreams,
        context: Tensor | None,
    ) -> Tensor:
        """Samples of x0 given the state `start` (K, 1, y, x) at a noise level."""
        process = self._denoiser.process
        grid = karras(process, steps, level, max(_END * level, process.t_min), rho=3)
        each = max(1, _BATCH // start[0].numel())
        parts = []
        for first in range(0, len(start), each):
            some = start[first : first + each]
            mine = PlaneStreams(
                streams.seed,
                streams.items[first : first + each],
                streams.origin,
                antithetic=streams.antithetic,
            )
            cond = None if context is None else context.expand(len(some), -1, -1, -1)
            step = self._choice.step(lambda: DPMSolver2M(sde=True))
            parts.append(sample(self._denoiser, some, grid, step, generator=mine, cond=cond))
        return torch.cat(parts)
