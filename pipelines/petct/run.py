"""One study in, its outputs out: what the verbs of `sciddm petct` do."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import sciddm
from sciddm.data_adapters.attributes import sidecar
from sciddm.data_adapters.nifti import write_nifti
from sciddm.data_adapters.petct.images import SUFFIXES, open_ct_of, open_pet
from sciddm.data_adapters.petct.lesion_table import write_lesions
from sciddm.data_adapters.petct.rtstruct import save_rtstruct
from sciddm.data_adapters.petct.seg import save_seg
from sciddm.data_adapters.staging import staged
from sciddm.errors import InputError, OutputError
from sciddm.physics.petct.lesions import COLUMNS
from sciddm.pipelines.engine.batch import Job, Outcome, stem, with_page
from sciddm.pipelines.engine.report.page import write
from sciddm.pipelines.engine.summary import done, jsonable
from sciddm.pipelines.petct.describe import segmentation_facts, suv_facts
from sciddm.pipelines.petct.pipeline import TumourSegmentation, lesions_of
from sciddm.pipelines.petct.report import segmentation_report
from sciddm.progress import Progress

__all__ = ["is_dicom", "load_pipeline", "outputs", "segment_study", "suv_file", "suv_outputs"]


@lru_cache(maxsize=1)
def load_pipeline(model: str) -> TumourSegmentation:
    """The pipeline of a model."""
    return TumourSegmentation.from_pretrained(model)


def is_dicom(path: Path) -> bool:
    """Whether an input is a DICOM series, by its name."""
    return not path.name.lower().endswith(SUFFIXES)


def outputs(path: Path, ct: Path, *, rtstruct: bool, report: bool) -> list[Path]:
    """All that `segment_study` writes for a mask, the mask first, the JSON file before the page.

    Args:
        path: the mask, .nii.gz or .nii.
        ct: the CT; a DICOM series gets a DICOM-SEG.
        rtstruct: with contours.
        report: with the HTML page.

    Raises:
        OutputError: another suffix.
    """
    named = _named(path)
    kept = ["mask", "probability", "entropy", "lesions"]
    kept += ["seg"] * is_dicom(ct) + ["rtstruct"] * rtstruct
    return with_page([named[k] for k in [*kept, "json"]], report)


def suv_outputs(path: Path) -> list[Path]:
    """All that `suv_file` writes for a volume."""
    return [path, _named(path)["json"]]


def segment_study(
    job: Job,
    options: Mapping[str, Any],
    *,
    command: str,
    report: bool,
    overwrite: bool,
    progress: Progress,
) -> Outcome:
    """Segments a study and writes the outputs: all of them, or none.

    Args:
        job: the PET and the mask.
        options: ct, model, quality, samples, threshold, seed, pet_series, ct_series, weight_kg,
            dose_mbq, rtstruct.
        command: what makes the same again; kept with the result.
        report: write the HTML page.
        overwrite: existing outputs may be replaced.
        progress: is told how far it is.
    """
    ct_path = Path(options["ct"])
    if options["rtstruct"] and not is_dicom(ct_path):
        raise InputError(
            f"{ct_path}: contours are written over a DICOM series: leave --rtstruct out"
        )
    progress(0, 1, "reading")
    pet = open_pet(
        job.source,
        options["pet_series"],
        weight_kg=options["weight_kg"],
        dose_mbq=options["dose_mbq"],
    )
    ct = open_ct_of(ct_path, options["ct_series"])
    progress(0, 1, "loading the model")
    result = load_pipeline(options["model"])(
        pet,
        ct,
        quality=options["quality"],
        samples=options["samples"],
        threshold=options["threshold"],
        seed=options["seed"],
        progress=progress,
    )
    progress(1, 1, "measuring the lesions")
    lesions, labels = lesions_of(result, pet)
    result = result.assign_attrs(command=command, request=jsonable(options))
    progress(1, 1, "writing")
    named = _named(job.target)
    written = outputs(job.target, ct_path, rtstruct=options["rtstruct"], report=report)
    mask = result["mask"].values
    model = str(result.attrs["model"])
    series = ct.attrs.get("series") or options["ct_series"]
    # The mask last: where it is, the others are.
    with staged(written[::-1], overwrite) as at:
        write_nifti(mask, at[job.target], result.attrs)
        for name in ("probability", "entropy"):
            write_nifti(result[name].values, at[named[name]], result.attrs)
        write_lesions((lesion.row() for lesion in lesions), at[named["lesions"]], COLUMNS)
        if is_dicom(ct_path):
            save_seg(mask, at[named["seg"]], ct_path, series=series, model=model)
        if options["rtstruct"]:
            save_rtstruct(mask, at[named["rtstruct"]], ct_path, series=series)
        text = sidecar(result.attrs, "result", sciddm.__version__)
        at[named["json"]].write_text(text, encoding="utf-8")
        if report:
            source = f"{job.source.name} and {ct_path.name}"
            page = segmentation_report(
                result, pet, ct, lesions, labels, source=source, command=command
            )
            write(page, at[written[-1]])
    return done(job, segmentation_facts(result, lesions), written, result.attrs)


def suv_file(
    job: Job, options: Mapping[str, Any], *, command: str, overwrite: bool, progress: Progress
) -> Outcome:
    """Writes a PET series in SUV.

    Args:
        job: a DICOM series, and the NIfTI file.
        options: pet_series, weight_kg, dose_mbq.
        command: what makes the same again; kept with the result.
        overwrite: existing outputs may be replaced.
        progress: is told how far it is.
    """
    progress(0, 1, "reading")
    volume = open_pet(
        job.source,
        options["pet_series"],
        weight_kg=options["weight_kg"],
        dose_mbq=options["dose_mbq"],
    )
    written = suv_outputs(job.target)
    kept = {
        **{k: v for k, v in volume.attrs.items() if k not in ("patient", "series")},
        "command": command,
        "request": jsonable(options),
        "sciddm_version": sciddm.__version__,
    }
    with staged(written[::-1], overwrite) as at:
        write_nifti(np.asarray(volume.values), at[job.target], volume.attrs)
        at[written[1]].write_text(sidecar(kept, "result", sciddm.__version__), encoding="utf-8")
    return done(job, suv_facts(volume), written, volume.attrs)


def _named(path: Path) -> dict[str, Path]:
    if not path.name.lower().endswith(SUFFIXES):
        known = " or ".join(SUFFIXES)
        raise OutputError(f"{path}: masks and SUV are written to {known}: rename")
    name = stem(path, SUFFIXES)
    suffix = path.name[len(name) :]
    return {
        "mask": path,
        "probability": path.with_name(f"{name}_probability{suffix}"),
        "entropy": path.with_name(f"{name}_entropy{suffix}"),
        "lesions": path.with_name(f"{name}_lesions.csv"),
        "seg": path.with_name(f"{name}_seg.dcm"),
        "rtstruct": path.with_name(f"{name}_rtstruct.dcm"),
        "json": path.with_name(f"{name}.json"),
    }
