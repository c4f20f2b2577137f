"""One file or series in, its outputs out: what the verbs of `sciddm ct` do with each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import xarray as xr

import sciddm
from sciddm.data_adapters import save_sinogram
from sciddm.data_adapters.attributes import sidecar
from sciddm.data_adapters.ct import (
    ct_outputs,
    is_dicom_folder,
    open_ct,
    open_sinogram,
    save_ct_result,
)
from sciddm.data_adapters.staging import check_outputs, staged
from sciddm.errors import InputError, OutputError
from sciddm.pipelines.ct.describe import denoising_facts, dose_facts, reconstruction_facts
from sciddm.pipelines.ct.pipeline_denoising import CTDenoising
from sciddm.pipelines.ct.pipeline_reconstruction import CTReconstruction
from sciddm.pipelines.ct.report import denoising_report, reconstruction_report
from sciddm.pipelines.ct.simulate import (
    keep_views,
    low_dose_projections,
    low_dose_volume,
    thin_sinogram,
)
from sciddm.pipelines.ct.slices import DIMS
from sciddm.pipelines.engine.batch import Job, Outcome, with_page
from sciddm.pipelines.engine.report.page import Report, write
from sciddm.pipelines.engine.summary import Fact, done, jsonable
from sciddm.progress import Progress

__all__ = [
    "denoise_file",
    "has_spread",
    "load_denoiser",
    "load_reconstructor",
    "outputs",
    "reconstruct_file",
    "simulate_file",
]

#: Formats that have a place for all variables of a result.
_WHOLE = (".h5", ".nc", ".zarr")


@lru_cache(maxsize=1)
def load_denoiser(method: str, model: str) -> CTDenoising:
    """The pipeline of a method, with its model if it needs one; read once for a batch."""
    return CTDenoising() if method in CTDenoising.untrained else CTDenoising.from_pretrained(model)


@lru_cache(maxsize=1)
def load_reconstructor(method: str, model: str) -> CTReconstruction:
    """The pipeline of a method, with its model if it needs one; read once for a batch."""
    if method in CTReconstruction.untrained:
        return CTReconstruction()
    return CTReconstruction.from_pretrained(model)


def has_spread(method: str, samples: int | None) -> bool:
    """Whether a method gives a standard deviation."""
    return method in ("residual", "posterior") and samples != 1


def outputs(path: Path, *, spread: bool, report: bool) -> list[Path]:
    """All that is written for a main output.

    Args:
        path: the image.
        spread: with its standard deviation.
        report: with the HTML page.
    """
    return with_page(ct_outputs(path, spread=spread), report)


def denoise_file(
    job: Job,
    options: Mapping[str, Any],
    *,
    command: str,
    report: bool,
    overwrite: bool,
    progress: Progress,
) -> Outcome:
    """Denoises a volume slice by slice and writes the outputs.

    Args:
        job: a DICOM series or NIfTI file, and the main output.
        options: method, model, quality, samples, seed, strength, series.
        command: what makes the same again; kept with the result.
        report: write the HTML page.
        overwrite: existing outputs may be replaced.
        progress: is told how far it is.
    """
    progress(0, 1, "reading")
    volume = open_ct(job.source, options["series"])
    progress(0, 1, "loading the model")
    run = load_denoiser(options["method"], options["model"]).open(
        volume,
        method=options["method"],
        quality=options["quality"],
        samples=options["samples"],
        seed=options["seed"],
        strength=options["strength"],
        progress=progress,
    )
    # The input stands for the result's `noisy`: it is in memory already.
    images = run.collect(("denoised", "std"), maps=_has_room(job.target))
    result = xr.Dataset(
        {**images, "noisy": (DIMS, volume.transpose(*DIMS).values)}, attrs=run.attrs
    )
    known = denoising_facts(result)
    method = options["method"]
    described = f"sciddm {sciddm.__version__} denoised ({method}, strength {options['strength']:g})"
    return _write(
        job,
        result,
        "denoised",
        known,
        options,
        described,
        command=command,
        page=denoising_report if report else None,
        overwrite=overwrite,
        progress=progress,
    )


def reconstruct_file(
    job: Job,
    options: Mapping[str, Any],
    *,
    command: str,
    report: bool,
    overwrite: bool,
    progress: Progress,
) -> Outcome:
    """Reconstructs a sinogram slice by slice and writes the outputs.

    Args:
        job: a sinogram, or a folder of projections, and the main output.
        options: method, model, quality, samples, seed, window, size, pixel_mm, slice_mm, and
            dose and views, which take some of the data away first.
        command: as in `denoise_file`, as are the others.
    """
    progress(0, 1, "reading")
    sinogram = open_sinogram(job.source, options["slice_mm"])
    if options.get("dose") is not None:
        sinogram = thin_sinogram(sinogram, options["dose"], seed=options["seed"])
    if options.get("views") is not None:
        sinogram = keep_views(sinogram, options["views"])
    progress(0, 1, "loading the model")
    run = load_reconstructor(options["method"], options["model"]).open(
        sinogram,
        method=options["method"],
        quality=options["quality"],
        samples=options["samples"],
        seed=options["seed"],
        size=options["size"],
        pixel_mm=options["pixel_mm"],
        window=options["window"],
        progress=progress,
    )
    result = xr.Dataset(run.collect(run.images), coords=run.coords, attrs=run.attrs)
    for key in ("dose", "full_dose_flux", "feed_mm", "rows_missing"):
        if key in sinogram.attrs:
            result.attrs[key] = sinogram.attrs[key]
    place = _place(sinogram, run.shape, run.scan.pixel_mm)
    if place is not None:
        result.attrs |= {"affine": place, "orientation_known": True}
    described = f"sciddm {sciddm.__version__} reconstructed ({options['method']})"
    return _write(
        job,
        result,
        "reconstruction",
        reconstruction_facts(result),
        options,
        described,
        command=command,
        page=reconstruction_report if report else None,
        overwrite=overwrite,
        progress=progress,
    )


def simulate_file(
    job: Job, options: Mapping[str, Any], *, command: str, overwrite: bool, progress: Progress
) -> Outcome:
    """Lowers the dose of a volume or a sinogram, or measures a volume's projections.

    Args:
        job: a DICOM series, a NIfTI file, a sinogram or a folder of projections, and the output.
        options: dose, noise, flux, electronic_sd, views, seed, projections, series.
        command: as in `denoise_file`, as are the others.
    """
    progress(0, 1, "reading")
    measured = is_sinogram(job.source)
    if (measured or options["projections"]) and job.target.suffix.lower() != ".h5":
        raise OutputError(f"{job.target}: sinograms are written to .h5: rename")
    if measured:
        for option in ("noise", "flux", "electronic_sd", "views"):
            if options[option] is not None:
                raise InputError(
                    f"{job.source}: is measured, so its own flux, noise and views hold: leave "
                    f"--{option.replace('_', '-')} out"
                )
        thinned = thin_sinogram(open_sinogram(job.source), options["dose"], seed=options["seed"])
        return _write_sinogram(job, thinned, options, command, overwrite)
    volume = open_ct(job.source, options["series"])
    chosen = {
        "noise_hu": options["noise"],
        "flux": options["flux"],
        "electronic_sd": options["electronic_sd"],
        "views": options["views"],
    }
    given = {k: v for k, v in chosen.items() if v is not None}
    simulate: Callable[..., Any] = (
        low_dose_projections if options["projections"] else low_dose_volume
    )
    made = simulate(volume, options["dose"], seed=options["seed"], progress=progress, **given)
    if options["projections"]:
        return _write_sinogram(job, made, options, command, overwrite)
    result = made.to_dataset(name="hu").assign_attrs(made.attrs)
    described = f"sciddm {sciddm.__version__} simulated dose {options['dose']:g}"
    return _write(
        job,
        result.assign_attrs(sciddm_version=sciddm.__version__),
        "hu",
        dose_facts(made.shape, made.attrs),
        options,
        described,
        command=command,
        page=None,
        overwrite=overwrite,
        progress=progress,
    )


def is_sinogram(path: Path) -> bool:
    """Whether an input holds projections, by its name or, of a folder, by its first file."""
    from sciddm.data_adapters.ct import is_projection_folder

    return path.name.lower().endswith((".h5", ".hdf5")) or is_projection_folder(path)


def _has_room(target: Path) -> bool:
    """Whether a format has a place for all variables of a result."""
    return target.name.lower().endswith(_WHOLE)


def _write(
    job: Job,
    result: xr.Dataset,
    image: str,
    known: Mapping[str, Fact],
    options: Mapping[str, Any],
    described: str,
    *,
    command: str,
    page: Callable[..., Report] | None,
    overwrite: bool,
    progress: Progress,
) -> Outcome:
    progress(1, 1, "writing")
    result = result.assign_attrs(command=command, request=jsonable(options))
    sliced = is_dicom_folder(job.source) or job.source.suffix.lower() == ".dcm"
    source = job.source if sliced and image != "reconstruction" else None
    save_ct_result(
        result,
        job.target,
        image=image,
        description=described,
        source=source,
        series=options.get("series"),
        overwrite=overwrite,
    )
    written = outputs(job.target, spread="std" in result, report=page is not None)
    if page is not None:
        write(
            page(result, source=job.source.name, command=command), written[-1], overwrite=overwrite
        )
    return done(job, known, written, result.attrs)


def _write_sinogram(
    job: Job, made: xr.Dataset, options: Mapping[str, Any], command: str, overwrite: bool
) -> Outcome:
    kept = made.assign_attrs(
        command=command, request=jsonable(options), sciddm_version=sciddm.__version__
    )
    written = outputs(job.target, spread=False, report=False)
    check_outputs(written, overwrite)
    with staged(written[1:], overwrite) as at:
        text = sidecar(kept.attrs, "sinogram", sciddm.__version__)
        at[written[1]].write_text(text, encoding="utf-8")
    save_sinogram(kept, job.target, overwrite=overwrite)
    facts = dose_facts(made["sinogram"].shape, made.attrs)
    shape = made["sinogram"].shape
    facts["matrix"] = Fact(
        "sinogram", "slices, views, cells", list(shape), " x ".join(map(str, shape))
    )
    return done(job, facts, written, made.attrs)


def _place(sinogram: xr.Dataset, shape: tuple[int, int], pixel_mm: float) -> Any:
    """The affine of the volume that a sinogram was simulated from, if the image is laid as it."""
    attrs = sinogram.attrs
    same = (
        attrs.get("image_affine") is not None
        and tuple(int(n) for n in attrs["image_shape"]) == shape
        and abs(float(attrs["image_pixel_mm"]) - pixel_mm) < 1e-6
    )
    return attrs["image_affine"] if same else None
