"""Reconstruction of low-dose and sparse-view CT from projections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from sciddm.data_adapters.ct import read_sinogram
from sciddm.device import placed, to_device, to_numpy
from sciddm.errors import InputError, ModelError
from sciddm.geometry.affine import centred_affine
from sciddm.method_choice import LINEAR, OWN, MethodChoice
from sciddm.physics.fbp import Window
from sciddm.pipelines.ct.methods.base import SinogramMethod, Tick
from sciddm.pipelines.ct.methods.fbp import FilteredBackProjection
from sciddm.pipelines.ct.methods.kept_out import RATIO_LIMIT, SKILL_LIMIT
from sciddm.pipelines.ct.methods.posterior import PosteriorSampling
from sciddm.pipelines.ct.methods.total_variation import WeightedTotalVariation
from sciddm.pipelines.ct.projections import Scan, scan_of, truncation
from sciddm.pipelines.ct.settings import POSTERIOR, TV, Quality, chosen
from sciddm.pipelines.ct.simulate import keep_views, thin_sinogram
from sciddm.pipelines.ct.slice_pipeline import Floats, SlicePipeline, SliceRun
from sciddm.pipelines.engine.regions import Grid
from sciddm.pipelines.engine.summary import warnings_of
from sciddm.posterior import Consistency
from sciddm.progress import Progress
from sciddm.uncertainty.consistency import consistency_attributes, fit_finding
from sciddm.uncertainty.prediction import Prediction, prediction_finding
from sciddm.uncertainty.verdict import Finding, Verdict

if TYPE_CHECKING:
    from sciddm.pipelines.ct.requests import Reconstruct

__all__ = [
    "CTReconstruction",
    "Reconstructed",
    "ReconstructionMethod",
    "ReconstructionRun",
    "reconstruction_grid",
]

ReconstructionMethod = Literal["posterior", "tv", "fbp"]

_SAME_MM = 1e-6
_TRUNCATED = 0.02  # of the views: a few outliers are no object


@dataclass(frozen=True)
class Reconstructed:
    """One slice of a result, all (y, x) in HU.

    Attributes:
        index: 0 for the first slice of the sinogram.
        reconstruction: the estimate.
        std: its posterior standard deviation, or None for methods that have none.
        fbp: filtered back-projection, what the data give without a prior.
        maps: none.
    """

    index: int
    reconstruction: Floats
    std: Floats | None
    fbp: Floats
    maps: dict[str, Floats] = field(default_factory=dict)


class CTReconstruction(SlicePipeline):
    """Projections to an image in HU and its uncertainty.

    ==========  ====================================================  =========  =================
    method      what it is                                            needs      uncertainty
    ==========  ====================================================  =========  =================
    posterior   posterior sampling with a diffusion prior             a model    std of samples
    tv          statistically weighted least squares with total       nothing    none
                variation
    fbp         filtered back-projection                              nothing    none
    ==========  ====================================================  =========  =================

    The model is the prior. For the arguments see `SlicePipeline`.
    """

    standard = "ct-prior"
    untrained: ClassVar[tuple[ReconstructionMethod, ...]] = ("fbp", "tv")

    def open(
        self,
        sinogram: xr.Dataset | str | Path,
        /,
        *,
        method: ReconstructionMethod = "posterior",
        quality: Quality = "balanced",
        samples: int | None = None,
        seed: int = 0,
        size: int | None = None,
        pixel_mm: float | None = None,
        window: Window = "ram-lak",
        views: int | None = None,
        dose: float | None = None,
        sampler: str | None = None,
        guidance: str | None = None,
        steps: int | None = None,
        progress: Progress | None = None,
    ) -> ReconstructionRun:
        """A run that yields the slices one by one.

        Args:
            sinogram: as `data_adapters.ct.build_sinogram` makes it, or its HDF5 file.
            method: see the class.
            quality: "fast", "balanced" or "best"; see `settings`.
            samples: of the posterior, in place of the quality's number ("posterior" only).
            seed: of all noise. Slice i gets the same noise whatever else is there.
            size: pixels a side of the image.
            pixel_mm: size of its pixels; for both see `projections.scan_of`.
            window: of the filtered back-projection.
            views: keep so many of the views only, for comparison.
            dose: lower the dose to this fraction first, for comparison; see `thin_sinogram`.
            sampler, guidance: solver and posterior sampler of `sciddm.methods` in place of the
                pipeline's own ("posterior" only).
            steps: noise levels after the first, in place of the quality's.
            progress: called after every step.

        Returns:
            The run. Collected, it has reconstruction, fbp and, for methods that have it, std, all
            (z, y, x) in HU, and attributes, among them the data consistency; see `Pipeline`.

        Raises:
            InputError: unusable data or options.
        """
        data = read_sinogram(sinogram) if isinstance(sinogram, str | Path) else sinogram
        if dose is not None:
            data = thin_sinogram(data, dose, seed=seed)
        if views is not None:
            data = keep_views(data, views)
        choice = MethodChoice(sampler, guidance, steps)
        choice.check(LINEAR)
        prepare = self._preparation(method, quality, samples, window, choice)
        options = {"method": method, "quality": quality, "seed": seed, "window": window}
        scan = scan_of(data, size, pixel_mm)
        options |= self._own(method)
        remarks = [
            *warnings_of(data.attrs),
            *self._remarks(method, scan.pixel_mm),
            *_truncated(data, scan),
        ]
        return ReconstructionRun(data, scan, prepare, options, progress, remarks, choice)

    def _preparation(
        self,
        method: str,
        quality: str,
        samples: int | None,
        window: Window,
        choice: MethodChoice = OWN,
    ) -> Callable[[Scan], SinogramMethod]:
        """How the method is made ready for a scan."""
        if method == "fbp":
            chosen(dict.fromkeys(get_args(Quality)), quality, samples)
            return lambda scan: FilteredBackProjection(scan, window)
        if method == "tv":
            smoothing = chosen(TV, quality, samples)
            return lambda scan: WeightedTotalVariation(scan, smoothing)
        if method == "posterior":
            if self.model is None:
                raise ModelError("posterior needs a model: CTReconstruction.from_pretrained()")
            model, settings = placed(self.model), chosen(POSTERIOR, quality, samples)
            if settings.samples < 2:
                raise InputError("at least 2 samples are needed: one has no standard deviation")
            if choice.steps is not None:
                settings = replace(settings, steps=choice.steps)
            return lambda scan: PosteriorSampling(model, scan, settings, choice)
        known = ", ".join(get_args(ReconstructionMethod))
        raise InputError(f"unknown method {method!r}: take one of {known}")


def _truncated(data: xr.Dataset, scan: Scan) -> list[str]:
    """What is to be said of an object that is larger than the detector sees."""
    if "sinogram" not in data or "view" not in data["sinogram"].dims:
        return []
    middle = data["sinogram"].isel(z=data.sizes["z"] // 2).transpose("view", "cell")
    share = truncation(torch.from_numpy(np.asarray(middle.values, np.float32)), scan.beam)
    if share <= _TRUNCATED:
        return []
    return [
        f"The object reaches beyond the detector in {share:.0%} of the views: CT numbers near the "
        "border of the field of view, and to some extent everywhere, are too high."
    ]


class ReconstructionRun(SliceRun[SinogramMethod, Reconstructed]):
    """A run over one sinogram; see `SliceRun`.

    Attributes:
        scan: geometry, and the image that is made.
    """

    images = ("reconstruction", "fbp", "std")

    def __init__(
        self,
        data: xr.Dataset,
        scan: Scan,
        prepare: Callable[[Scan], SinogramMethod],
        options: dict[str, Any],
        progress: Progress | None,
        remarks: Sequence[str] = (),
        choice: MethodChoice = OWN,
    ) -> None:
        if "sinogram" not in data or set(data["sinogram"].dims) != {"z", "view", "cell"}:
            raise InputError("the data set has no sinogram (z, view, cell): add it")
        super().__init__(options, progress, remarks)
        self.scan, self.missing_views = scan, scan.missing_views
        self._data = data
        self._sinogram = data["sinogram"].transpose("z", "view", "cell")
        self._make, self._choice = prepare, choice
        self._consistency: dict[int, Consistency] = {}
        self._predictions: dict[int, Prediction] = {}

    def __len__(self) -> int:
        return self._sinogram.sizes["z"]

    @property
    def shape(self) -> tuple[int, int]:
        return self.scan.shape

    @property
    def coords(self) -> Any:
        """z in mm, where the sinogram has it."""
        return {"z": self._data.coords["z"]} if "z" in self._data.coords else {}

    def _prepare(self) -> SinogramMethod:
        return self._make(self.scan)

    def _slice(self, method: SinogramMethod, index: int, tick: Tick) -> Reconstructed:
        p = self._read(index)
        found = method(p, index, self._options["seed"], tick)
        if index == len(self) // 2 and isinstance(method, PosteriorSampling):
            prediction = method.predict(p, index, self._options["seed"])
            if prediction is not None:
                self._predictions[index] = prediction
        if found.consistency is not None:
            self._consistency[index] = found.consistency
        fbp = self.scan.fbp(p, self._options["window"])
        std = None if found.std is None else to_numpy(found.std)
        return Reconstructed(index, to_numpy(found.values), std, to_numpy(fbp))

    def _read(self, index: int) -> Tensor:
        values = np.ascontiguousarray(self._sinogram.isel(z=index).values, dtype=np.float32)
        if not np.isfinite(values).all():
            name = self._data.attrs.get("source", "the sinogram")
            raise InputError(f"{name}: slice {index + 1} holds NaN or infinite values: repair them")
        return to_device(values)

    def _facts(self) -> dict[str, Any]:
        attrs = self._data.attrs
        told = ("source", "dose", "full_dose_flux", "feed_mm", "rows_missing")
        ratios = [round(p.ratio, 4) for p in self._predictions.values()]
        return {
            **{k: attrs[k] for k in told if attrs.get(k) is not None},
            **_place(self._data, self.scan),
            "mu_water": self.scan.mu_water,
            "views": self.scan.beam.views,
            **consistency_attributes(list(self._consistency.values()), self._all_remarks()),
            **({"prediction_ratio": max(ratios), **self._scores()} if ratios else {}),
            **self._verdict().attributes(),
        }

    def _scores(self) -> dict[str, Any]:
        predictions = list(self._predictions.values())
        return {
            "prediction_samples": sum(p.count for p in predictions),
            "prediction_log_score": round(sum(p.log_score for p in predictions), 3),
        }

    def _all_remarks(self) -> list[str]:
        """Those on the input, and what the second verdict says against the result."""
        calibrated = self._verdict().calibrated
        return [*self._remarks, *([calibrated.sentence] if calibrated.answer == "no" else [])]

    def _verdict(self) -> Verdict:
        """Residual; views that were kept out; pixels and field of view."""
        familiar = Finding("no", sentence=self._remarks[0]) if self._remarks else Finding()
        return Verdict(
            fits=fit_finding(list(self._consistency.values())),
            calibrated=self._choice.calibrated(
                prediction_finding(list(self._predictions.values()), RATIO_LIMIT, SKILL_LIMIT)
            ),
            familiar=familiar,
        )


def reconstruction_grid(data: xr.Dataset, request: Reconstruct) -> Grid:
    """Of the image that a request makes of a sinogram."""
    scan = scan_of(data, request.size, request.pixel_mm)
    return Grid((data.sizes["z"], *scan.shape), _place(data, scan))


def _place(data: xr.Dataset, scan: Scan) -> dict[str, Any]:
    """Where the image lies: as the volume that the sinogram was simulated from, if it is laid as
    that; else about the axis of rotation, in a patient of unknown orientation."""
    z = data["z"].values if "z" in data.coords else np.zeros(0)
    # The sinogram says where its slices lie along z, and nothing of the patient's axes.
    dz = float(np.abs(np.diff(z)).mean()) if len(z) > 1 else scan.pixel_mm
    size = [dz or scan.pixel_mm, scan.pixel_mm, scan.pixel_mm]
    attrs = data.attrs
    simulated = (
        attrs.get("image_affine") is not None
        and tuple(int(n) for n in attrs["image_shape"]) == scan.shape
        and abs(float(attrs["image_pixel_mm"]) - scan.pixel_mm) < _SAME_MM
    )
    if simulated:
        return {
            "voxel_size_mm": size,
            "affine": attrs["image_affine"],
            "orientation_known": True,
        }
    affine = centred_affine(size, (data.sizes["z"], *scan.shape))
    return {"voxel_size_mm": size, "affine": affine, "orientation_known": False}
