"""Diffusion in the codes of an autoencoder of spectral-spatial patches: 3D latent diffusion.

After HSI-Diffusion, the FINCH mission's (arXiv 2406.10724): an autoencoder of cubes, a diffusion of
its codes trained on general cubes, fine-tuned on simulated scenes of the satellite; the first lines
of the recipes hsi-finch* give the stages. Latent diffusion: Rombach et al., 2022.

Bands are not resampled. Groups of 8 neighbouring ones have codes (`networks.PatchAutoencoder`), the
denoiser is told where each group lies in the spectrum (`band_positions`) and takes any number of
them. Where wavelengths are missing it knows the bands by their order alone.

The code is an orthonormal projection A of patches: white noise of the cube is white noise of the
same level in the codes. So the noisy codes A y are the state of the diffusion at t = sigma exactly,
which is where its reverse chain starts (as SDEdit; Meng et al., 2022), and its denoiser's mean
there is the posterior mean of the codes. With the decoder D and the denoiser M,

    x^ = D(M(A y, sigma))

averaged over orientations. Where the bands' noise differs or entries are missing the data have
precisions w_b(p) = 1 / max(sigma_b, l)^2, or 0, with a level l that a quarter of the bands are at
or below, and what lacks to precision 1 / l^2 is taken from the estimate itself (expectation
maximisation, as in `subspace`; D's Jacobian is A^T but for the predicted detail):

    y' = x + l^2 w (y - x),   x <- D(M(A y', l))

in a number of sweeps that is fixed for the scene, from level 4 l down to l; between them the codes
are joined with the data as DiffPIR does (Zhu et al., 2023), z <- argmin |y - D z|_w^2 + |z - M|^2 /
r^2. Samples start from y' with noise of what it lacks (data augmentation; Tanner and Wong, 1987).

The scene's own subspace then takes out what its spectra cannot be, patches that are alike tell more
of each other in it (`similar_patches`), and what the prior cannot represent is found in the
residual and added back (`fusion`), so that cubes unlike those of its training keep what the data
show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sciddm import zoo
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
from sciddm.classical.spectral.similar_patches import refined, refinement_context
from sciddm.device import placed, to_device, to_numpy
from sciddm.errors import ModelError
from sciddm.ledger import tally
from sciddm.networks import PatchAutoencoder
from sciddm.physics.spectral.band_positions import band_positions
from sciddm.pipelines.hsi.methods.fusion import REACH, fused, within
from sciddm.pipelines.hsi.methods.gaps import GappedData
from sciddm.pipelines.hsi.methods.orientations import turned, turned_back
from sciddm.priors.autoencoder import LatentDiffusion
from sciddm.progress import Progress
from sciddm.random.plane_streams import PlaneStreams
from sciddm.sampling import DPMSolver2M, karras, sample
from sciddm.uncertainty.verdict import Finding

__all__ = ["SETTINGS", "Finch", "Settings"]

Array = NDArray[np.float32]
_QUIET = 0.25  # share of the bands at or below the level
_END = 0.15  # of the level, where chains end
_FIRST = 4.0  # times the level, of the first sweep
_MULTIPLE = 32  # of pixels, that every orientation's patches lie on


@dataclass(frozen=True)
class Settings:
    """What a quality means.

    Attributes:
        orientations: over which the mean is taken, 1 to 8; see `subspace`.
        samples: K, for the spread.
        steps: of each sample's chain.
        sweeps: where noise differs between bands or entries are missing.
        window, alike: of `similar_patches`, as in `subspace`; a window of 0 leaves it out.
        spread: factor on the samples' standard deviation.
    """

    orientations: int
    samples: int
    steps: int
    sweeps: int
    window: int = 0
    alike: int = 24
    spread: float = 1.0


#: FINCH's range with half a band to each side, and the share of bands in it that is enough.
_TRAINED_NM, _WITHIN = (890.0, 1710.0), 0.9
#: As in `subspace`; 81 % without it.
_CALIBRATED = 1.42
SETTINGS = {
    "fast": Settings(orientations=1, samples=2, steps=3, sweeps=2, spread=_CALIBRATED),
    "balanced": Settings(
        orientations=4, samples=4, steps=4, sweeps=3, window=12, spread=_CALIBRATED
    ),
    "best": Settings(orientations=8, samples=8, steps=5, sweeps=5, window=16, spread=_CALIBRATED),
}


class Finch(Method):
    """Posterior mean of the codes, decoded and fused with the data; the spread of samples.

    Args:
        model: name, folder or hub id of a latent diffusion.
        quality: key of SETTINGS.
        prior: the model itself, in place of a name. Its autoencoder's network is a
            `PatchAutoencoder`.
        settings: in place of those of the quality.

    Raises:
        ModelError: the model is of another kind.
    """

    name = "finch"
    has_std = True

    def __init__(
        self,
        model: str | Path = "hsi-finch",
        quality: str = "balanced",
        *,
        prior: LatentDiffusion | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.settings = SETTINGS[quality] if settings is None else settings
        self.provenance: dict[str, str] = {"model": "unnamed", "weights_sha256": ""}
        if prior is None:
            loaded = zoo.from_pretrained(model)
            if not isinstance(loaded.model, LatentDiffusion):
                raise ModelError(f"{model}: the method finch needs a latent diffusion, not this")
            prior = loaded.model
            self.provenance = {"model": loaded.name, "weights_sha256": loaded.weights_sha256}
        if not isinstance(prior.autoencoder.network, PatchAutoencoder):
            raise ModelError(f"{model}: the method finch needs an autoencoder of patches")
        self.prior = prior.eval()

    def fit(self, statistics: SceneStatistics) -> Fitted:
        """See `Method`."""
        return FittedFinch(self, statistics)


class FittedFinch(Fitted):
    """The prior, and a scene's noise, groups of bands and components."""

    def __init__(self, method: Finch, statistics: SceneStatistics) -> None:
        self._prior, self._settings = method.prior, method.settings
        network = method.prior.autoencoder.network
        assert isinstance(network, PatchAutoencoder)
        self._network = network
        self._components = find_components(statistics)
        self._within = within(self._components).astype(np.float32)
        self._noisy = bool(statistics.sigma.max() > 0)
        wavelength = statistics.wavelength_nm
        bands = len(statistics.sigma)
        self._order = np.arange(bands) if wavelength is None else np.argsort(wavelength)
        ordered = None if wavelength is None else wavelength[self._order]
        where = band_positions(ordered, bands, network.planes)
        self._wavelength = wavelength
        self._positions = torch.from_numpy(where)[None, :, :, None, None]
        sigma = statistics.noise
        process = method.prior.process
        floor = float(process.sigma(process.t_min))
        # Quieter bands than this say more by themselves than the prior could: `fusion`.
        self._level = max(float(np.quantile(sigma, _QUIET)), floor)
        self._share = np.minimum(1.0, (self._level / sigma) ** 2)[self._order].astype(np.float32)
        # One number for the scene: tiles must not differ in it.
        self._even = statistics.valid >= 1 and bool((self._share > 0.99).all())
        latent = getattr(method.prior.denoiser.network, "context", 0)
        reach = network.context + network.pixels * (latent + 1)
        if self._settings.window:
            reach += refinement_context(self._settings.window)
        self.halo: int | None = reach + REACH
        self.attributes: Attributes = {
            "method": Finch.name,
            **method.provenance,
            **asdict(self._settings),
            "rank": len(self._components.power),
            "level": self._level * statistics.scale,
        }

    def familiarity(self) -> Finding:
        """See `Fitted`: the share of bands within the wavelengths of FINCH."""
        if self._wavelength is None or not np.isfinite(self._wavelength).all():
            return Finding(sentence="The file states no wavelengths to compare with the training.")
        low, high = _TRAINED_NM
        share = float(((self._wavelength >= low) & (self._wavelength <= high)).mean())
        said = (
            f"{share:.0%} of the bands lie within {low:g} to {high:g} nm, on which the model was "
            "fine-tuned"
        )
        if share >= _WITHIN:
            return Finding("yes", share, _WITHIN, f"{said}.")
        return Finding("no", share, _WITHIN, f"{said}: take subspace for this sensor.")

    def apply(self, tile: Tile, seed: int = 0, progress: Progress | None = None) -> Estimate:
        """See `Fitted`."""
        if not self._noisy and tile.valid.all():
            values = tile.inner(tile.values)
            return Estimate(values, np.zeros_like(values), {"nfe": 0, "nvjp": 0, "chi2": 0.0})
        known = self._components
        placed(self._prior)
        data = self._data(tile)
        with torch.inference_mode(), tally() as cost:
            tick = _ticker(progress, self._passes)
            found = self._mean(data, tick)
            spread = self._spread(data, found, tile, seed, tick)
        mean = known.mean.astype(np.float32)[:, None, None]
        estimate = mean + np.tensordot(self._within, self._cut(found, tile) - mean, 1)
        if self._settings.window:
            estimate = self._refined(estimate, tile)
        values, variance = fused(tile, estimate, known)
        variance = variance + spread
        noise = known.noise.astype(np.float32)[:, None, None]
        # With a datum nobody knows less than the datum says.
        most = np.where(tile.valid, noise**2, np.float32(np.inf))
        values = tile.inner(values)
        return Estimate(
            values,
            tile.inner(np.sqrt(np.minimum(variance, most))),
            {
                "nfe": round(cost.nfe / max(1, self._settings.samples)),
                "nvjp": 0,
                "chi2": chi2(tile, values, known.noise),
            },
        )

    def _refined(self, estimate: Array, tile: Tile) -> Array:
        """The estimate as the pilot of `similar_patches`, in the scene's components."""
        known = self._components
        noise = known.noise.astype(np.float32)[:, None, None]
        mean = known.mean.astype(np.float32)[:, None, None]
        basis = known.basis.astype(np.float32)
        pilot = np.tensordot(basis.T, (estimate - mean) / noise, 1)
        measured = GappedData(tile, known).complete(pilot)
        found = refined(pilot, measured, self._settings.window, self._settings.alike)
        return np.asarray(estimate + noise * np.tensordot(basis, found - pilot, 1), np.float32)

    @property
    def _sweeps(self) -> int:
        return 1 if self._even else self._settings.sweeps

    @property
    def _draws(self) -> int:
        return 0 if self._settings.samples < 2 else (1 if self._even else 2)

    @property
    def _passes(self) -> int:
        return self._sweeps - 1 + self._settings.orientations + self._draws * self._settings.samples

    def _data(self, tile: Tile) -> _Data:
        """The tile in the network's form: bands by wavelength, padded to whole patches."""
        known, order = self._components, self._order
        noise = known.noise.astype(np.float32)[:, None, None]
        mean = known.mean.astype(np.float32)[:, None, None]
        values = tile.values
        if not tile.valid.all():
            basis = known.basis.astype(np.float32)
            guess = np.tensordot(basis, GappedData(tile, known).start(), 1)
            values = np.where(tile.valid, values, guess * noise + mean)
        share = tile.valid[order] * self._share[:, None, None]
        return _Data(self._padded(values[order], "edge"), self._padded(share, "constant"))

    def _padded(self, values: NDArray[np.float32], mode: str) -> Tensor:
        """(1, 1, n planes, y, x): whole patches, and squares that can be turned."""
        sides = (self._network.planes, _MULTIPLE, _MULTIPLE)
        margin = [(0, -n % m) for n, m in zip(values.shape, sides, strict=True)]
        padded = np.pad(values.astype(np.float32), margin, mode=mode)  # type: ignore[call-overload]
        return to_device(padded)[None, None]

    def _cut(self, cube: Tensor, tile: Tile) -> Array:
        """Of the network's form what the tile has, bands as in the file."""
        bands, height, width = tile.values.shape
        return to_numpy(cube[0, 0, :bands, :height, :width])[np.argsort(self._order)]

    def _mean(self, data: _Data, tick: Callable[[str], None]) -> Tensor:
        """Posterior mean (1, 1, n, y, x)."""
        found = data.values
        last = self._sweeps - 1
        for sweep in range(last):
            level = self._level * _FIRST ** (1 - sweep / last)
            code = self._denoised(self._prior.autoencoder.encode(data.completed(found)), level)
            found = self._prior.autoencoder.decode(self._joined(data, code, level))
            tick("posterior mean")
        completed = data.completed(found)
        total = torch.zeros_like(found)
        turns = self._settings.orientations
        for turn in range(turns):
            code = self._prior.autoencoder.encode(turned(completed, turn))
            mean = self._prior.autoencoder.decode(self._denoised(code, self._level))
            total += turned_back(mean, turn, completed.shape)
            tick("posterior mean")
        return total / turns

    def _denoised(self, code: Tensor, level: float) -> Tensor:
        out: Tensor = self._prior.denoiser(code, level, None, self._positions.to(code.device))
        return out

    def _joined(self, data: _Data, code: Tensor, level: float) -> Tensor:
        """argmin |y - D z|_w^2 + |z - code|^2 / r^2, by one step of Gauss and Newton from code."""
        network, width = self._network, self._prior.denoiser.data_std
        r2 = (level * width) ** 2 / (level**2 + width**2)
        left = data.share * (data.values - self._prior.autoencoder.decode(code))
        basis = network.basis()
        weight = network.patches(data.share).movedim(1, -1)
        step = (network.patches(left).movedim(1, -1) @ basis.T).flatten(0, -2)
        flat = weight.flatten(0, -2)
        moved = torch.empty_like(step)
        ridge = torch.eye(len(basis), device=basis.device) * (self._level**2 / r2)
        for start in range(0, len(flat), _SYSTEMS):
            some = slice(start, start + _SYSTEMS)
            matrix = torch.einsum("ck,nk,dk->ncd", basis, flat[some], basis) + ridge
            moved[some] = torch.linalg.solve(matrix, step[some])
        out: Tensor = code + moved.unflatten(0, weight.shape[:-1]).movedim(-1, 1)
        return out

    def _spread(
        self,
        data: _Data,
        found: Tensor,
        tile: Tile,
        seed: int,
        tick: Callable[[str], None],
    ) -> Array:
        """Posterior variance (band, y, x) of what the decoder can give."""
        samples, origin = self._settings.samples, tile.origin
        total = np.zeros_like(tile.values)
        if not self._draws:
            return total
        process = self._prior.process
        end = max(_END * self._level, float(process.sigma(process.t_min)))
        grid = karras(process, self._settings.steps, self._level, end, rho=3)
        step = DPMSolver2M(sde=True)
        pair = 2 - samples % 2  # antithetic pairs: half of their difference is what they differ by
        for first in range(samples):
            drawn = found
            for round_ in range(self._draws):
                streams = PlaneStreams(seed, [first], origin, antithetic=pair == 2)
                noise = streams.randn(drawn[:, 0], 2 * round_)[:, None]
                state = data.completed(drawn) + self._level * data.lack.sqrt() * noise
                code = self._prior.autoencoder.encode(state)
                at = (origin[0] // self._network.pixels, origin[1] // self._network.pixels)
                mine = PlaneStreams(
                    seed, [samples + first + 1_000 * round_ * 2], at, antithetic=pair == 2
                )
                if end < self._level:
                    where = self._positions.to(code.device)
                    code = sample(
                        self._prior.denoiser, code, grid, step, generator=mine, cond=where
                    )
                drawn = self._prior.autoencoder.decode(code)
                tick("spread")
            total += np.tensordot(self._within, self._cut(drawn - found, tile), 1) ** 2
        return total * (self._settings.spread**2 / samples)


@dataclass(frozen=True)
class _Data:
    """A tile in the network's form, (1, 1, n, y, x).

    Attributes:
        values: y; a first guess where there is none.
        share: l^2 w, the data's precision in units of that of the level.
    """

    values: Tensor
    share: Tensor

    @property
    def lack(self) -> Tensor:
        """What the data's precision lacks."""
        return 1 - self.share

    def completed(self, x: Tensor) -> Tensor:
        """y' = x + l^2 w (y - x)."""
        return x + self.share * (self.values - x)


_SYSTEMS = 2**14  # that are solved at a time


def _ticker(progress: Progress | None, total: int) -> Callable[[str], None]:
    done = 0

    def tick(what: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(min(done, total), total, what)

    return tick
