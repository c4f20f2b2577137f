"""Scans to give to the command line, and a pipeline that needs no model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from sciddm.errors import InputError
from sciddm.physics.mri.masks import make_mask
from sciddm.pipelines.mri.preparation import prepared
from sciddm.pipelines.mri.retrospective import Undersampling

HEADER = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
<acquisitionSystemInformation><systemFieldStrength_T>1.5</systemFieldStrength_T>
</acquisitionSystemInformation>
<encoding><encodedSpace><matrixSize><x>{nx}</x><y>{ny}</y><z>1</z></matrixSize>
<fieldOfView_mm><x>{fx}</x><y>{fy}</y><z>4.0</z></fieldOfView_mm></encodedSpace>
<reconSpace><matrixSize><x>{nx}</x><y>{ny}</y><z>1</z></matrixSize>
<fieldOfView_mm><x>{fx}</x><y>{fy}</y><z>4.0</z></fieldOfView_mm></reconSpace>
<trajectory>cartesian</trajectory></encoding></ismrmrdHeader>"""


@dataclass
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def error_lines(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


Sciddm = Callable[..., Answer]


def object_kspace(coils: int = 3, shape: tuple[int, int] = (32, 32), seed: int = 0) -> np.ndarray:
    """k-space (1, coil, ky, kx) of a disc seen by coils with linear phase, with a little noise."""
    ny, nx = shape
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:ny, :nx]
    disc = (np.hypot((y - ny / 2) / ny, (x - nx / 2) / nx) < 0.35) * (1.0 + 0.3 * (x > nx / 2))
    angle = 2 * np.pi * np.arange(coils)[:, None, None] / coils
    ramp = (y - ny / 2) / ny * np.cos(angle) + (x - nx / 2) / nx * np.sin(angle)
    images = disc * np.exp(-((ramp - 0.4) ** 2)) * np.exp(1j * angle)
    axes = (-2, -1)
    k = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images, axes=axes), norm="ortho"), axes=axes)
    k = k + 0.01 * (rng.normal(size=k.shape) + 1j * rng.normal(size=k.shape))
    return k[None].astype(np.complex64)


def write_scan(
    path: Path,
    kspace: np.ndarray | None = None,
    mask: np.ndarray | None = None,
) -> Path:
    """A multi-coil file in fastMRI's layout, pixels of 2 mm."""
    kspace = object_kspace() if kspace is None else kspace
    ny, nx = kspace.shape[-2:]
    header = HEADER.format(nx=nx, ny=ny, fx=2.0 * nx, fy=2.0 * ny)
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace
        file["ismrmrd_header"] = header
        if mask is not None:
            file["mask"] = mask
    return path


def undersampled_scan(path: Path, acs: int = 12) -> Path:
    """A scan of which every second line or so is left, and `acs` in the centre."""
    k = object_kspace()
    mask = make_mask("random", k.shape[-2:], 2, acs, seed=1)
    return write_scan(path, k * mask)


class FakePipeline:
    """Answers with the root of the sum of squares; a scan with `bad` in its name contradicts."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def __call__(self, scan: xr.Dataset, /, **options: Any) -> xr.Dataset:
        request = None
        if options.get("undersample"):
            made = [options[k] for k in ("undersample", "mask", "acs", "axis", "seed")]
            request = Undersampling(*made)
        scan = prepared(scan, request, options.get("maps"), options.get("coils"), None)
        self.calls.append({"scan": scan, **options})
        k = scan["kspace"].values
        if not np.isfinite(k).all():
            raise InputError(f"{scan.attrs['source']}: NaN")
        axes = (-2, -1)
        images = np.fft.fftshift(
            np.fft.ifft2(np.fft.ifftshift(k, axes=axes), norm="ortho"), axes=axes
        )
        image = np.sqrt((np.abs(images) ** 2).sum(1)).astype(np.float32)
        dims = ("slice", "y", "x")
        bad = "bad" in str(scan.attrs.get("source", ""))
        count = options["samples"] or 4
        variables: dict[str, Any] = {
            "reconstruction": (dims, image),
            "std": (dims, 0.1 * image),
            "zero_filled": (dims, 0.5 * image),
            "residual": (
                ("slice", "ky", "kx"),
                np.where(k.any(1), 1.0, np.nan).astype(np.float32),
            ),
        }
        if "reference" in scan:
            variables["reference"] = scan["reference"]
        if options["keep_samples"]:
            samples = np.repeat(image[None].astype(np.complex64), count, axis=0)
            variables["samples"] = (("sample", *dims), samples)
        options["progress"](1, 1, "slice 1 of 1")
        attrs = {
            **scan.attrs,
            "model": "fake",
            "weights_sha256": "0" * 64,
            "sampler": "none",
            "steps": 1,
            "samples": count,
            "nfe": 13,
            "nvjp": 0,
            "seed": options["seed"],
            "quality": options["quality"],
            "sciddm_version": "0.1.0",
            "acceleration": 2.0,
            "coils": scan.sizes["coil"],
            "noise_std": options["noise_std"] or 0.014,
            "consistency": 1.7 if bad else 1.02,
            "contradicts": int(bad),
            "warnings": '["The image contradicts the data: residual 1.70 times the noise."]'
            if bad
            else "[]",
        }
        return xr.Dataset(variables, attrs=attrs)


def everything(folder: Path) -> set[str]:
    """All files below a folder, hidden ones too, without the table of a batch's results."""
    table = {".results", "results.csv", "results.parquet"}
    paths = (p.relative_to(folder) for p in folder.rglob("*"))
    return {str(p) for p in paths if not table & set(p.parts)}
