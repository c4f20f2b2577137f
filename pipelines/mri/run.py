"""One file in, its outputs out: what the verbs of `sciddm mri` do with each scan."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from sciddm import data_adapters
from sciddm.data_adapters.mri.result import (
    check_mri_outputs,
    check_slices,
    mri_outputs,
    save_mri_result,
)
from sciddm.errors import InputError
from sciddm.pipelines.engine.batch import Job, Outcome, with_page
from sciddm.pipelines.engine.report.page import write
from sciddm.pipelines.engine.summary import Fact, done, jsonable
from sciddm.pipelines.mri.describe import facts, sampling_mask
from sciddm.pipelines.mri.pipeline import MRIReconstruction
from sciddm.pipelines.mri.preparation import matrix_of
from sciddm.pipelines.mri.report import mri_report
from sciddm.pipelines.mri.retrospective import Undersampling, undersampled
from sciddm.progress import Progress

if TYPE_CHECKING:
    from sciddm.pipelines.mri.pipeline import MRIReconstruction

__all__ = [
    "acquire_file",
    "check_outputs",
    "image_outputs",
    "load_maps",
    "load_pipeline",
    "raw_outputs",
    "reconstruct_file",
    "reconstruct_scan",
    "undersample_file",
]


@lru_cache(maxsize=1)
def load_pipeline(model: str) -> MRIReconstruction:
    """The pipeline of a model; read once for all files of a batch."""
    from sciddm.pipelines.mri.pipeline import MRIReconstruction

    return MRIReconstruction.from_pretrained(model)


@lru_cache(maxsize=1)
def load_maps(path: Path) -> xr.DataArray:
    """Coil sensitivities (slice, coil, y, x) of a file; read once for all files of a batch."""
    return data_adapters.open_maps(path)


def image_outputs(path: Path, report: bool) -> list[Path]:
    """All that a reconstruction writes for a main output."""
    return with_page(mri_outputs(path), report)


def raw_outputs(path: Path) -> list[Path]:
    """All that undersampled k-space is written to."""
    return list(data_adapters.kspace_outputs(path))


def check_outputs(paths: Sequence[Path], overwrite: bool) -> None:
    """Raises OutputError where an output cannot be written, or exists and may not be replaced."""
    check_mri_outputs(paths, overwrite)


def reconstruct_file(
    job: Job,
    options: Mapping[str, Any],
    *,
    command: str,
    report: bool,
    overwrite: bool,
    progress: Progress,
) -> Outcome:
    """Reads a scan, undersamples it if asked to, reconstructs it and writes the outputs.

    Args:
        job: the scan and the main output.
        options: model, quality, samples, seed, maps, noise_std, coils, keep_samples, and for
            undersampling undersample, mask, acs, axis.
        command: what makes the same again; kept with the result.
        report: write the HTML page.
        overwrite: existing outputs may be replaced.
        progress: is told how far it is.
    """
    progress(0, 1, "reading")
    scan = data_adapters.open_kspace(job.source)
    return reconstruct_scan(
        scan,
        job,
        options,
        command=command,
        report=report,
        overwrite=overwrite,
        progress=progress,
    )


def reconstruct_scan(
    scan: xr.Dataset,
    job: Job,
    options: Mapping[str, Any],
    *,
    command: str,
    report: bool,
    overwrite: bool,
    progress: Progress,
) -> Outcome:
    """Reconstructs a scan and writes the outputs; arguments as in `reconstruct_file`."""
    check_slices(job.target, scan.sizes["slice"])
    if options["keep_samples"] and not job.target.name.lower().endswith((".h5", ".nc", ".zarr")):
        raise InputError(f"{job.target}: has no place for samples, use .h5, .nc or .zarr")
    progress(0, 1, "loading the model")
    pipeline = load_pipeline(options["model"])
    start = time.perf_counter()
    made = {k: options[k] for k in ("undersample", "mask", "acs", "axis") if k in options}
    result = pipeline(
        scan,
        quality=options["quality"],
        samples=options["samples"],
        seed=options["seed"],
        maps=options.get("maps"),
        noise_std=options["noise_std"],
        coils=options.get("coils"),
        keep_samples=options["keep_samples"],
        progress=progress,
        **made,
    )
    seconds = time.perf_counter() - start
    result = result.assign_attrs(
        command=command, request=jsonable(options), seconds=round(seconds, 3)
    )
    progress(1, 1, "writing")
    save_mri_result(result, job.target, overwrite=overwrite)
    outputs = image_outputs(job.target, report)
    if report:
        page = mri_report(result, source=job.source.name, command=command, seconds=seconds)
        write(page, outputs[-1], overwrite=overwrite)
    return done(job, facts(result), outputs, result.attrs)


def undersample_file(job: Job, options: Mapping[str, Any], *, overwrite: bool) -> Outcome:
    """Reads a scan and writes what a mask leaves of it."""
    scan = undersampled(data_adapters.open_kspace(job.source), _undersampling(options))
    data_adapters.save_kspace(scan, job.target, overwrite=overwrite)
    return done(job, _sampled(scan), raw_outputs(job.target), scan.attrs)


def acquire_file(
    job: Job, options: Mapping[str, Any], *, overwrite: bool, progress: Progress
) -> Outcome:
    """Reads a full scan and writes what an active acquisition would have measured of it.

    Args:
        job: the scan and the output.
        options: model, and the fields of `acquire.Acquisition`.
        overwrite: an existing output may be replaced.
        progress: is told how far it is.
    """
    from sciddm.pipelines.mri.acquire import Acquisition, acquired

    progress(0, 1, "reading")
    scan = data_adapters.open_kspace(job.source)
    if "trajectory" in scan:
        raise InputError(f"{job.source}: a trajectory has no lines: give a Cartesian scan")
    request = Acquisition(**{k: v for k, v in options.items() if k != "model"})
    pipeline = load_pipeline(options["model"])
    start = time.perf_counter()
    scan = acquired(scan, pipeline, request, progress)
    seconds = time.perf_counter() - start
    data_adapters.save_kspace(scan, job.target, overwrite=overwrite)
    central = request.centre ** (2 if request.axis == "both" else 1)
    chosen = scan["order"].size - scan.sizes["slice"] * central
    each = seconds / max(1, chosen)
    told = _sampled(scan)
    told["seconds_each"] = Fact("seconds_each", "seconds a choice", each, f"{each:.2f}")
    return done(job, told, raw_outputs(job.target), scan.attrs)


def _sampled(scan: xr.Dataset) -> dict[str, Fact]:
    """What is told of undersampled k-space."""
    mask = sampling_mask(scan)
    matrix = [scan.sizes["slice"], *matrix_of(scan)]
    acceleration = mask.size / int(mask.sum())
    told = [
        Fact("matrix", "matrix", matrix, " x ".join(str(n) for n in matrix)),
        Fact("coils", "coils", scan.sizes["coil"], str(scan.sizes["coil"])),
        Fact("acceleration", "acceleration", acceleration, f"{acceleration:.2f}"),
    ]
    return {f.key: f for f in told}


def _undersampling(options: Mapping[str, Any]) -> Undersampling:
    return Undersampling(
        options["undersample"], options["mask"], options["acs"], options["axis"], options["seed"]
    )
