"""Reconstruction of low-dose and sparse-view CT from projections."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
import xarray as xr
from torch import Tensor

import sciddm
from sciddm import zoo
from sciddm.data_adapters.ct import read_sinogram
from sciddm.data_adapters.geometry import centred_affine
from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import InputError, ModelError
from sciddm.ledger import tally
from sciddm.physics.fbp import Window
from sciddm.pipelines.base import Pipeline, Progress
from sciddm.pipelines.ct.methods.base import Reconstruction, SinogramMethod
from sciddm.pipelines.ct.methods.fbp import FilteredBackProjection
from sciddm.pipelines.ct.methods.posterior import PosteriorSampling
from sciddm.pipelines.ct.methods.total_variation import TotalVariation
from sciddm.pipelines.ct.projections import Scan, scan_of
from sciddm.pipelines.ct.settings import POSTERIOR, TV, Quality, chosen
from sciddm.pipelines.ct.slices import DIMS

__all__ = ["CTReconstruction", "Reconstructed", "ReconstructionMethod", "ReconstructionRun"]

ReconstructionMethod = Literal["posterior", "tv", "fbp"]
Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Reconstructed:
    """One slice of a result, all (y, x) in HU.

    Attributes:
        index: 0 for the first slice of the sinogram.
        reconstruction: the estimate.
        std: its posterior standard deviation, or None for methods that have none.
        fbp: filtered back-projection, what the data give without a prior.
    """

    index: int
    reconstruction: Floats
    std: Floats | None
    fbp: Floats


class CTReconstruction(Pipeline):
    """Projections to an image in HU and its uncertainty.

    ==========  ====================================================  =========  =================
    method      what it is                                            needs      uncertainty
    ==========  ====================================================  =========  =================
    posterior   posterior sampling with a diffusion prior             a model    std of samples
    tv          statistically weighted least squares with total       nothing    none
                variation
    fbp         filtered back-projection                              nothing    none
    ==========  ====================================================  =========  =================

    Args:
        model: the prior of the method "posterior", of images in HU.
        representation: what the model was trained to see; see `training_data`.
        provenance: name and hash of the model.
    """

    #: Methods that need no trained model: `CTReconstruction()` is enough for them.
    untrained: tuple[ReconstructionMethod, ...] = ("fbp", "tv")

    def __init__(
        self,
        model: NetworkDenoiser | None = None,
        representation: dict[str, Any] | None = None,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.representation = representation or {}
        self.provenance = provenance or {"model": "unnamed", "weights_sha256": ""}

    @classmethod
    def from_pretrained(cls, source: str | Path = "ct-prior") -> Self:
        loaded = zoo.from_pretrained(source)
        provenance = {"model": loaded.name, "weights_sha256": loaded.weights_sha256}
        return cls(loaded.denoiser, loaded.representation, provenance)

    def save(self, path: str | Path) -> None:
        if self.model is None:
            raise InputError(f"{path}: this pipeline has no model to save")
        card = {"name": self.provenance["model"]}
        zoo.save_model(self.model, path, card=card, representation=self.representation)

    def __call__(  # type: ignore[override]
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
        progress: Progress | None = None,
    ) -> xr.Dataset:
        """Reconstructs all slices in memory; `open` does it slice by slice.

        Args:
            sinogram: as `data_adapters.ct.build_sinogram` makes it, or its HDF5 file.
            method: see the class.
            quality: "fast", "balanced" or "best"; see `settings`.
            samples: of the posterior, in place of the quality's number ("posterior" only).
            seed: of all noise. Slice i gets the same noise whatever else is there.
            size: pixels a side of the image.
            pixel_mm: size of its pixels; for both see `projections.scan_of`.
            window: of the filtered back-projection.
            progress: called after every step.

        Returns:
            reconstruction, fbp and, for methods that have it, std, all (z, y, x) in HU, and
            attributes, among them the data consistency; see `Pipeline`.

        Raises:
            InputError: unusable data or options.
        """
        run = self.open(
            sinogram,
            method=method,
            quality=quality,
            samples=samples,
            seed=seed,
            size=size,
            pixel_mm=pixel_mm,
            window=window,
            progress=progress,
        )
        slices = list(run)
        variables: dict[str, Any] = {
            "reconstruction": (DIMS, np.stack([s.reconstruction for s in slices])),
            "fbp": (DIMS, np.stack([s.fbp for s in slices])),
        }
        stds = [s.std for s in slices if s.std is not None]
        if stds:
            variables["std"] = (DIMS, np.stack(stds))
        return xr.Dataset(variables, coords=run.coords, attrs=run.attrs)

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
        progress: Progress | None = None,
    ) -> ReconstructionRun:
        """A run that yields the slices one by one; arguments as for a call."""
        data = read_sinogram(sinogram) if isinstance(sinogram, str | Path) else sinogram
        prepare = self._preparation(method, quality, samples, window)
        options = {"method": method, "quality": quality, "seed": seed, "window": window}
        provenance = {} if method in self.untrained else self.provenance
        scan = scan_of(data, size, pixel_mm)
        return ReconstructionRun(data, scan, prepare, {**provenance, **options}, progress)

    def _preparation(
        self, method: str, quality: str, samples: int | None, window: Window
    ) -> Callable[[Scan], SinogramMethod]:
        """How the method is made ready for a scan."""
        if method == "fbp":
            chosen(dict.fromkeys(get_args(Quality)), quality, samples)
            return lambda scan: FilteredBackProjection(scan, window)
        if method == "tv":
            smoothing = chosen(TV, quality, samples)
            return lambda scan: TotalVariation(scan, smoothing)
        if method == "posterior":
            if self.model is None:
                raise ModelError("posterior needs a model: CTReconstruction.from_pretrained()")
            model, settings = self.model, chosen(POSTERIOR, quality, samples)
            if settings.samples < 2:
                raise InputError("at least 2 samples are needed: one has no standard deviation")
            return lambda scan: PosteriorSampling(model, scan, settings)
        known = ", ".join(get_args(ReconstructionMethod))
        raise InputError(f"unknown method {method!r}: take one of {known}")


class ReconstructionRun:
    """One run over one sinogram: iterate over it once, then read `attrs`.

    Attributes:
        scan: geometry, and the image that is made.
    """

    def __init__(
        self,
        data: xr.Dataset,
        scan: Scan,
        prepare: Callable[[Scan], SinogramMethod],
        options: dict[str, Any],
        progress: Progress | None,
    ) -> None:
        if "sinogram" not in data or set(data["sinogram"].dims) != {"z", "view", "cell"}:
            raise InputError("the data set has no sinogram (z, view, cell): add it")
        self.scan = scan
        self._data = data
        self._sinogram = data["sinogram"].transpose("z", "view", "cell")
        self._prepare = prepare
        self._options = options
        self._progress = progress
        self._found: list[Reconstruction] = []
        self._nfe = self._nvjp = 0
        self._seconds = 0.0
        self._method: SinogramMethod | None = None

    def __len__(self) -> int:
        return self._sinogram.sizes["z"]

    def __iter__(self) -> Iterator[Reconstructed]:
        """The slices, in order.

        Raises:
            InputError: a slice holds NaN.
        """
        start = time.perf_counter()
        method = self._method = self._prepare(self.scan)
        self._found = []
        steps, total = 0, len(self) * method.steps
        for index in range(len(self)):

            def tick(part: str, index: int = index) -> None:
                nonlocal steps
                steps += 1
                if self._progress is not None:
                    self._progress(steps, total, f"slice {index + 1} of {len(self)}{part}")

            p = self._slice(index)
            with tally() as cost:
                found = method(p, index, self._options["seed"], tick)
            self._nfe, self._nvjp = max(self._nfe, cost.nfe), max(self._nvjp, cost.nvjp)
            fbp = self.scan.fbp(p, self._options["window"])
            # Kept for the attributes, without the images.
            self._found.append(Reconstruction(found.values[:0], consistency=found.consistency))
            self._seconds = time.perf_counter() - start
            std = None if found.std is None else found.std.numpy()
            yield Reconstructed(index, found.values.numpy(), std, fbp.numpy())

    def _slice(self, index: int) -> Tensor:
        values = np.ascontiguousarray(self._sinogram.isel(z=index).values, dtype=np.float32)
        if not np.isfinite(values).all():
            name = self._data.attrs.get("source", "the sinogram")
            raise InputError(f"{name}: slice {index + 1} holds NaN or infinite values: repair them")
        return torch.from_numpy(values)

    @property
    def coords(self) -> dict[str, Any]:
        """Coordinates of the result: z in mm where the sinogram has it."""
        return {"z": self._data.coords["z"]} if "z" in self._data.coords else {}

    @property
    def attrs(self) -> dict[str, Any]:
        """All that repeats the run, what it cost and what is to be said about it."""
        if self._method is None or len(self._found) != len(self):
            raise RuntimeError("the run is not complete: iterate over it first")
        z = self._data["z"].values if "z" in self._data.coords else np.zeros(0)
        # The sinogram says where its slices lie along z, and nothing of the patient's axes.
        dz = float(np.abs(np.diff(z)).mean()) if len(z) > 1 else self.scan.pixel_mm
        size = [dz or self.scan.pixel_mm, self.scan.pixel_mm, self.scan.pixel_mm]
        affine = centred_affine(size, (len(self), *self.scan.shape))
        source = self._data.attrs.get("source")
        return {
            **({} if source is None else {"source": source}),
            "units": "HU",
            "voxel_size_mm": size,
            "affine": affine,
            "orientation_known": False,
            "mu_water": self.scan.mu_water,
            "views": self.scan.beam.views,
            **self._options,
            **self._method.attributes,
            "nfe": self._nfe,
            "nvjp": self._nvjp,
            "seconds": round(self._seconds, 3),
            "sciddm_version": sciddm.__version__,
            **_checks(self._found),
        }


def _checks(found: list[Reconstruction]) -> dict[str, Any]:
    """Consistency over all slices, and plain warnings; only the latter where none was computed."""
    seen = [f.consistency for f in found if f.consistency is not None]
    if not seen:
        return {"warnings": json.dumps([])}
    ratios = np.array([c.ratio for c in seen])
    worst = max(seen, key=lambda c: (c.contradicts, c.ratio))
    warnings = []
    if worst.contradicts or worst.model_fails:
        where = "" if len(seen) == 1 else f" (slice {seen.index(worst) + 1})"
        warnings.append(f"{worst.verdict}{where}")
    return {
        "consistency": round(float(np.sqrt((ratios**2).mean())), 4),
        "consistency_worst": round(float(ratios.max()), 4),
        "consistency_without_prior": round(float(np.mean([c.floor for c in seen])), 4),
        "contradicts": int(worst.contradicts),
        "warnings": json.dumps(warnings),
    }
