"""`sciddm petct`: the verbs of PET/CT."""

from __future__ import annotations

from collections.abc import Sequence
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

app = typer.Typer(help="PET/CT: tumour segmentation, SUV.", no_args_is_help=True)

VOLUMES = (".nii.gz", ".nii")
_SERIES = "DICOM series"

PetSeries = Annotated[
    str | None, typer.Option(help="SeriesInstanceUID of the PET, where a folder holds several.")
]
Weight = Annotated[float | None, typer.Option(help="Patient's weight in place of the header's.")]
Dose = Annotated[float | None, typer.Option(help="Injected dose in place of the header's.")]


@app.command()
def segment(
    context: typer.Context,
    pet: Annotated[Path, typer.Option(help="DICOM series (folder), or NIfTI in SUV.")],
    ct: Annotated[Path, typer.Option(help="DICOM series (folder), or NIfTI in HU.")],
    target: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT", help="The mask: .nii.gz or .nii.")
    ],
    model: Annotated[str, typer.Option(help="Name, folder or hub id.")] = "petct-sarcoma",
    quality: QualityOption = Quality.balanced,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Masks drawn; the quality decides if not given.")
    ] = None,
    threshold: Annotated[
        float, typer.Option(help="Probability from which a voxel is tumour.")
    ] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="Determines all noise.")] = 0,
    pet_series: PetSeries = None,
    ct_series: Annotated[
        str | None, typer.Option(help="SeriesInstanceUID of the CT, where a folder holds several.")
    ] = None,
    weight_kg: Weight = None,
    dose_mbq: Dose = None,
    rtstruct: Annotated[
        bool, typer.Option("--rtstruct", help="Write contours too (CT in DICOM).")
    ] = False,
    report: Report = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
    threads: Threads = None,
) -> None:
    """Mark tumours in a study.

    OUT lies on the voxels of the CT. Beside it lie the probability and its entropy, a table of the
    lesions (SUVmax, SUVmean, SUVpeak, MTV, TLG), a DICOM-SEG if the CT is DICOM, and a JSON file
    with all that repeats the run. PET and CT may lie in one folder.
    """
    if not 0 < threshold < 1:
        raise InputError(f"--threshold {threshold:g}: give more than 0 and less than 1")
    _check_given(weight_kg, dose_mbq)
    for path in (pet, ct):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder: check the name")
    if pet.samefile(ct) and not pet.is_dir():
        raise InputError(f"{pet}: is given as PET and as CT: give both")
    wanted: dict[str, Any] = {
        "ct": str(ct),
        "model": model,
        "quality": quality.value,
        "samples": samples,
        "threshold": threshold,
        "seed": seed,
        "pet_series": pet_series,
        "ct_series": ct_series,
        "weight_kg": weight_kg,
        "dose_mbq": dose_mbq,
        "rtstruct": rtstruct,
    }

    def work(job: Job, replace: bool, progress: Progress) -> Outcome:
        from sciddm.pipelines.petct.run import segment_study

        command = repeat(context, job, positional=False)
        return segment_study(
            job, wanted, command=command, report=report, overwrite=replace, progress=progress
        )

    def outputs_of(path: Path) -> list[Path]:
        from sciddm.pipelines.petct.run import outputs

        return outputs(path, ct, rtstruct=rtstruct, report=report)

    use_threads(threads)
    execute(
        context,
        [pet],
        target,
        work=work,
        outputs_of=outputs_of,
        check=_check,
        request=wanted,
        read=VOLUMES,
        written=VOLUMES,
        suffix=".nii.gz",
        overwrite=overwrite,
        as_json=as_json,
        whole=_is_series,
        whole_kind=_SERIES,
    )


@app.command()
def suv(
    context: typer.Context,
    inputs: Annotated[
        list[Path], typer.Argument(metavar="IN", help="DICOM series of PET, or a folder of them.")
    ],
    target: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="OUT", help=".nii.gz or .nii; a folder for several inputs."
        ),
    ],
    pet_series: PetSeries = None,
    weight_kg: Weight = None,
    dose_mbq: Dose = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Convert PET to SUV normalised by body weight."""
    _check_given(weight_kg, dose_mbq)
    wanted = {"pet_series": pet_series, "weight_kg": weight_kg, "dose_mbq": dose_mbq}

    def work(job: Job, replace: bool, progress: Progress) -> Outcome:
        from sciddm.pipelines.petct.run import suv_file

        command = repeat(context, job)
        return suv_file(job, wanted, command=command, overwrite=replace, progress=progress)

    def outputs_of(path: Path) -> list[Path]:
        from sciddm.pipelines.petct.run import suv_outputs

        return suv_outputs(path)

    execute(
        context,
        inputs,
        target,
        work=work,
        outputs_of=outputs_of,
        check=_check,
        request=wanted,
        read=VOLUMES,
        written=VOLUMES,
        suffix=".nii.gz",
        overwrite=overwrite,
        as_json=as_json,
        whole=_is_series,
        whole_kind=_SERIES,
    )


@app.command()
def evaluate(
    reference: Annotated[Path, typer.Option(help="True mask (NIfTI), or a folder of masks.")],
    estimate: Annotated[
        Path, typer.Option(help="Mask to measure, or a folder of masks of the same names.")
    ],
    tolerance_mm: Annotated[float, typer.Option(help="Of the surface Dice.")] = 3.0,
    as_json: Json = False,
) -> None:
    """Measure masks: Dice, HD95, surface Dice, precision, recall, volume, and DSCagg over all.

    An empty mask against one that is not has Dice 0 and an infinite HD95; two empty ones have
    Dice 1 and HD95 0.
    """
    from sciddm.pipelines.petct.evaluate import evaluate_masks

    if not evaluate_masks(reference, estimate, tolerance_mm, as_json=as_json):
        raise typer.Exit(1)


def _check_given(weight_kg: float | None, dose_mbq: float | None) -> None:
    for name, value in (("weight-kg", weight_kg), ("dose-mbq", dose_mbq)):
        if value is not None and not 0 < value < float("inf"):
            raise InputError(f"--{name} {value:g}: give more than 0")


def _check(paths: Sequence[Path], overwrite: bool) -> None:
    from sciddm.data_adapters.staging import check_outputs

    check_outputs(paths, overwrite)


def _is_series(folder: Path) -> bool:
    """Whether a folder is one DICOM series."""
    from sciddm.data_adapters.ct import is_dicom_folder

    return is_dicom_folder(folder)
