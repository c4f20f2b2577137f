"""MRI reconstruction by posterior sampling with a diffusion prior."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

import sciddm
from sciddm import zoo
from sciddm.data_adapters.mri import open_kspace
from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import InputError, ModelError
from sciddm.ledger import tally
from sciddm.physics.fourier import resized
from sciddm.physics.mri.encoding import EncodedSlice
from sciddm.pipelines.engine.pipeline import Pipeline, provenance_of
from sciddm.pipelines.engine.quality import Quality
from sciddm.pipelines.mri.judgement import (
    consistency_of,
    judgement,
    noise_remark,
    vortex_remark,
)
from sciddm.pipelines.mri.sampling import Sampling, sampling_of
from sciddm.pipelines.mri.settings import QUALITIES, Settings, settings_for
from sciddm.pipelines.mri.slices import reconstruct_slice
from sciddm.posterior import Posterior
from sciddm.progress import Progress
from sciddm.uncertainty.shift_score import ShiftScore
from sciddm.uncertainty.std_factor import spread_at
from sciddm.uncertainty.verdict import Finding

__all__ = ["QUALITIES", "MRIReconstruction", "Quality", "Settings"]


class MRIReconstruction(Pipeline):
    """Undersampled k-space, on the grid or along a trajectory, to an image and its uncertainty.

    For every slice: the noise covariance and the coil maps are estimated, the slice is brought to
    the prior's phase and scale (``encoding``), and K samples are drawn from p(image | data) with
    data consistency in every step. The estimate is the magnitude of their mean.
    """

    model_kind = "mri-prior"

    def __init__(
        self,
        denoiser: NetworkDenoiser,
        provenance: dict[str, Any] | None = None,
        calibration: Mapping[str, Any] | None = None,
        shift: Mapping[str, Any] | None = None,
    ) -> None:
        """A pipeline with a prior of complex images.

        Args:
            denoiser: the prior.
            provenance: attributes that name the model; see ``provenance_of``.
            calibration: the card's entry: for a quality {"spread": factor}, or factors by
                acceleration, which take the place of the settings' own; see ``spread``.
            shift: the card's entry, from which results get a score of distribution shift.

        Raises:
            ModelError: the prior is of real images, or a factor is not a number above 0.
        """
        if not denoiser.complex_data:
            raise ModelError("an MRI prior must be a model of complex images")
        self.denoiser = denoiser
        self.provenance = provenance or provenance_of()
        self.calibration = dict(calibration or {})
        self._shift_entry = dict(shift or {})
        self.shift = ShiftScore.from_card(self._shift_entry)
        for quality in QUALITIES:
            spread_at(self.calibration.get(quality, {}).get("spread", 1.0), 4.0)

    @classmethod
    def from_pretrained(cls, source: str | Path = "mri-brain") -> Self:
        model = zoo.from_pretrained(source)
        return cls(model.denoiser, provenance_of(model), model.card.calibration, model.card.shift)

    def save(self, path: str | Path) -> None:
        card = {
            "name": self.provenance["model"],
            "calibration": self.calibration,
            "shift": self._shift_entry,
        }
        zoo.save_model(self.denoiser, path, card=card)

    def settings(
        self, quality: str, samples: int | None = None, acceleration: float = 4.0
    ) -> Settings:
        """What a quality level means with this model: its card's factor, if it has one."""
        chosen = settings_for(self.denoiser, quality, samples)
        known = self.calibration.get(quality, {})
        if "spread" not in known:
            return chosen
        return replace(chosen, spread=spread_at(known["spread"], acceleration))

    def __call__(
        self,
        data: xr.Dataset | str | Path,
        /,
        *,
        quality: Quality = "balanced",
        samples: int | None = None,
        seed: int = 0,
        maps: np.ndarray | None = None,
        noise_std: float | None = None,
        keep_samples: bool = False,
        progress: Progress | None = None,
    ) -> xr.Dataset:
        """Reconstructs every slice.

        Args:
            data: k-space in the form of ``data_adapters.mri`` or a file that holds it; unsampled
                entries are 0. With a trajectory (``data_adapters.mri.scan``) it is taken as it is.
            quality: "fast", "balanced" or "best"; see ``QUALITIES``.
            samples: number of posterior samples, at least 2, in place of the quality's.
            seed: of all noise. Slice i of a volume gets the same noise whatever else is there.
            maps: coil sensitivity maps (slice, coil, y, x) or (coil, y, x), in place of the
                data set's own or of ESPIRiT's.
            noise_std: sqrt(E|n|^2) of each channel's complex noise in the units of k-space, in
                place of an estimate.
            keep_samples: keep the complex samples.
            progress: called after every step.

        Returns:
            reconstruction, std, zero_filled, residual (slice, y, x and slice, ky, kx), the
            reference where the data have one, and attributes; see ``Pipeline``.

        Raises:
            InputError: unusable data or options.
        """
        scan = open_kspace(data) if isinstance(data, str | Path) else data
        source = sampling_of(scan)
        settings = self.settings(quality, samples, source.acceleration)
        given = _maps(scan if maps is None else maps, source.shape_of_maps)
        given = None if given is None else given[:, source.alive]
        covariance = source.covariance(noise_std)
        level = float(covariance.diagonal().real.mean().sqrt())
        slices = source.kspace.shape[0]
        done = 0
        levels = settings.levels

        def tick(label: str) -> Callable[..., None]:
            def callback(*_: Any) -> None:
                nonlocal done
                done += 1
                if progress is not None:
                    progress(done, slices * levels, label)

            return callback

        drawn = []
        with tally() as cost:
            for i in range(slices):
                own = None if given is None else given[i]
                encoded = source.encode(i, covariance, own, settings.iterations, settings.finer)
                callback = tick(f"slice {i + 1} of {slices}")
                posterior = reconstruct_slice(self.denoiser, encoded, settings, seed, i, callback)
                drawn.append((encoded, posterior))
        result = _images(drawn, source, settings.spread, keep_samples)
        if "reference" in scan:
            result = result.assign(reference=scan["reference"])
        carried = {k: v for k, v in scan.attrs.items() if not str(k).startswith("mask_")}
        return result.assign_attrs(
            carried,
            **self.provenance,
            **settings.attributes(),
            quality=quality,
            spread_from="model card" if quality in self.calibration else "quality",
            sampler="ancestral steps on a Karras grid (rho 4)",
            seed=seed,
            nfe=cost.nfe / (slices * settings.samples),
            nvjp=cost.nvjp / (slices * settings.samples),
            noperator=cost.noperator // slices,
            noise_std=level,
            acceleration=round(source.acceleration, 3),
            sciddm_version=sciddm.__version__,
            **self._judged(drawn, source, noise_remark(level, source.own_noise_levels()), given),
        )

    def _judged(
        self,
        drawn: list[tuple[EncodedSlice, Posterior]],
        source: Sampling,
        noise: str | None,
        given: Tensor | None,
    ) -> dict[str, Any]:
        """Attributes on whether to trust the images: the verdict, its figures, warnings."""
        consistencies = [
            consistency_of(encoded.measurement, posterior, source.measured(i))
            for i, (encoded, posterior) in enumerate(drawn)
        ]
        scores = (
            [self.shift(self.denoiser, posterior.mean) for _, posterior in drawn]
            if self.shift is not None
            else []
        )
        images = [encoded.zero_filled for encoded, _ in drawn]
        remark = None if given is None else vortex_remark(given, images)
        remarks = [] if remark is None else [remark]
        return judgement(consistencies, noise, Finding(), self.shift, scores, remarks)


def _maps(source: xr.Dataset | xr.DataArray | np.ndarray, shape: tuple[int, ...]) -> Tensor | None:
    """Given maps as (slice, coil, y, x), or None."""
    if isinstance(source, xr.Dataset):
        if "maps" not in source:
            return None
        source = source["maps"]
    maps = torch.from_numpy(np.array(source, dtype=np.complex64))
    if maps.ndim == 3:
        maps = maps[None]
    if maps.ndim != 4 or maps.shape[1] != shape[1] or maps.shape[-2:] != shape[-2:]:
        raise InputError(
            f"the maps are {tuple(maps.shape)} (slice, coil, y, x) but the data {tuple(shape)}: "
            "give maps of the same coils and matrix"
        )
    return maps.expand(shape)


def _images(
    drawn: list[tuple[EncodedSlice, Posterior]], source: Sampling, widen: float, keep_samples: bool
) -> xr.Dataset:
    """All slices' images (slice, y, x) in the scan's units."""
    image, spread, zero_filled, residual, samples = [], [], [], [], []
    for i, (encoded, posterior) in enumerate(drawn):
        draws = posterior.map(encoded.frame.to_scan)
        image.append(draws.mean[0].abs())
        spread.append(widen * draws.map(torch.abs).std[0])
        zero_filled.append(encoded.zero_filled.abs())
        m = encoded.measurement
        left = m.residual(posterior.mean[0]).abs().square().mean(0).sqrt() / m.sigma
        seen = source.measured(i)
        left = resized(left, (seen.shape[-2], seen.shape[-1]))
        residual.append(torch.where(seen, left, torch.nan))
        samples.append(draws.samples[:, 0])
    dims = ("slice", "y", "x")
    variables: dict[str, tuple[tuple[str, ...], NDArray[Any]]] = {
        "reconstruction": (dims, torch.stack(image).numpy()),
        "std": (dims, torch.stack(spread).numpy()),
        "zero_filled": (dims, torch.stack(zero_filled).numpy()),
        "residual": (("slice", *source.dims), torch.stack(residual).numpy()),
    }
    if keep_samples:
        variables["samples"] = (("sample", *dims), torch.stack(samples, dim=1).numpy())
    return xr.Dataset(variables)
