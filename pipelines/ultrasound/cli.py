"""`sciddm ultrasound`: the verbs of ultrasound scans."""

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

app = typer.Typer(help="Ultrasound: scans without haze.", no_args_is_help=True)

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".mp4", ".avi", ".mov")
READ = (".h5", ".hdf5", ".uff", ".npz", ".dcm", *_PICTURES)
WRITTEN = (".h5", ".hdf5", ".npz", ".dcm", *_PICTURES)


class Guidance(StrEnum):
    """Likelihood step."""

    mmps = "mmps"
    pigdm = "pigdm"
    dps = "dps"


class Kind(StrEnum):
    """What frames are."""

    rf = "rf"
    iq = "iq"
    envelope = "envelope"
    bmode = "bmode"


class View(StrEnum):
    """Simulated anatomy."""

    four_chamber = "four-chamber"
    short_axis = "short-axis"
    long_axis = "long-axis"
    phantom = "phantom"


class Form(StrEnum):
    """Formats of outputs in a folder."""

    h5 = "h5"
    npz = "npz"
    dcm = "dcm"
    png = "png"
    gif = "gif"
    tif = "tif"


Target = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        metavar="OUT",
        help="File, its suffix choosing the format; a folder for several scans.",
    ),
]
Inputs = Annotated[
    list[Path], typer.Argument(metavar="IN", help="Scans, or folders; one of pictures is a clip.")
]
Sampling = Annotated[float | None, typer.Option("--fs", help="Sampling frequency along depth, Hz.")]
Carrier = Annotated[float | None, typer.Option("--fc", help="Carrier or centre frequency, Hz.")]
Speed = Annotated[float | None, typer.Option("--c", help="Speed of sound, m/s [1540].")]
Pitch = Annotated[float | None, typer.Option("--pitch", help="Distance of lines or elements, m.")]
Axes = Annotated[
    str | None, typer.Option("--axes", help="Order of a .npz array's axes, 'lateral depth', say.")
]


@app.command()
def dehaze(
    context: typer.Context,
    inputs: Inputs,
    target: Target,
    gamma: Annotated[
        float | None,
        typer.Option(
            help="How much haze may explain: 0 nothing, 1 what its model expects "
            "[1, or 0 for echoes whose spectra speak against haze]."
        ),
    ] = None,
    quality: QualityOption = Quality.balanced,
    guidance: Annotated[
        Guidance | None, typer.Option(help="Likelihood step; by the quality if not given.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="Posterior samples, an even number; by the quality.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Determines all noise.")] = 0,
    tissue_model: Annotated[
        str | None, typer.Option(help="Name, folder or hub id; the bundled one if not given.")
    ] = None,
    haze_model: Annotated[
        str | None, typer.Option(help="Name, folder or hub id; the bundled one if not given.")
    ] = None,
    fs: Sampling = None,
    fc: Carrier = None,
    c: Speed = None,
    kind: Annotated[Kind | None, typer.Option(help="What the array of a .npz file holds.")] = None,
    axes: Axes = None,
    range_db: Annotated[
        float | None, typer.Option(help="Dynamic range of B-mode images, dB [the file's, or 60].")
    ] = None,
    form: Annotated[
        Form | None, typer.Option("--format", help="Format of the outputs in a folder [h5].")
    ] = None,
    report: Report = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
    threads: Threads = None,
) -> None:
    """Separate tissue from haze in RF, IQ, envelope and B-mode frames.

    OUT.h5 holds the tissue, what was taken away, the standard deviation and the scan as it was;
    beside it lies a JSON file with all that repeats the run. A clip that was stopped goes on with
    its next frame when the command is run again.
    """
    if gamma is not None and not 0 <= gamma <= 10:
        raise InputError(f"--gamma {gamma:g}: between 0 (haze explains nothing) and 10")
    if (tissue_model is None) != (haze_model is None):
        raise InputError("--tissue-model and --haze-model belong together: give both or none")
    wanted: dict[str, Any] = {
        "gamma": gamma,
        "quality": quality.value,
        "guidance": None if guidance is None else guidance.value,
        "samples": samples,
        "seed": seed,
        "tissue_model": tissue_model,
        "haze_model": haze_model,
        "fs": fs,
        "fc": fc,
        "c": c,
        "kind": None if kind is None else kind.value,
        "axes": axes,
        "range_db": range_db,
    }

    def work(job: Job, replace: bool, progress: Progress) -> Outcome:
        from sciddm.pipelines.ultrasound.run import dehaze_file

        return dehaze_file(
            job,
            wanted,
            command=repeat(context, job),
            report=report,
            overwrite=replace,
            progress=progress,
        )

    def outputs_of(path: Path) -> Sequence[Path]:
        from sciddm.pipelines.ultrasound.run import outputs

        return outputs(path, report)

    use_threads(threads)
    execute(
        context,
        inputs,
        target,
        work=work,
        outputs_of=outputs_of,
        check=_check,
        request=wanted,
        read=READ,
        written=WRITTEN,
        suffix=f".{form.value if form else 'h5'}",
        overwrite=overwrite,
        as_json=as_json,
        whole=_is_clip,
        whole_kind="clip of pictures",
    )


@app.command()
def beamform(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Channel data, .npz, UFF or zea.")],
    target: Target,
    fs: Sampling = None,
    fc: Carrier = None,
    c: Speed = None,
    pitch: Pitch = None,
    t0: Annotated[float | None, typer.Option("--t0", help="Time of the first sample, s.")] = None,
    axes: Axes = None,
    depth: Annotated[
        str | None, typer.Option(metavar="MM-MM", help="First and last depth, 5-45, say.")
    ] = None,
    lines: Annotated[int | None, typer.Option(min=2, help="Lines of the image.")] = None,
    sector: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            metavar="DEG",
            help="Half the opening angle of a sector; 0 for parallel lines [by the array].",
        ),
    ] = None,
    f_number: Annotated[float, typer.Option(min=0.0, help="Of the receiving aperture.")] = 1.5,
    overwrite: Overwrite = False,
    as_json: Json = False,
    threads: Threads = None,
) -> None:
    """Make IQ frames of channel data by delay and sum: plane, diverging and focused waves."""
    from sciddm.pipelines.engine.console import output, progress_bar
    from sciddm.pipelines.engine.summary import document, show
    from sciddm.pipelines.ultrasound.beamform import beamform_file

    if target.suffix.lower() != ".h5":
        raise InputError(f"{target}: beamformed frames are written as .h5: rename")
    _check([target], overwrite)
    use_threads(threads)
    stated = {"fs": fs, "fc": fc, "c": c, "pitch": pitch, "t0": t0, "axes": axes}
    with progress_bar(source.name) as progress:
        outcome = beamform_file(
            source,
            target,
            stated,
            depth_mm=None if depth is None else _depths(depth),
            lines=lines,
            sector_deg=sector,
            f_number=f_number,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        print(json.dumps(document([outcome], "sciddm ultrasound beamform"), indent=2))
    else:
        show([outcome], output())


@app.command()
def simulate(
    target: Target,
    clean: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the scan without haze too.")
    ] = None,
    view: Annotated[View, typer.Option(help="What is scanned.")] = View.four_chamber,
    frames: Annotated[int, typer.Option(min=1, help="Frames of one heart beat.")] = 1,
    depth: Annotated[int, typer.Option(min=64, help="Samples along depth.")] = 1024,
    lines: Annotated[int, typer.Option(min=16, help="Lines.")] = 128,
    iq: Annotated[bool, typer.Option("--iq", help="Baseband in place of RF.")] = False,
    fc: Annotated[float, typer.Option(min=1.0, help="Carrier, Hz.")] = 2.5e6,
    haze: Annotated[
        float | None, typer.Option("--haze-db", help="Diffuse haze, dB of full scale [-24].")
    ] = -24.0,
    seed: Annotated[int, typer.Option(min=0, help="Determines everything.")] = 0,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Make a scan with known tissue and known haze."""
    from sciddm.pipelines.engine.console import output
    from sciddm.pipelines.engine.summary import document, show
    from sciddm.pipelines.ultrasound.simulate import Wanted, simulate_file

    for path in (target, *([clean] if clean else [])):
        if path.suffix.lower() != ".h5":
            raise InputError(f"{path}: simulated scans are written as .h5: rename")
    _check([target, *([clean] if clean else [])], overwrite)
    wanted = Wanted(
        depth=depth,
        lines=lines,
        frames=frames,
        view=view.value,
        kind="iq" if iq else "rf",
        fc=fc,
        haze_db=haze,
        seed=seed,
    )
    outcome = simulate_file(wanted, target, clean, overwrite=overwrite)
    if as_json:
        print(json.dumps(document([outcome], "sciddm ultrasound simulate"), indent=2))
    else:
        show([outcome], output())


@app.command()
def evaluate(
    dehazed: Annotated[Path, typer.Option(help="Scan to measure, or a folder of them.")],
    clean: Annotated[
        Path | None, typer.Option(help="Clean scan, or a folder of the same names.")
    ] = None,
    roi: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROI",
            help="tissue:Z0-Z1,X0-X1 or blood:Z0-Z1,X0-X1 (samples, lines); or a .npz file with "
            "masks tissue and blood.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure gCNR and CNR between tissue and blood, and PSNR and KS against a clean scan."""
    from sciddm.pipelines.ultrasound.evaluate import evaluate_scans

    if not evaluate_scans(dehazed, clean, READ, roi=roi or (), as_json=as_json):
        raise typer.Exit(1)


def _depths(text: str) -> tuple[float, float]:
    try:
        first, last = (float(part) for part in text.split("-"))
    except ValueError as error:
        raise InputError(f"--depth {text}: give two numbers in mm, such as 5-45") from error
    return first, last


def _is_clip(folder: Path) -> bool:
    found = [p.suffix.lower() for p in folder.iterdir() if not p.name.startswith(".")]
    pictures = (".png", ".jpg", ".jpeg", ".bmp")
    others = set(READ) - set(pictures)
    return any(s in pictures for s in found) and not others.intersection(found)


def _check(paths: Sequence[Path], overwrite: bool) -> None:
    from sciddm.data_adapters.staging import check_outputs

    check_outputs(paths, overwrite=overwrite)
