"""MRI reconstruction by posterior sampling with a diffusion prior."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

import sciddm
from sciddm import zoo
from sciddm.acceleration import follows_plans
from sciddm.data_adapters.mri import open_kspace
from sciddm.denoiser import NetworkDenoiser
from sciddm.device import placed, to_numpy
from sciddm.errors import ModelError
from sciddm.ledger import tally
from sciddm.method_choice import LINEAR, MethodChoice
from sciddm.physics.fourier import resized
from sciddm.physics.mri.encoding import EncodedSlice
from sciddm.pipelines.engine.intervals import FIELD
from sciddm.pipelines.engine.pipeline import Pipeline, provenance_of
from sciddm.pipelines.engine.quality import Quality
from sciddm.pipelines.mri.empty_slices import find_empty, put_back
from sciddm.pipelines.mri.error_fields import error_field
from sciddm.pipelines.mri.judgement import (
    consistency_of,
    judgement,
    noise_remark,
    overstated_remark,
    vortex_remark,
)
from sciddm.pipelines.mri.kept_out import (
    calibrated,
    predicted,
    scan_widening,
    slices_to_check,
)
from sciddm.pipelines.mri.noise_maps import noise_maps
from sciddm.pipelines.mri.preparation import prepared, with_maps
from sciddm.pipelines.mri.retrospective import Undersampling
from sciddm.pipelines.mri.sampling import Sampling, sampling_of
from sciddm.pipelines.mri.settings import QUALITIES, Settings, settings_for
from sciddm.pipelines.mri.slices import reconstruct_slice
from sciddm.pipelines.mri.step_motion import UNCHECKED, Step, step_check, step_motion, step_remark
from sciddm.pipelines.mri.wrapped import overlap_remark, separated
from sciddm.posterior import Posterior
from sciddm.progress import Progress
from sciddm.uncertainty.pooled_std import pooled_std
from sciddm.uncertainty.prediction import Prediction
from sciddm.uncertainty.shift_score import ShiftScore
from sciddm.uncertainty.std_factor import spread_at
from sciddm.uncertainty.texture import texture
from sciddm.uncertainty.verdict import Finding

__all__ = ["QUALITIES", "MRIReconstruction", "Quality", "Settings"]

_IMAGES = ("reconstruction", "std", "zero_filled")
_UNCALIBRATED = "The model's card has no calibration: nobody compared its intervals with the truth."


@dataclass(frozen=True)
class _Extras:
    """What a result holds beside the image: see ``MRIReconstruction.__call__``."""

    samples: bool = False
    phase: bool = False
    noise_map: bool = False


@dataclass(frozen=True)
class _Options:
    """What decides the images beside the scan."""

    quality: Quality
    settings: Settings
    seed: int
    noise_std: float | None
    choice: MethodChoice


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
                acceleration, which take the place of the settings' own; see ``spread``. With
                "pooling_pixels" the standard deviation that they are of is pooled; see
                ``uncertainty.pooled_std``.
            shift: the card's entry, from which results get a score of distribution shift.

        Raises:
            ModelError: the prior is of real images, or a factor is not a number above 0.
        """
        if not denoiser.complex_data:
            raise ModelError(
                "an MRI prior is a model of complex images, of two channels (real and imaginary "
                "part): this one is of real images, such as magnitudes, which have no phase"
            )
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
        if follows_plans():
            chosen = self.denoiser.plan.apply(chosen, quality)
        known = self.calibration.get(quality, {})
        if "spread" not in known:
            return chosen
        pooling = float(known.get("pooling_pixels", 0.0))
        return replace(chosen, spread=spread_at(known["spread"], acceleration), pooling=pooling)

    def __call__(
        self,
        data: xr.Dataset | str | Path,
        /,
        *,
        quality: Quality = "balanced",
        samples: int | None = None,
        seed: int = 0,
        maps: xr.DataArray | np.ndarray | str | Path | None = None,
        noise_std: float | None = None,
        coils: int | None = None,
        undersample: float | None = None,
        mask: str = "random",
        acs: int = 16,
        axis: str | None = None,
        keep_samples: bool = False,
        output_phase: bool = False,
        output_noise_map: bool = False,
        sampler: str | None = None,
        guidance: str | None = None,
        steps: int | None = None,
        progress: Progress | None = None,
    ) -> xr.Dataset:
        """Reconstructs every slice.

        Args:
            data: k-space in the form of ``data_adapters.mri`` or a file that holds it; unsampled
                entries are 0.
            quality: "fast", "balanced" or "best"; see ``QUALITIES``.
            samples: number of posterior samples, at least 2, in place of the quality's.
            seed: of all random draws. The i-th slice that is not empty gets the same noise whatever
                else is there.
            maps: coil sensitivity maps (slice, coil, y, x) or (coil, y, x), or their file, in place
                of the data set's own or of ESPIRiT's.
            noise_std: sqrt(E|n|^2) of each channel's complex noise in the units of k-space, in
                place of an estimate.
            coils: number of virtual coils to compress to; 0 for none; see ``compression``.
            undersample: acceleration factor: undersamples a full scan, for comparison.
            mask: kind of the mask for that; see ``masks.make_mask``.
            acs: calibration lines of that mask.
            axis: undersampled axis, "ky" or "kx"; the scan's phase encoding if not given.
            keep_samples: keep the complex samples.
            output_phase: keep their complex mean as ``complex_image``.
            output_noise_map: give ``noise_map``, the standard deviation of the noise in the
                regularised SENSE image, and its ``g_factor``; see ``physics.mri.noise_map``.
            sampler: a solver of ``sciddm.methods`` in place of ancestral steps.
            guidance: a posterior sampler of ``sciddm.methods`` in place of the quality's.
            steps: noise levels after the first, in place of the quality's.
            progress: called after every step.

        Returns:
            reconstruction, std, zero_filled, residual (slice, y, x and slice, ky, kx), the
            reference where the data have one (of its own matrix), coordinates in mm where the voxel
            size is known, and attributes; see ``Pipeline``.

        Raises:
            InputError: unusable data or options.
        """
        choice = MethodChoice(sampler, guidance, steps)
        choice.check(
            () if self.denoiser.sees_estimate else LINEAR,
            "this model is shown estimates of the image, which is its guidance: leave it out",
        )
        scan = open_kspace(data) if isinstance(data, str | Path) else data
        request = None if undersample is None else Undersampling(undersample, mask, acs, axis, seed)
        identity = scan.encoding.get("dicom")
        scan = prepared(scan, request, maps, coils, noise_std)
        empty = find_empty(scan, noise_std)
        numbers = np.flatnonzero(~empty)
        extras = _Extras(keep_samples, output_phase, output_noise_map)
        if len(numbers):
            part = scan.isel(slice=numbers) if empty.any() else scan
            settings = self.settings(quality, samples, sampling_of(part).acceleration)
            settings = settings if steps is None else replace(settings, steps=steps)
            options = _Options(quality, settings, seed, noise_std, choice)
            result = self._reconstructed(part, options, extras, progress)
        else:
            result = _nothing(scan, self.settings(quality, samples), extras, noise_std)
            result = result.assign_attrs(self.provenance, quality=quality, seed=seed)
        if empty.any():
            result = put_back(result, scan, empty)
        result.attrs = {
            **scan.attrs,
            **result.attrs,
            "coils": scan.sizes["coil"],
            FIELD: error_field(
                result.attrs["acceleration"],
                model=" and ".join(filter(None, (self.provenance["model"], choice.words))),
            ).attribute(),
            "sciddm_version": sciddm.__version__,
        }
        result = _placed(result, scan)
        if identity:  # not among the attributes, which all outputs show
            result.encoding["dicom"] = identity
        return result

    def _reconstructed(
        self,
        scan: xr.Dataset,
        options: _Options,
        extras: _Extras,
        progress: Progress | None,
    ) -> xr.Dataset:
        """The slices that hold an object."""
        placed(self.denoiser)
        source = sampling_of(scan)
        settings, seed, choice = options.settings, options.seed, options.choice
        given = _maps(scan)
        given = None if given is None else given[:, source.alive]
        covariance = source.covariance(options.noise_std)
        level = float(covariance.diagonal().real.mean().sqrt())
        noise = noise_remark(level, source.own_noise_levels())
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
                encoded, first, _ = separated(encoded, settings.start)
                posterior = reconstruct_slice(
                    self.denoiser, encoded, settings, seed, i, callback, first, choice
                )
                drawn.append((encoded, posterior))
            predictions = self._predicted(drawn, source, settings, seed)
        widening = scan_widening(predictions)
        result = _images(drawn, source, settings, widening, extras)
        if "reference" in scan:
            result = result.assign(reference=scan["reference"])
        return result.assign_attrs(
            **self.provenance,
            **settings.attributes(),
            quality=options.quality,
            spread_from="model card" if options.quality in self.calibration else "quality",
            **{"sampler": "ancestral steps on a Karras grid (rho 4)"} | choice.stamp(),
            seed=seed,
            nfe=cost.nfe / (slices * settings.samples),
            nvjp=cost.nvjp / (slices * settings.samples),
            noperator=cost.noperator // slices,
            noise_std=level,
            acceleration=round(source.acceleration, 3),
            std_widening=round(widening, 3),
            **_prediction_attributes(predictions),
            **self._judged(drawn, source, noise, given, predictions, options),
        )

    def _judged(
        self,
        drawn: list[tuple[EncodedSlice, Posterior]],
        source: Sampling,
        noise: str | None,
        given: Tensor | None,
        predictions: list[Prediction],
        options: _Options,
    ) -> dict[str, Any]:
        """Attributes on whether to trust the images: the verdict, its figures, warnings."""
        consistencies = [
            consistency_of(encoded.measurement, posterior, source.measured(i))
            for i, (encoded, posterior) in enumerate(drawn)
        ]
        unknowns = [int((encoded.frame.maps.abs().sum(0) > 0).sum()) for encoded, _ in drawn]
        steps = self._steps(drawn, source)
        reasons = [noise or overstated_remark(consistencies, unknowns), step_remark(steps)]
        scores = (
            [self.shift(self.denoiser, posterior.mean) for _, posterior in drawn]
            if self.shift is not None
            else []
        )
        images = [encoded.zero_filled.cpu() for encoded, _ in drawn]
        remark = None if given is None else vortex_remark(given, images)
        remarks = [] if remark is None else [remark]
        remarks += source.remarks
        overlap = overlap_remark([encoded for encoded, _ in drawn])
        remarks += [] if overlap is None else [overlap]
        finding = calibrated(predictions, source.acceleration)
        if finding.answer == "yes" and not self.calibration:
            finding = Finding(sentence=_UNCALIBRATED)
        finding = options.choice.calibrated(finding)
        sentences = [reason for reason in reasons if reason is not None]
        limit = float(self._shift_entry.get("texture_limit", 0.0))
        textures = [texture(to_numpy(p.mean[0, 0].abs())) for _, p in drawn] if limit else []
        doubt = source.noise_doubt() if options.noise_std is None else None
        attrs = judgement(
            consistencies,
            sentences,
            finding,
            self.shift,
            scores,
            remarks,
            textures,
            limit,
            doubt,
            None if steps else UNCHECKED,
        )
        return {**attrs, "motion_check": step_check(steps)}

    @staticmethod
    def _steps(drawn: list[tuple[EncodedSlice, Posterior]], source: Sampling) -> list[Step]:
        """Movements in mid-scan that fit some slices best; none of those that do not tell."""
        steps = []
        for i in slices_to_check(len(drawn)):
            lines = source.lines(i)
            if lines is not None:
                steps.append(step_motion(drawn[i][0], *lines, source.acceleration, source.turns(i)))
        return [step for step in steps if step is not None]

    def _predicted(
        self,
        drawn: list[tuple[EncodedSlice, Posterior]],
        source: Sampling,
        settings: Settings,
        seed: int,
    ) -> list[Prediction]:
        """What a first pass of some slices predicts of lines that were kept out of it."""
        found = []
        for i in slices_to_check(len(drawn)):
            lines = source.lines(i)
            if lines is None:
                continue
            encoded = drawn[i][0]
            one = predicted(self.denoiser, encoded, *lines, settings, source.acceleration, seed, i)
            if one is not None:
                found.append(one)
        return found


def _maps(scan: xr.Dataset) -> Tensor | None:
    """The scan's coil sensitivities (slice, coil, y, x), if it has them."""
    if "maps" not in scan:
        return None
    maps = with_maps(scan, scan["maps"].transpose("slice", "coil", "y", "x"))["maps"].values
    return torch.from_numpy(np.array(maps, dtype=np.complex64))


def _prediction_attributes(predictions: list[Prediction]) -> dict[str, Any]:
    """What lines that were kept out say: the median slice's figures."""
    if not predictions:
        return {}
    return {
        "prediction_ratio": round(float(np.median([p.ratio for p in predictions])), 3),
        "prediction_skill": round(float(np.median([p.skill for p in predictions])), 3),
        "prediction_samples": sum(p.count for p in predictions),
        "prediction_log_score": round(sum(p.log_score for p in predictions), 3),
    }


def _nothing(
    scan: xr.Dataset,
    settings: Settings,
    extras: _Extras,
    noise_std: float | None,
) -> xr.Dataset:
    """The result of no slice at all, for scans that hold nothing but noise."""
    source = sampling_of(scan)
    level = float(source.covariance(noise_std).diagonal().real.mean().sqrt())
    dims, size = ("slice", "y", "x"), (0, *source.size)
    images = {name: (dims, np.zeros(size, np.float32)) for name in _IMAGES}
    result = xr.Dataset(images).assign(
        residual=(("slice", *source.dims), np.zeros((0, *source.kspace.shape[-2:]), np.float32))
    )
    if extras.phase:
        result = result.assign(complex_image=(dims, np.zeros(size, np.complex64)))
    if extras.noise_map:
        for name in ("noise_map", "g_factor"):
            result[name] = (dims, np.zeros(size, np.float32))
    if extras.samples:
        none = np.zeros((settings.samples, *size), np.complex64)
        result = result.assign(samples=(("sample", *dims), none))
    if "reference" in scan:
        result = result.assign(reference=scan["reference"][:0])
    return result.assign_attrs(
        **settings.attributes(),
        noise_std=level,
        acceleration=round(source.acceleration, 3),
        **judgement([], [], Finding(), None, []),
    )


def _placed(result: xr.Dataset, scan: xr.Dataset) -> xr.Dataset:
    """With coordinates in mm about the middle of the image, where the voxel size is known."""
    size = [float(v) for v in scan.attrs.get("voxel_size_mm", [math.nan] * 3)]
    frames = "slices_per_frame" in scan.attrs
    for name, step in zip(("slice", "y", "x"), size, strict=True):
        if math.isfinite(step) and not (name == "slice" and frames):
            n = result.sizes[name]
            place = (np.arange(n) - n // 2) * step
            result = result.assign_coords({name: (name, place, {"units": "mm"})})
    if frames:
        named = {k: v for k, v in scan.coords.items() if v.dims == ("slice",)}
        result = result.assign_coords(named)
    for name in _IMAGES:
        result[name].attrs["units"] = "of the scan"
    return result


def _images(
    drawn: list[tuple[EncodedSlice, Posterior]],
    source: Sampling,
    settings: Settings,
    widening: float,
    extras: _Extras,
) -> xr.Dataset:
    """All slices' images (slice, y, x) in the scan's units."""
    image, spread, zero_filled, residual, samples, means = [], [], [], [], [], []
    for i, (encoded, posterior) in enumerate(drawn):
        draws = posterior.map(encoded.frame.to_scan)
        image.append(draws.mean[0].abs())
        pooled = pooled_std(to_numpy(draws.map(torch.abs).std[0]), settings.pooling)
        spread.append(widening * settings.spread * torch.from_numpy(pooled))
        zero_filled.append(encoded.zero_filled.abs())
        m = encoded.measurement
        left = m.residual(posterior.mean[0]).abs().square().mean(0).sqrt() / m.sigma
        seen = source.measured(i)
        left = resized(left, (seen.shape[-2], seen.shape[-1]))
        residual.append(torch.where(seen, left, torch.nan))
        samples.append(draws.samples[:, 0])
        means.append(draws.mean[0])
    dims = ("slice", "y", "x")
    variables: dict[str, tuple[tuple[str, ...], NDArray[Any]]] = {
        "reconstruction": (dims, to_numpy(torch.stack(image))),
        "std": (dims, to_numpy(torch.stack(spread))),
        "zero_filled": (dims, to_numpy(torch.stack(zero_filled))),
        "residual": (("slice", *source.dims), to_numpy(torch.stack(residual))),
    }
    if extras.phase:
        variables["complex_image"] = (dims, to_numpy(torch.stack(means)))
    if extras.noise_map:
        cells = [source.measured(i) for i in range(len(drawn))]
        on_grid = source.dims == ("ky", "kx")
        each = [c.numel() / int(c.sum()) if on_grid else source.acceleration for c in cells]
        found = [noise_maps(encoded, r) for (encoded, _), r in zip(drawn, each, strict=True)]
        for k, name in enumerate(("noise_map", "g_factor")):
            variables[name] = (dims, np.stack([f[k] for f in found]))
    if extras.samples:
        variables["samples"] = (("sample", *dims), to_numpy(torch.stack(samples, dim=1)))
    return xr.Dataset(variables)
