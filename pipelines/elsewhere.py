"""Which domain reads an input that another one cannot read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sciddm.pipelines.domains import DOMAINS, declared, load_domain
from sciddm.pipelines.engine.domain import Domain
from sciddm.pipelines.engine.verb import Transform

__all__ = ["elsewhere"]

_IMAGES = (".nii", ".nii.gz")
_RAW = "fastMRI or ISMRMRD .h5, Siemens meas_*.dat, BART .cfl"


def elsewhere(path: Path, domain: str, verb: str) -> str:
    """A sentence that names the command which reads an input; empty where none is known.

    Args:
        path: the input, which exists.
        domain: that cannot read it.
        verb: likewise.
    """
    if domain == "mri" and _is_image(path):
        return f"MRI {verb} needs raw k-space, not images: give {_RAW}"
    if domain not in DOMAINS:  # somebody else's
        return ""
    own = load_domain(domain)
    if own.recognises(path):
        return _other_verb(path, own, verb)
    readers = [load_domain(name) for name in declared() if name != domain]
    readers = [reader for reader in readers if reader.recognises(path)]
    if not readers:
        return ""
    kinds = " or ".join(_label(reader) for reader in readers)
    commands = " or ".join(_command(reader) for reader in readers)
    verb_of = "looks like" if len(readers) == 1 else "could be"
    return f"this {verb_of} {kinds} data, not {_label(own)}: use {commands}"


def _other_verb(path: Path, domain: Domain, verb: str) -> str:
    """Of the same domain, where this one does not read such files."""
    reads = [v for v in domain.verbs if isinstance(v, Transform) and v.source is not None]
    if any(v.name == verb and _takes(v, path) for v in reads):
        return ""
    other = next((v for v in reads if v.name != verb and _takes(v, path)), None)
    if other is None:
        return ""
    return f"`{verb}` does not read such files: use `sciddm {domain.name} {other.name}`"


def _takes(verb: Transform[..., Any, Any], path: Path) -> bool:
    assert verb.source is not None
    named = path.name.lower().endswith(verb.source.suffixes)
    return named or (path.is_dir() and verb.source.is_item(path))


def _label(domain: Domain) -> str:
    return domain.help.partition(":")[0]


def _command(domain: Domain) -> str:
    """Of the first verb that reads files."""
    reads = (v for v in domain.verbs if isinstance(v, Transform) and v.source is not None)
    verb = next(reads, None)
    return f"`sciddm {domain.name} {verb.name}`" if verb is not None else f"`sciddm {domain.name}`"


def _is_image(path: Path) -> bool:
    from sciddm.data_adapters.dicom_modality import modality_of

    return path.name.lower().endswith(_IMAGES) or bool(modality_of(path))
