"""What an installation has and lacks: libraries, device, memory, disk, bundled models."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sciddm import __version__

if TYPE_CHECKING:
    import torch

__all__ = ["Check", "checks"]

_LEAST_MEMORY, _SCARCE_MEMORY = 1 << 30, 4 << 30
_LEAST_DISK, _SCARCE_DISK = 100 << 20, 2 << 30
#: What the libraries of an extra are for.
_EXTRAS = {
    "petct": "PET/CT segmentation and DICOM-SEG",
    "train": "training",
    "results": "results.parquet of a batch",
    "cluster": "dask clusters",
    "noncartesian": "radial and spiral MRI",
    "twix": "Siemens raw data",
    "dicom": "compressed DICOM",
    "video": "video clips",
    "speech-metrics": "PESQ and STOI",
    "docs": "building the documentation and the notebooks",
}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: in one or two words.
        state: ok; note, where something optional is missing or scarce; problem, where commands
            fail or results cannot be trusted.
        text: what is there.
        advice: what to do, empty where there is nothing.
    """

    name: str
    state: Literal["ok", "note", "problem"]
    text: str
    advice: str = ""


def checks() -> Iterator[Check]:
    """All checks, one after the other."""
    yield Check("sciddm", "ok", f"{__version__}, Python {platform.python_version()}")
    yield from _libraries()
    yield _device()
    yield _threads()
    yield _memory()
    yield from _disks()
    yield _isolation()
    yield from _models()


def _libraries() -> Iterator[Check]:
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires("sciddm") or []
    except metadata.PackageNotFoundError:
        yield Check("libraries", "note", "sciddm runs without being installed", "pip install .")
        return
    wanted: dict[str, list[Requirement]] = {}
    for line in lines:
        requirement = Requirement(line)
        for extra in ("", *_EXTRAS):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                wanted.setdefault(extra, []).append(requirement)
                break
    core = wanted.pop("", [])
    bad = [problem for r in core if (problem := _missing(r.name, r.specifier))]
    if bad:
        yield Check("libraries", "problem", ", ".join(bad), "pip install --upgrade sciddm")
    else:
        shown = ", ".join(f"{n} {metadata.version(n)}" for n in ("torch", "monai", "xarray"))
        yield Check("libraries", "ok", f"{len(core)} of {len(core)}: {shown} and others")
    for extra, requirements in wanted.items():
        bad = [problem for r in requirements if (problem := _missing(r.name, r.specifier))]
        advice = f"For {_EXTRAS[extra]}: pip install 'sciddm[{extra}]'" if bad else ""
        text = ", ".join(bad) if bad else ", ".join(r.name for r in requirements)
        yield Check(f"extra {extra}", "note" if bad else "ok", text, advice)


def _missing(name: str, specifier: object) -> str:
    """What is wrong with a library, empty if nothing is."""
    from packaging.specifiers import SpecifierSet

    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is missing"
    assert isinstance(specifier, SpecifierSet)
    if not specifier.contains(version, prereleases=True):
        return f"{name} {version} is not {specifier}"
    return ""


def _device() -> Check:
    try:
        import torch  # noqa: F401
    except Exception as error:  # a broken wheel raises whatever its libraries raise
        return Check("device", "problem", f"torch cannot be loaded ({error})", "Reinstall torch.")
    from sciddm.device import available, resolve
    from sciddm.errors import InputError

    names = ", ".join(_described(device) for device in available())
    try:
        chosen = resolve()
    except InputError as error:
        return Check("device", "problem", str(error), "Unset SCIDDM_DEVICE.")
    return Check("device", "ok", f"{names}; auto takes {chosen}")


def _described(device: torch.device) -> str:
    """Name of a device, its model and its memory."""
    import torch

    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        return f"{device} ({about.name}, {_size(about.total_memory)})"
    if device.type == "mps":
        return str(device)
    return f"cpu ({platform.processor() or platform.machine()})"


def _threads() -> Check:
    import torch

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = torch.get_num_threads()
    text = f"{threads} of {usable} processors"
    if usable is not None and threads > usable:
        return Check("threads", "note", text, "More threads than processors: give --threads.")
    return Check("threads", "ok", text)


def _memory() -> Check:
    from sciddm.data_adapters.memory import available_memory

    free = available_memory()
    if free < _LEAST_MEMORY:
        return Check("memory", "problem", f"{_size(free)} free", "Close other programs.")
    if free < _SCARCE_MEMORY:
        return Check("memory", "note", f"{_size(free)} free", "Large volumes may not fit.")
    return Check("memory", "ok", f"{_size(free)} free")


def _disks() -> Iterator[Check]:
    for name, folder in (("disk here", Path.cwd()), ("disk temp", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free
        text = f"{_size(free)} free in {folder}"
        if name == "disk temp" and not os.access(folder, os.W_OK):
            yield Check(name, "problem", f"{folder} cannot be written", "Set TMPDIR.")
        elif free < _LEAST_DISK:
            yield Check(name, "problem", text, "Free some space.")
        else:
            scarce = free < _SCARCE_DISK
            advice = "Large outputs may not fit." if scarce else ""
            yield Check(name, "note" if scarce else "ok", text, advice)


def _isolation() -> Check:
    if os.environ.get("SCIDDM_ISOLATION") == "off":
        return Check(
            "file reading", "note", "in this process (SCIDDM_ISOLATION=off)",
            "A file that crashes its library stops the command: unset SCIDDM_ISOLATION.",
        )  # fmt: skip
    return Check("file reading", "ok", "in a worker process with limits")


def _models() -> Iterator[Check]:
    from sciddm.zoo.catalog import BUNDLED, card
    from sciddm.zoo.folder import weights_hash
    from sciddm.zoo.names import is_model_folder

    advice = "Install sciddm again: pip install --force-reinstall --no-deps sciddm"
    folders = sorted(p for p in BUNDLED.iterdir() if p.is_dir()) if BUNDLED.is_dir() else []
    if not folders:
        yield Check("models", "problem", "none is bundled", advice)
        return
    whole = 0
    for folder in folders:
        if not is_model_folder(folder):
            yield Check(f"model {folder.name}", "problem", "files are missing", advice)
            continue
        try:
            expected = card(folder).weights_sha256
        except Exception as error:  # whatever is wrong with one card, the others are told
            yield Check(f"model {folder.name}", "problem", f"damaged card ({error})", advice)
            continue
        if expected != weights_hash(folder):
            text = "the weights are not those of its card"
            yield Check(f"model {folder.name}", "problem", text, advice)
            continue
        whole += 1
    if whole:
        yield Check("models", "ok", f"{whole} of {len(folders)} bundled models are whole")


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB"
