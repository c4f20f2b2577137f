"""`sciddm ct`: the verbs of low-dose CT."""

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

app = typer.Typer(help="CT: low-dose images and projections.", no_args_is_help=True)

#: Suffixes of volumes that are files; a folder of slices is a DICOM series.
VOLUMES = (".nii.gz", ".nii")
SINOGRAMS = (".h5", ".hdf5")
WRITTEN = (".nii.gz", ".nii", ".h5", ".nc", ".zarr")
_SERIES = "DICOM series"


class Denoiser(StrEnum):
    """Methods for images."""

    residual = "residual"
    filter2noise = "filter2noise"
    noise2score = "noise2score"


class Reconstructor(StrEnum):
    """Methods for projections."""

    posterior = "posterior"
    tv = "tv"
    fbp = "fbp"


class Window(StrEnum):
    """Windows of filtered back-projection."""

    ramlak = "ram-lak"
    shepplogan = "shepp-logan"
    cosine = "cosine"
    hann = "hann"


class Form(StrEnum):
    """Formats of volumes in a folder."""

    dicom = "dicom"
    niigz = "nii.gz"
    nii = "nii"
    h5 = "h5"
    nc = "nc"
    zarr = "zarr"


Target = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        metavar="OUT",
        help="A name without suffix for a DICOM series, or a file whose suffix chooses the "
        "format; a folder for several inputs.",
    ),
]
Series = Annotated[
    str | None,
    typer.Option(help="SeriesInstanceUID, where a folder holds several series."),
]
Seed = Annotated[int, typer.Option(min=0, help="Determines all noise.")]
FormOption = Annotated[
    Form | None, typer.Option("--format", help="Format of outputs in a folder; that of each input.")
]


@app.command()
def denoise(
    context: typer.Context,
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="IN", help="DICOM series (folders), NIfTI files, or a folder."),
    ],
    target: Target,
    method: Annotated[
        Denoiser,
        typer.Option(
            help="residual: diffusion with a trained model; filter2noise, noise2score: trained on "
            "the image itself."
        ),
    ] = Denoiser.residual,
    strength: Annotated[
        float, typer.Option(help="How far to go from the input (0) to the estimate (1).")
    ] = 1.0,
    model: Annotated[str, typer.Option(help="Name, folder or hub id (residual).")] = "ct-denoise",
    quality: QualityOption = Quality.balanced,
    samples: Annotated[
        int | None,
        typer.Option(
            min=1, help="Draws that are averaged (residual); the quality decides if not given."
        ),
    ] = None,
    seed: Seed = 0,
    series: Series = None,
    form: FormOption = None,
    report: Report = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
    threads: Threads = None,
) -> None:
    """Take noise out of low-dose images.

    OUT has the geometry and units (HU) of IN; a DICOM series keeps its patient and study. Beside
    it lie its standard deviation, where the method has one, and a JSON file with all that repeats
    the run. Several inputs go on after a failure, and finished ones are kept when the command is
    run again.
    """
    if not 0 <= strength <= 1:
        raise InputError(f"--strength {strength:g}: give 0 (input) to 1 (estimate)")
    _check_samples(method.value, samples)
    wanted: dict[str, Any] = {
        "method": method.value,
        "model": model if method is Denoiser.residual else "",
        "quality": quality.value,
        "samples": samples,
        "seed": seed,
        "strength": strength,
        "series": series,
    }

    def work(job: Job, replace: bool, progress: Progress) -> Outcome:
        from sciddm.pipelines.ct.run import denoise_file

        command = repeat(context, job)
        return denoise_file(
            job, wanted, command=command, report=report, overwrite=replace, progress=progress
        )

    def prepare() -> None:
        from sciddm.pipelines.ct.run import load_denoiser

        load_denoiser(method.value, wanted["model"])

    use_threads(threads)
    execute(
        context,
        inputs,
        target,
        work=work,
        outputs_of=lambda path: _outputs(path, method.value, samples, report),
        check=_check,
        request=wanted,
        read=VOLUMES,
        written=WRITTEN,
        suffix=_suffix(form),
        overwrite=overwrite,
        as_json=as_json,
        prepare=prepare,
        whole=_is_series,
        whole_kind=_SERIES,
    )


@app.command()
def reconstruct(
    context: typer.Context,
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN", help="Sinograms (.h5), folders of DICOM-CT-PD projections, or a folder."
        ),
    ],
    target: Target,
    method: Annotated[
        Reconstructor,
        typer.Option(
            help="posterior: sampling with a trained prior; tv: weighted total variation; fbp: "
            "filtered back-projection."
        ),
    ] = Reconstructor.posterior,
    model: Annotated[str, typer.Option(help="Name, folder or hub id (posterior).")] = "ct-prior",
    quality: QualityOption = Quality.balanced,
    samples: Annotated[
        int | None,
        typer.Option(min=2, help="Posterior samples; the quality decides if not given."),
    ] = None,
    seed: Seed = 0,
    window: Annotated[
        Window, typer.Option(help="On the ramp of filtered back-projection.")
    ] = Window.ramlak,
    size: Annotated[
        int | None, typer.Option(min=16, help="Pixels a side; the field of view's if not given.")
    ] = None,
    pixel_mm: Annotated[float | None, typer.Option(help="Size of the pixels in mm.")] = None,
    slice_mm: Annotated[
        float | None, typer.Option(help="Distance of the slices of DICOM-CT-PD in mm.")
    ] = None,
    views: Annotated[
        int | None, typer.Option(min=1, help="Keep so many of the views only, to compare.")
    ] = None,
    dose: Annotated[
        float | None, typer.Option(help="Take the dose down to this fraction first, to compare.")
    ] = None,
    form: Annotated[
        Form, typer.Option("--format", help="Format of the outputs in a folder.")
    ] = Form.niigz,
    report: Report = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
    threads: Threads = None,
) -> None:
    """Reconstruct images in HU from low-dose or sparse projections.

    Beside OUT lie its standard deviation, where the method has one, and a JSON file with all that
    repeats the run.
    """
    _check_samples(method.value, samples)
    if dose is not None and not 0 < dose <= 1:
        raise InputError(f"--dose {dose:g}: give a fraction above 0 and at most 1")
    for name, value in (("pixel-mm", pixel_mm), ("slice-mm", slice_mm)):
        if value is not None and not 0 < value < float("inf"):
            raise InputError(f"--{name} {value:g}: give more than 0")
    wanted: dict[str, Any] = {
        "method": method.value,
        "model": model if method is Reconstructor.posterior else "",
        "quality": quality.value,
        "samples": samples,
        "seed": seed,
        "window": window.value,
        "size": size,
        "pixel_mm": pixel_mm,
        "slice_mm": slice_mm,
        "views": views,
        "dose": dose,
    }

    def work(job: Job, replace: bool, progress: Progress) -> Outcome:
        from sciddm.pipelines.ct.run import reconstruct_file

        command = repeat(context, job)
        return reconstruct_file(
            job, wanted, command=command, report=report, overwrite=replace, progress=progress
        )

    def prepare() -> None:
        from sciddm.pipelines.ct.run import load_reconstructor

        load_reconstructor(method.value, wanted["model"])

    use_threads(threads)
    execute(
        context,
        inputs,
        target,
        work=work,
        outputs_of=lambda path: _outputs(path, method.value, samples, report),
        check=_check,
        request=wanted,
        read=SINOGRAMS,
        written=WRITTEN,
        suffix=_suffix(form),
        overwrite=overwrite,
        as_json=as_json,
        prepare=prepare,
        whole=_is_series,
        whole_kind=_SERIES,
    )


@app.command("simulate-dose")
def simulate_dose(
    context: typer.Context,
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="IN", help="DICOM series, NIfTI files, sinograms, or a folder."),
    ],
    target: Target,
    dose: Annotated[float, typer.Option(help="Fraction of the full dose.")] = 0.25,
    noise: Annotated[
        float | None,
        typer.Option(help="Noise in HU that the full dose leaves in the middle of the body [20]."),
    ] = None,
    flux: Annotated[
        float | None,
        typer.Option(help="Quanta per reading at full dose, in place of --noise."),
    ] = None,
    electronic_sd: Annotated[
        float | None, typer.Option(help="Electronic noise of a reading, quanta [10].")
    ] = None,
    views: Annotated[int | None, typer.Option(min=3, help="Views of the turn [360].")] = None,
    projections: Annotated[
        bool, typer.Option("--projections", help="Write the sinogram (.h5), not an image.")
    ] = False,
    seed: Seed = 0,
    series: Series = None,
    form: FormOption = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    threads: Threads = None,
) -> None:
    """Make images or projections as a scan of less dose would have given them.

    An image is projected by a fan-beam scanner and the reconstruction of the noise is added to
    it; its own noise stays in it. A sinogram that states its flux is thinned.
    """
    if noise is not None and flux is not None:
        raise InputError("--noise and --flux: both say how strong the full dose is, give one")
    if not 0 < dose <= 1:
        raise InputError(f"--dose {dose:g}: give a fraction above 0 and at most 1")
    wanted: dict[str, Any] = {
        "dose": dose,
        "noise": noise,
        "flux": flux,
        "electronic_sd": electronic_sd,
        "views": views,
        "projections": projections,
        "seed": seed,
        "series": series,
    }

    def work(job: Job, replace: bool, progress: Progress) -> Outcome:
        from sciddm.pipelines.ct.run import simulate_file

        command = repeat(context, job)
        return simulate_file(job, wanted, command=command, overwrite=replace, progress=progress)

    use_threads(threads)
    execute(
        context,
        inputs,
        target,
        work=work,
        outputs_of=_image_outputs,
        check=_check,
        request=wanted,
        read=(*VOLUMES, *SINOGRAMS),
        written=WRITTEN,
        suffix=".h5" if projections else _suffix(form),
        overwrite=overwrite,
        as_json=as_json,
        whole=_is_series,
        whole_kind=_SERIES,
    )


@app.command()
def evaluate(
    reference: Annotated[Path, typer.Option(help="Volume of full dose, or a folder of them.")],
    estimate: Annotated[
        Path, typer.Option(help="Volume to measure, or a folder of them, with the same names.")
    ],
    window: Annotated[
        tuple[float, float], typer.Option(help="Lowest and highest HU that count.")
    ] = (-160.0, 240.0),
    as_json: Json = False,
) -> None:
    """Measure volumes against references: RMSE, PSNR, SSIM, HU bias, noise and its texture."""
    from sciddm.pipelines.ct.evaluate import evaluate_volumes

    if not evaluate_volumes(reference, estimate, window, as_json=as_json):
        raise typer.Exit(1)


def _check_samples(method: str, samples: int | None) -> None:
    if samples is not None and method not in ("residual", "posterior"):
        raise InputError(f"--samples {samples}: {method} draws none, leave it out")


def _suffix(form: Form | None) -> str | None:
    if form is None:
        return None
    return "" if form is Form.dicom else f".{form.value}"


def _outputs(path: Path, method: str, samples: int | None, report: bool) -> list[Path]:
    from sciddm.pipelines.ct.run import has_spread, outputs

    return outputs(path, spread=has_spread(method, samples), report=report)


def _image_outputs(path: Path) -> list[Path]:
    from sciddm.pipelines.ct.run import outputs

    return outputs(path, spread=False, report=False)


def _check(paths: Sequence[Path], overwrite: bool) -> None:
    from sciddm.data_adapters.ct import check_ct_outputs

    check_ct_outputs(paths, overwrite)


def _is_series(folder: Path) -> bool:
    """Whether a folder is one series, of images or of projections."""
    from sciddm.data_adapters.ct import is_dicom_folder

    return is_dicom_folder(folder)
