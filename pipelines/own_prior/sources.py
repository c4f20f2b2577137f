"""What a folder holds: files and series, each with the patient, scene or speaker it is of.

The group of a source follows one rule, which is written into the run's folder:

=========  ===================================================================================
rule       group
=========  ===================================================================================
patient    PatientID of the DICOM header
folder     the first folder below the one that all sources share
stem       the name before its first ``_``: ``p07_t1.nii.gz`` and ``p07_t2.nii.gz`` are of p07
file       every file is a group of its own
=========  ===================================================================================

Without a rule of the user's the first is taken that tells at least two groups apart; ``file`` is
never taken by itself where files may share a patient.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sciddm.errors import InputError, OptionError
from sciddm.pipelines.engine.folders import files_below

__all__ = ["RULES", "Kind", "Source", "grouped", "sources_of"]

#: Rule -> what it says in words.
RULES = {
    "patient": "PatientID of the DICOM header",
    "folder": "first folder below the one that all files share",
    "stem": "file name before its first underscore",
    "file": "every file for itself",
}
#: Suffix -> the domain that reads such files, for advice.
_ELSEWHERE = {
    ".wav": "speech",
    ".flac": "speech",
    ".mp3": "speech",
    ".hdr": "hsi",
    ".tif": "hsi",
    ".nii.gz": "mri, ct or petct",
    ".nii": "mri, ct or petct",
    ".dcm": "mri, ct or petct",
    ".png": "images, mri or ultrasound",
    ".jpg": "images, mri or ultrasound",
    ".npy": "images",
}
_MODALITIES = {"MR": "mri", "CT": "ct", "PT": "petct", "US": "ultrasound"}


@dataclass(frozen=True)
class Kind:
    """Which files a domain takes.

    Attributes:
        domain: its name.
        suffixes: of files.
        modality: of DICOM series, "" for none.
        word: what a group is: patient, scene or speaker.
        alone: a file by itself may count as a group without being asked for.
    """

    domain: str
    suffixes: tuple[str, ...]
    modality: str = ""
    word: str = "patient"
    alone: bool = False


@dataclass(frozen=True)
class Source:
    """A file, or a series in a folder.

    Attributes:
        path: the file or folder.
        name: from the folder of data on, with the series' number where a folder holds several.
        series: SeriesInstanceUID, "" for a file.
        patient: PatientID, "" where there is none.
        group: of which it is.
    """

    path: Path
    name: str
    series: str = ""
    patient: str = ""
    group: str = ""


def sources_of(folder: Path, kind: Kind) -> list[Source]:
    """The sources of a folder and its subfolders, by name, without groups.

    Raises:
        InputError: no such folder, nothing in it, or nothing that the domain takes.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder: --data names the folder of the training data")
    found: list[Source] = []
    others: Counter[str] = Counter()
    modalities: Counter[str] = Counter()
    for place, own in files_below(folder):
        own_kind = [name for name in own if name.lower().endswith(kind.suffixes)]
        for name in own_kind:
            path = place / name
            found.append(Source(path, path.relative_to(folder).as_posix()))
        rest = [place / name for name in own if name not in own_kind]
        if rest and (series := _series(place, folder, rest, kind, modalities)):
            found += series
        else:
            others.update(_suffix(path) for path in rest)
    if found:
        return sorted(found, key=lambda source: source.name)
    if modalities:
        modality = modalities.most_common(1)[0][0]
        domain = _MODALITIES.get(modality)
        advice = f"take --domain {domain}" if domain else "no domain trains on these"
        raise InputError(
            f"{folder}: its DICOM files are of modality {modality}, not {kind.modality}: {advice}"
        )
    if not others:
        raise InputError(f"{folder}: holds no files: name the folder of the training data")
    suffix, count = others.most_common(1)[0]
    instead = f"{count} {'files' if count > 1 else 'file'} {suffix or 'without a suffix'}"
    domain = _ELSEWHERE.get(suffix)
    advice = f", which --domain {domain} reads" if domain and domain != kind.domain else ""
    suffixes = ", ".join(kind.suffixes) + (" or DICOM" if kind.modality else "")
    raise InputError(
        f"{folder}: no file for {kind.domain} ({suffixes}) in it, but {instead}{advice}"
    )


def grouped(
    folder: Path, sources: Sequence[Source], kind: Kind, rule: str | None
) -> tuple[str, list[Source]]:
    """The rule, and the sources with their groups.

    Args:
        folder: for messages.
        sources: of it.
        kind: what the domain takes.
        rule: of ``RULES``; None to take the first that tells groups apart.

    Raises:
        OptionError: no such rule.
        InputError: the rule does not apply, or leaves one group.
    """
    if rule is not None and rule not in RULES:
        raise OptionError("split_by", f"take one of {', '.join(RULES)}, not {rule}")
    tried = [rule] if rule is not None else ["patient", "folder", "stem", *["file"] * kind.alone]
    for name in tried:
        groups = _groups(sources, name)
        if groups is not None and len(set(groups)) > 1:
            return name, [replace(s, group=g) for s, g in zip(sources, groups, strict=True)]
    if len(sources) == 1:
        raise InputError(
            f"{folder}: one file only ({sources[0].name}): a split needs two {kind.word}s at least"
        )
    if rule == "patient" and _groups(sources, rule) is None:
        raise InputError(f"{folder}: not every file has a PatientID: take another --split-by")
    raise InputError(
        f"{folder}: all {len(sources)} files are of one {kind.word}, which leaves none to validate "
        f"on: add another {kind.word}, or take --split-by file where each file is of another one"
    )


def _series(
    place: Path, folder: Path, files: Sequence[Path], kind: Kind, modalities: Counter[str]
) -> list[Source]:
    """The DICOM series of the domain's modality in a folder; counts those of others."""
    from sciddm.data_adapters.dicom_files import is_dicom_file

    if not any(
        path.suffix.lower() == ".dcm" or (path.is_file() and is_dicom_file(path)) for path in files
    ):
        return []
    from sciddm.data_adapters.dicom_patients import patient_series

    every = patient_series(place)
    own = [series for series in every if series.modality == kind.modality]
    modalities.update(series.modality for series in every if series.modality != kind.modality)
    name = place.relative_to(folder).as_posix()
    return [
        Source(place, f"{name}#{k}" if len(own) > 1 else name, series.uid, series.patient)
        for k, series in enumerate(own)
    ]


def _groups(sources: Sequence[Source], rule: str) -> list[str] | None:
    """The group of each source; None where the rule does not apply to all."""
    if rule == "patient":
        patients = [source.patient for source in sources]
        return patients if all(patients) else None
    if rule == "folder":
        # A series is its folder: two series of a patient lie in folders of their own.
        folders = [_folders(source) for source in sources]
        shared = _shared(folders)
        below = [parts[shared:] for parts in folders]
        return [parts[0] for parts in below] if all(below) else None
    if rule == "stem":
        return [_stem(source).partition("_")[0] for source in sources]
    return [source.name for source in sources]


def _folders(source: Source) -> list[str]:
    parts = source.name.partition("#")[0].split("/")
    return parts if source.series else parts[:-1]


def _shared(paths: Sequence[Sequence[str]]) -> int:
    """How many folders all of the paths begin with."""
    count = 0
    for level in zip(*paths, strict=False):
        if len(set(level)) > 1:
            break
        count += 1
    return count


def _stem(source: Source) -> str:
    name = source.name.rpartition("/")[2]
    return name.partition("#")[0] if source.series else name.partition(".")[0]


def _suffix(path: Path) -> str:
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()
