"""`sciddm hsi`: the verbs of hyperspectral cubes."""

from __future__ import annotations

import json
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

app = typer.Typer(help="Hyperspectral: satellite cubes without noise.", no_args_is_help=True)

#: Suffixes of cubes; of ENVI's two files the header stands for both.
READ = (".hdr", ".tif", ".tiff", ".nc", ".zarr", ".mat", ".npz")
WRITTEN = (*READ, ".img", ".dat", ".bil", ".bip", ".bsq", ".raw")


class Case(StrEnum):
    """Noise of a simulated scene."""

    none = "none"
    gaussian = "gaussian"
    bands = "bands"
    mixture = "mixture"
    finch = "finch"


class Form(StrEnum):
    """Formats of cubes in a folder."""

    hdr = "hdr"
    tif = "tif"
    nc = "nc"
    zarr = "zarr"
    mat = "mat"
    npz = "npz"


Target = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        metavar="OUT",
        help="File, its suffix choosing the format; a folder for several scenes.",
    ),
]
Inputs = Annotated[list[Path], typer.Argument(metavar="IN", help="Scenes, or a folder of them.")]


@app.command()
def denoise(
    context: typer.Context,
    inputs: Inputs,
    target: Target,
    method: Annotated[
        str,
        typer.Option(
            help="subspace, finch: diffusion with a trained model; dds2m: diffusion without "
            "training; lowrank, tv: classical."
        ),
    ] = "subspace",
    model: Annotated[
        str | None, typer.Option(help="Name, folder or hub id; the method's own if not given.")
    ] = None,
    quality: QualityOption = Quality.balanced,
    samples: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Posterior samples for the standard deviation; the quality decides if not given.",
        ),
    ] = None,
    noise_std: Annotated[
        str | None,
        typer.Option(
            help="Standard deviation of the noise in the cube's unit, or a .json file of "
            "estimate-noise; estimated from the scene if not given."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Determines all noise.")] = 0,
    tile: Annotated[
        int | None,
        typer.Option(min=32, help="Side of a tile in pixels; by the number of bands if not given."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Address of a dask scheduler (tcp://host:8786) to do the tiles."),
    ] = None,
    form: Annotated[
        Form | None,
        typer.Option("--format", help="Format of the outputs in a folder; that of each input."),
    ] = None,
    report: Report = False,
    pixels: Annotated[
        list[str] | None,
        typer.Option(
            "--pixel", metavar="LINE,SAMPLE", help="Show its spectrum in the report (from 0)."
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    threads: Threads = None,
) -> None:
    """Take noise, stripes and dead pixels out of cubes of any size.

    OUT has the data type, wavelengths, georeference and other metadata of IN. Beside it lie the
    standard deviation of every entry, NAME_std, where the method has one, and a JSON file with all
    that repeats the run. Several scenes go on after a failure, and finished ones are kept when the
    command is run again.
    """
    from sciddm.pipelines.hsi.methods.build import method_class

    method_class(method)  # an unknown name is said before anything else
    places = [_pixel(text) for text in pixels or ()]
    if places and not report:
        raise InputError("--pixel is for the page of --report: add it")
    wanted: dict[str, Any] = {
        "method": method,
        "model": model,
        "quality": quality.value,
        "samples": samples,
        "noise_std": noise_std,
        "seed": seed,
        "tile": tile,
    }

    def work(job: Job, replace: bool, progress: Progress) -> Outcome:
        from sciddm.pipelines.hsi.run import denoise_file

        return denoise_file(
            job,
            wanted,
            command=repeat(context, job),
            report=report,
            pixels=places,
            scheduler=scheduler,
            overwrite=replace,
            progress=progress,
        )

    def prepare() -> None:
        from sciddm.pipelines.hsi.methods import build_method

        build_method(method, model, quality.value, samples)

    use_threads(threads)
    execute(
        context,
        inputs,
        target,
        work=work,
        outputs_of=lambda path: _outputs(path, method, report),
        check=_check,
        request=wanted,
        read=READ,
        written=WRITTEN,
        suffix=None if form is None else f".{form.value}",
        overwrite=overwrite,
        as_json=as_json,
        prepare=prepare,
    )


@app.command("estimate-noise")
def estimate_noise(
    inputs: Inputs,
    target: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help="Write the noise of every band: .json, which denoise --noise-std takes, or .csv.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    threads: Threads = None,
) -> None:
    """Estimate noise, stripes and dead pixels of cubes from the cubes alone.

    Prints one line per band for one scene, one line per scene for several.
    """
    from sciddm.pipelines.hsi.noise_table import estimate_files

    use_threads(threads)
    if not estimate_files(inputs, target, READ, overwrite=overwrite, as_json=as_json):
        raise typer.Exit(1)


@app.command()
def simulate(
    target: Target,
    clean: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the cube without noise too.")
    ] = None,
    lines: Annotated[int, typer.Option(min=1, help="Lines of the scene.")] = 256,
    samples: Annotated[int, typer.Option(min=1, help="Samples of a line.")] = 256,
    bands: Annotated[int, typer.Option(min=1, help="Bands, evenly spaced.")] = 80,
    start: Annotated[float, typer.Option(help="Where the first band begins, nm.")] = 900.0,
    stop: Annotated[float, typer.Option(help="Where the last band ends, nm.")] = 1700.0,
    noise: Annotated[
        Case,
        typer.Option(
            help="none; gaussian; bands: another level in each; mixture: that with stripes, dead "
            "lines and impulses; finch: stripe clusters and dead pixels."
        ),
    ] = Case.finch,
    level: Annotated[
        float, typer.Option(help="Standard deviation of Gaussian noise, reflectance.")
    ] = 0.02,
    library: Annotated[
        Path | None, typer.Option(help="Spectra (.npz of earthlib); procedural ones if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Determines the scene and its noise.")] = 0,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Make a scene of soil, crop residue and green vegetation as FINCH sees it (0.9 to 1.7 um)."""
    from sciddm.pipelines.engine.console import output
    from sciddm.pipelines.engine.summary import document, show
    from sciddm.pipelines.hsi.scenes import Wanted, simulate_file

    wanted = Wanted(lines, samples, bands, start, stop, noise.value, level, seed, library)
    outcome = simulate_file(wanted, target, clean, overwrite=overwrite)
    if as_json:
        print(json.dumps(document([outcome], "sciddm hsi simulate"), indent=2))
    else:
        show([outcome], output())


@app.command()
def evaluate(
    clean: Annotated[Path, typer.Option(help="Clean cube, or a folder of them.")],
    denoised: Annotated[Path, typer.Option(help="Cube to measure, or a folder of the same names.")],
    scale: Annotated[
        float | None,
        typer.Option(
            help="Value that counts as 1; if not given 1 for reflectance, else the largest of the "
            "clean cube."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure cubes against clean ones: PSNR of range 1, SSIM, SAM in degrees, ERGAS."""
    from sciddm.pipelines.hsi.evaluate import evaluate_cubes

    if not evaluate_cubes(clean, denoised, READ, scale=scale, as_json=as_json):
        raise typer.Exit(1)


def _pixel(text: str) -> tuple[int, int]:
    try:
        line, sample = (int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"--pixel {text}: give LINE,SAMPLE, such as 40,121") from error
    return line, sample


def _outputs(path: Path, method: str, report: bool) -> list[Path]:
    from sciddm.pipelines.hsi.run import outputs

    return outputs(path, method, report)


def _check(paths: Sequence[Path], overwrite: bool) -> None:
    from sciddm.data_adapters.staging import check_outputs

    check_outputs(paths, overwrite=overwrite)
