"""`sciddm mri`: the verbs of MRI reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sciddm.errors import InputError
from sciddm.pipelines.command import execute, repeat
from sciddm.pipelines.options import (
    Json,
    Overwrite,
    Quality,
    QualityOption,
    Report,
    Threads,
    use_threads,
)

if TYPE_CHECKING:
    from sciddm.pipelines.engine.batch import Job, Outcome
    from sciddm.progress import Progress

__all__ = ["app"]

app = typer.Typer(help="MRI: images from multi-coil raw data.", no_args_is_help=True)

#: Suffixes of raw data, and of what can be written.
READ = (".h5", ".hdf5", ".mrd", ".ismrmrd", ".dat", ".cfl", ".nc", ".zarr")
IMAGES = (".nii.gz", ".nii", ".h5", ".nc", ".zarr", ".cfl", ".dcm")
KSPACES = (".h5", ".cfl", ".nc", ".zarr")


class Mask(StrEnum):
    """Kinds of sampling mask."""

    random = "random"
    equispaced = "equispaced"
    gaussian = "gaussian"
    poisson = "poisson"


class Axis(StrEnum):
    """The undersampled axis."""

    ky = "ky"
    kx = "kx"


class AcquiredAxis(StrEnum):
    """What an active acquisition chooses: lines of one axis, or single samples."""

    ky = "ky"
    kx = "kx"
    both = "both"


class CriterionName(StrEnum):
    """By which an active acquisition chooses."""

    error = "error"
    entropy = "entropy"
    variance = "variance"
    ads_released = "ads_released"


class ImageForm(StrEnum):
    """Formats of images in a folder."""

    niigz = "nii.gz"
    nii = "nii"
    h5 = "h5"
    nc = "nc"
    zarr = "zarr"
    cfl = "cfl"
    dicom = "dicom"


class RawForm(StrEnum):
    """Formats of k-space in a folder."""

    h5 = "h5"
    cfl = "cfl"
    nc = "nc"
    zarr = "zarr"


Inputs = Annotated[list[Path], typer.Argument(metavar="IN", help="Scans, or a folder of them.")]
Target = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        metavar="OUT",
        help="File, its suffix choosing the format; a folder for several scans.",
    ),
]
ImageTarget = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        metavar="OUT",
        help="File, its suffix choosing the format; a new name without one for a DICOM series; a "
        "folder for several scans.",
    ),
]
MaskOption = Annotated[Mask, typer.Option("--mask", help="Kind of mask for --undersample.")]
Acs = Annotated[
    int, typer.Option(min=0, help="Calibration lines in the centre (poisson: side of the square).")
]
AxisOption = Annotated[Axis, typer.Option("--axis", help="Undersampled axis of --undersample.")]
Seed = Annotated[int, typer.Option(min=0, help="Determines mask and samples.")]


@app.command()
def reconstruct(
    context: typer.Context,
    inputs: Inputs,
    target: ImageTarget,
    undersample: Annotated[
        float | None,
        typer.Option(
            "--undersample", "-R", help="Undersample a full scan so many times first, to compare."
        ),
    ] = None,
    mask: MaskOption = Mask.random,
    acs: Acs = 16,
    axis: AxisOption = Axis.ky,
    seed: Seed = 0,
    maps: Annotated[
        Path | None, typer.Option(help="Coil sensitivities; estimated from the scan if not given.")
    ] = None,
    noise_std: Annotated[
        float | None,
        typer.Option(help="Noise level sqrt(E|n|^2) of a sample, in the data's units; estimated."),
    ] = None,
    coils: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Compress to so many virtual coils; 0: none. If not given, scans of more than 12 "
            "to as few as keep 99.995 % of the signal.",
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Name, folder or hub id.")] = "mri-brain",
    quality: QualityOption = Quality.balanced,
    samples: Annotated[
        int | None, typer.Option(min=2, help="Posterior samples; the quality decides if not given.")
    ] = None,
    keep_samples: Annotated[
        bool, typer.Option("--keep-samples", help="Write the samples too (.h5, .nc, .zarr).")
    ] = False,
    form: Annotated[
        ImageForm, typer.Option("--format", help="Format of the outputs in a folder.")
    ] = ImageForm.niigz,
    report: Report = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
    threads: Threads = None,
) -> None:
    """Reconstruct images, with their uncertainty, from undersampled k-space.

    Beside OUT lie its standard deviation and a JSON file with all that repeats the run. Several
    scans go on after a failure, and finished ones are kept when the command is run again.
    """
    _check_mask_options(context, undersample)
    if noise_std is not None and not 0 < noise_std < float("inf"):
        raise InputError(f"--noise-std {noise_std:g}: a noise level is above 0")
    suffix = "" if form is ImageForm.dicom else f".{form.value}"
    _check_samples_fit(target, suffix, keep_samples)
    wanted: dict[str, Any] = {
        "model": model,
        "quality": quality.value,
        "samples": samples,
        "seed": seed,
        "maps": str(maps) if maps is not None else None,
        "noise_std": noise_std,
        "coils": coils,
        "keep_samples": keep_samples,
    }
    if undersample is not None:
        wanted |= {"undersample": undersample, "mask": mask.value, "acs": acs, "axis": axis.value}

    def work(job: Job, replace: bool, progress: Progress) -> Outcome:
        from sciddm.pipelines.mri.run import reconstruct_file

        command = repeat(context, job, () if undersample is not None else _MASK_OPTIONS)
        return reconstruct_file(
            job, wanted, command=command, report=report, overwrite=replace, progress=progress
        )

    def prepare() -> None:
        from sciddm.pipelines.mri.run import load_maps, load_pipeline

        load_pipeline(model)
        if maps is not None:
            load_maps(maps)

    use_threads(threads)
    execute(
        context,
        inputs,
        target,
        work=work,
        outputs_of=lambda path: _image_outputs(path, report),
        check=_check,
        request=wanted,
        read=READ,
        written=IMAGES,
        suffix=suffix,
        overwrite=overwrite,
        as_json=as_json,
        prepare=prepare,
        whole=_is_series,
        whole_kind="DICOM series",
    )


@app.command()
def undersample(
    context: typer.Context,
    inputs: Inputs,
    target: Target,
    acceleration: Annotated[
        float,
        typer.Option("--undersample", "-R", help="Total acceleration, calibration included."),
    ] = 4.0,
    mask: MaskOption = Mask.random,
    acs: Acs = 16,
    axis: AxisOption = Axis.ky,
    seed: Seed = 0,
    form: Annotated[
        RawForm, typer.Option("--format", help="Format of the outputs in a folder.")
    ] = RawForm.h5,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Undersample fully sampled k-space, to try a reconstruction on.

    Samples that are left out become 0; the mask, and a reference image where the format has a
    place for it, are written with the data.
    """
    wanted: dict[str, Any] = {
        "undersample": acceleration,
        "mask": mask.value,
        "acs": acs,
        "axis": axis.value,
        "seed": seed,
    }

    def work(job: Job, replace: bool, progress: Progress) -> Outcome:
        from sciddm.pipelines.mri.run import undersample_file

        return undersample_file(job, wanted, overwrite=replace)

    execute(
        context,
        inputs,
        target,
        work=work,
        outputs_of=_raw_outputs,
        check=_check,
        request=wanted,
        read=READ,
        written=KSPACES,
        suffix=f".{form.value}",
        overwrite=overwrite,
        as_json=as_json,
    )


@app.command()
def acquire(
    context: typer.Context,
    inputs: Inputs,
    target: Target,
    lines: Annotated[
        int, typer.Option(min=1, help="Lines measured in all; for --axis both their worth.")
    ],
    centre: Annotated[int, typer.Option(min=2, help="Central lines, which come first.")] = 12,
    axis: Annotated[
        AcquiredAxis, typer.Option("--axis", help="What is chosen: lines of an axis, or samples.")
    ] = AcquiredAxis.ky,
    criterion: Annotated[
        CriterionName | None,
        typer.Option(help="By which the next is chosen: error for lines, entropy for samples."),
    ] = None,
    particles: Annotated[int, typer.Option(min=2, help="Of the belief, an even number.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Determines the particles.")] = 0,
    noise_std: Annotated[
        float | None,
        typer.Option(help="Noise level sqrt(E|n|^2) of a sample, in the data's units; estimated."),
    ] = None,
    model: Annotated[str, typer.Option(help="Name, folder or hub id.")] = "mri-brain",
    form: Annotated[
        RawForm, typer.Option("--format", help="Format of the outputs in a folder.")
    ] = RawForm.h5,
    overwrite: Overwrite = False,
    as_json: Json = False,
    threads: Threads = None,
) -> None:
    """Choose what to measure of a fully sampled scan, one line after the other.

    The lines that will lower the expected error of the image most, as a belief drawn from the prior
    and the data so far has it. OUT is the scan with those samples, its mask, and the order in which
    they were taken: reconstruct it with `sciddm mri reconstruct`.
    """
    if particles % 2:
        raise InputError(f"--particles {particles}: particles come in pairs, take an even number")
    wanted: dict[str, Any] = {
        "lines": lines,
        "centre": centre,
        "axis": axis.value,
        "criterion": None if criterion is None else criterion.value,
        "particles": particles,
        "seed": seed,
        "noise_std": noise_std,
        "model": model,
    }

    def work(job: Job, replace: bool, progress: Progress) -> Outcome:
        from sciddm.pipelines.mri.run import acquire_file

        return acquire_file(job, wanted, overwrite=replace, progress=progress)

    def prepare() -> None:
        from sciddm.pipelines.mri.run import load_pipeline

        load_pipeline(model)

    use_threads(threads)
    execute(
        context,
        inputs,
        target,
        work=work,
        outputs_of=_raw_outputs,
        check=_check,
        request=wanted,
        read=READ,
        written=KSPACES,
        suffix=f".{form.value}",
        overwrite=overwrite,
        as_json=as_json,
        prepare=prepare,
    )


_MASK_OPTIONS = ("mask", "acs", "axis")


def _check_mask_options(context: typer.Context, undersample: float | None) -> None:
    """Options of a mask that is not made are a misunderstanding, not a default."""
    given = [
        name
        for name in _MASK_OPTIONS
        if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    ]
    if given and undersample is None:
        raise InputError(
            f"--{given[0]} is for --undersample: a scan that is undersampled already needs neither"
        )
    if undersample is not None and not 1 <= undersample < float("inf"):
        raise InputError(f"--undersample {undersample:g}: an acceleration is at least 1")


def _check_samples_fit(target: Path, suffix: str, keep: bool) -> None:
    named = [s for s in IMAGES if target.name.lower().endswith(s)]
    if keep and (named[0] if named else suffix) not in (".h5", ".nc", ".zarr"):
        raise InputError(
            f"--keep-samples: {target} has no place for samples, use .h5, .nc or .zarr"
        )


def _is_series(folder: Path) -> bool:
    """Whether a folder is a series, which an output may take the place of."""
    from sciddm.data_adapters.ct import is_dicom_folder

    return is_dicom_folder(folder)


def _image_outputs(path: Path, report: bool) -> list[Path]:
    from sciddm.pipelines.mri.run import image_outputs

    return image_outputs(path, report)


def _raw_outputs(path: Path) -> list[Path]:
    from sciddm.pipelines.mri.run import raw_outputs

    return raw_outputs(path)


def _check(paths: Sequence[Path], overwrite: bool) -> None:
    from sciddm.pipelines.mri.run import check_outputs

    check_outputs(paths, overwrite)
