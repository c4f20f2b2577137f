"""Faults that were found once: a sample with one change, and the words of the answer.

The fuzzer reads each of them first, and mutates them as it does the samples.
"""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pydicom
import torch
from safetensors.torch import load_file, save_file

from tests.fuzz.corpus import SAMPLES
from tests.fuzz.sample import Sample

__all__ = ["SEEDS", "Seed", "seed_samples"]

Change = Callable[[Path], None]


@dataclass(frozen=True)
class Seed:
    """One fault.

    Attributes:
        name: for the report.
        of: name of the sample that is changed.
        change: damages the sample in a folder.
        words: pattern of the error; "" where the file is read as if nothing were.
    """

    name: str
    of: str
    change: Change
    words: str


class _Code:
    """Makes the folder ``mark`` when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("mark",)


def _pickle_in_zarr(folder: Path) -> None:
    metadata = folder / "a.zarr" / "cube" / ".zarray"
    content = json.loads(metadata.read_text())
    content["compressor"] = {"id": "pickle", "protocol": 5}
    metadata.write_text(json.dumps(content))
    for chunk in (folder / "a.zarr" / "cube").rglob("*"):
        if chunk.is_file() and chunk.name not in _METADATA:
            chunk.write_bytes(pickle.dumps(_Code()))


_METADATA = ("zarr.json", ".zarray", ".zattrs")


def _chunk_of_zarr(folder: Path) -> None:
    chunks = [p for p in (folder / "a.zarr" / "cube").rglob("*") if p.is_file()]
    largest = max((p for p in chunks if p.name not in _METADATA), key=lambda p: p.stat().st_size)
    largest.write_bytes(b"\x02\x01\x21\x04" + bytes(40))


def _hdf5(name: str, change: Callable[[h5py.File, Path], None]) -> Change:
    def damage(folder: Path) -> None:
        with h5py.File(folder / name, "a") as file:
            change(file, folder)

    return damage


def _external_storage(file: h5py.File, folder: Path) -> None:
    del file["sinogram"]
    file.create_dataset("sinogram", (2, 6, 9), "f4", external=[("/etc/passwd", 0, 432)])


def _external_link(file: h5py.File, folder: Path) -> None:
    del file["sinogram"]
    file["sinogram"] = h5py.ExternalLink("/etc/hostname", "/x")


def _virtual(file: h5py.File, folder: Path) -> None:
    del file["sinogram"]
    layout = h5py.VirtualLayout((2, 6, 9), "f4")
    layout[:] = h5py.VirtualSource("../gone.h5", "x", (2, 6, 9))
    file.create_virtual_dataset("sinogram", layout)


def _unwritten(file: h5py.File, folder: Path) -> None:
    shape = file["kspace"].shape
    attrs = dict(file["kspace"].attrs)
    del file["kspace"]
    node = file.create_dataset("kspace", shape, "c8", chunks=(1, 1, *shape[2:]))
    node[:, :1] = 1
    node.attrs.update(attrs)


def _text(where: str) -> Callable[[h5py.File, Path], None]:
    def change(file: h5py.File, folder: Path) -> None:
        if where in file:
            del file[where]
        file[where] = "text"

    return change


def _attribute(node: str, name: str, value: Any) -> Callable[[h5py.File, Path], None]:
    def change(file: h5py.File, folder: Path) -> None:
        if name in file[node].attrs:
            del file[node].attrs[name]
        file[node].attrs[name] = value

    return change


def _empty_scale(file: h5py.File, folder: Path) -> None:
    attrs = {k: v for k, v in file["wavelength"].attrs.items() if k in ("CLASS", "NAME")}
    del file["wavelength"]
    file["wavelength"] = h5py.Empty("f4")
    file["wavelength"].attrs.update(attrs)


def _unneeded(folder: Path) -> None:
    """A variable of 64 GiB beside the cube, of which nothing was written."""
    with netCDF4.Dataset(folder / "a.nc", "a") as file:
        for name in ("p", "q", "r"):
            file.createDimension(name, 2**12)
        chunks = (1, 64, 64)
        file.createVariable("other", "u1", ("p", "q", "r"), chunksizes=chunks, zlib=True)


def _npz(**changes: Any) -> Change:
    def damage(folder: Path) -> None:
        path = folder / "a.npz"
        with np.load(path, allow_pickle=False) as file:
            arrays = {k: file[k] for k in file.files}
        arrays.update(changes)
        np.savez(path, **{k: np.asarray(v) for k, v in arrays.items() if v is not None})

    return damage


def _announced(name: str) -> Change:
    """A member that announces 2.5 GiB, packed into a few bytes."""

    def damage(folder: Path) -> None:
        with (
            zipfile.ZipFile(folder / "a.npz") as old,
            zipfile.ZipFile(folder / "b.npz", "w", zipfile.ZIP_DEFLATED) as new,
        ):
            for member in old.namelist():
                if member != f"{name}.npy":
                    new.writestr(member, old.read(member))
            with new.open(f"{name}.npy", "w") as file:
                header = {"descr": "<f4", "fortran_order": False, "shape": (3, 6, 2**25)}
                np.lib.format.write_array_header_1_0(file, header)
                file.write(bytes(2**16))
        (folder / "b.npz").replace(folder / "a.npz")

    return damage


def _header(old: str, new: str) -> Change:
    """Of ENVI: an entry in place of another, or one more."""

    def damage(folder: Path) -> None:
        path = folder / "a.hdr"
        lines = [li for li in path.read_text().splitlines() if not li.startswith(old)]
        path.write_text("\n".join([*lines, new]) + "\n")

    return damage


def _dicom(name: str, change: Callable[[Any], None]) -> Change:
    def damage(folder: Path) -> None:
        dataset = pydicom.dcmread(folder / name)
        change(dataset)
        dataset.save_as(folder / name)

    return damage


def _cut(name: str, share: float) -> Change:
    def damage(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(share * len(content))])

    return damage


def _before_modality(folder: Path) -> None:
    path = folder / "series" / "1.dcm"
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"\x08\x00\x60\x00CS")])


def _configuration(change: Callable[[Any], None]) -> Change:
    def damage(folder: Path) -> None:
        path = folder / "model" / "config.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return damage


def _weights_of_nan(folder: Path) -> None:
    path = folder / "model" / "model.safetensors"
    save_file({k: v * torch.nan for k, v in load_file(path).items()}, path)
    card = json.loads((folder / "model" / "card.json").read_text())
    card.pop("weights_sha256")
    (folder / "model" / "card.json").write_text(json.dumps(card))


def _written(name: str, content: bytes) -> Change:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return damage


def _recipe(old: str, new: str) -> Change:
    def damage(folder: Path) -> None:
        path = folder / "a.yaml"
        path.write_text(path.read_text().replace(old, new))

    return damage


def _pickled_checkpoint(folder: Path) -> None:
    torch.save({"global_step": _Code()}, folder / "last.ckpt")


_REGIONS = "SequenceOfUltrasoundRegions"
SEEDS = (
    Seed("zarr runs code", "cube.zarr", _pickle_in_zarr, "may run code"),
    Seed("zarr chunk", "cube.zarr", _chunk_of_zarr, "damaged|chunk"),
    Seed("hdf5 storage", "sinogram", _hdf5("a.h5", _external_storage), "outside of its folder"),
    Seed("hdf5 link", "sinogram", _hdf5("a.h5", _external_link), "outside of its folder"),
    Seed("hdf5 view", "sinogram", _hdf5("a.h5", _virtual), "outside of its folder|not there"),
    Seed("pickled checkpoint", "checkpoint", _pickled_checkpoint, "no checkpoint"),
    Seed(
        "dimension id",
        "cube.nc",
        _hdf5("a.nc", _attribute("cube", "_Netcdf4Dimid", np.int64(2**40))),
        "",
    ),
    Seed(
        "text as dimensions",
        "cube.nc",
        _hdf5("a.nc", _attribute("cube", "DIMENSION_LIST", "band")),
        "a.nc",
    ),
    Seed("empty scale", "cube.nc", _hdf5("a.nc", _empty_scale), "a.nc"),
    Seed("a PET file cut", "pet-dicom", _before_modality, "1.dcm.*(truncated|damaged|ends early)"),
    Seed(
        "a view without slope",
        "projections",
        _dicom("scan/3.dcm", lambda d: d.pop("RescaleSlope")),
        "RescaleSlope",
    ),
    Seed("AIFF cut", "sound.aiff", _cut("a.aiff", 0.6), ""),
    Seed("GeoTIFF cut", "cube.tif", _cut("a.tif", 0.8), "cut off|beyond"),
    Seed("kspace unwritten", "fastmri", _hdf5("a.h5", _unwritten), "parts of kspace were written"),
    Seed("weights of NaN", "model", _weights_of_nan, "NaN"),
    Seed("channels bomb", "channels.npz", _announced("rf"), "claims the shape"),
    Seed("unneeded member", "cube.npz", _announced("other"), "claims the shape"),
    Seed("unneeded variable", "cube.nc", _unneeded, ""),
    Seed(
        "a million channels",
        "model",
        _configuration(lambda c: c["network"].update(channels=[10**6, 10**6])),
        "no network has that size",
    ),
    Seed(
        "14 GB",
        "model",
        _configuration(lambda c: c["network"].update(channels=[40_000, 40_000])),
        "more than the weights",
    ),
    Seed("attributes no JSON", "cube.npz", _npz(sciddm_attrs="{"), r"a\.npz"),
    Seed("attributes a list", "cube.npz", _npz(sciddm_attrs="[1]"), r"a\.npz"),
    Seed("attributes empty", "cube.npz", _npz(sciddm_attrs=[]), r"a\.npz"),
    Seed("band axis", "cube.npz", _npz(sciddm_attrs='{"band_axis": 7}'), "band_axis is 7"),
    Seed("nodata text", "cube.npz", _npz(sciddm_attrs='{"nodata": "abc"}'), "nodata is 'abc'"),
    Seed("band names", "cube.npz", _npz(band_name=["a", "b"]), "lists of the bands"),
    Seed(
        "wavelength units", "cube.hdr", _header("wavelength units", "wavelength units = {a, b}"),
        r"a\.|^$",
    ),
    Seed("names of ENVI", "cube.hdr", _header("band names", "band names = {a, b}"), r"a\.|^$"),
    Seed("nodata of ENVI", "cube.hdr", _header("data ignore", "data ignore value = abc"), "a.hdr"),
    *(
        Seed(f"text for {name}", "frames.npz", _npz(**{name: "abc"}), r"a\.npz|^$")
        for name in ("fs", "fc", "pitch", "depth", "rf")
    ),
    *(
        Seed(f"text for {name} of channels", "channels.npz", _npz(**{name: "abc"}), r"a\.npz|^$")
        for name in ("fs", "fc", "pitch", "angles", "rf", "bandwidth")
    ),
    Seed("angles of NaN", "channels.npz", _npz(angles=[0, np.nan, 0.1]), "angles holds 1 value"),
    Seed("no samples", "channels.npz", _npz(rf=np.zeros((0, 6, 40))), "a.npz"),
    Seed("no frames", "frames.npz", _npz(rf=np.zeros((0, 40, 6))), "a.npz"),
    Seed("bandwidth 0", "channels.npz", _npz(bandwidth=0.0), r"a\.npz|^$"),
    Seed(
        "a region without tags",
        "us-dicom",
        _dicom("a.dcm", lambda d: d[_REGIONS].value[0].clear()),
        r"a\.dcm|^$",
    ),
    Seed(
        "a region without corners",
        "us-dicom",
        _dicom("a.dcm", lambda d: d[_REGIONS].value[0].pop("RegionLocationMaxX1")),
        r"a\.dcm|^$",
    ),
    Seed("text for flux", "sinogram", _hdf5("a.h5", _text("incident_flux")), "no finite numbers"),
    Seed("text for z", "sinogram", _hdf5("a.h5", _text("z")), "no finite numbers"),
    Seed("a card of bytes", "model", _written("model/card.json", b"\xff\xfe\x00"), "model"),
    Seed(
        "representation a list",
        "model",
        _configuration(lambda c: c.update(representation=[1])),
        "model|^$",
    ),
    Seed("patch", "model", _configuration(lambda c: c["network"].update(patch=1e308)), "model"),
    Seed("deep JSON", "model", _written("model/config.json", b"[" * 100_000), "model"),
    Seed("deep YAML", "recipe", _written("a.yaml", b"[" * 100_000), "not valid YAML"),
    Seed("a card of a recipe", "recipe", _recipe("limits: none", "calibration: [1"), "a.yaml"),
)  # fmt: skip


def seed_samples() -> list[Sample]:
    """The seeds, as samples."""
    by_name = {s.name: s for s in SAMPLES}
    return [_as_sample(seed, by_name[seed.of]) for seed in SEEDS]


def _as_sample(seed: Seed, sample: Sample) -> Sample:
    def write(folder: Path) -> None:
        sample.write(folder)
        seed.change(folder)

    return Sample(seed.name, sample.main, write, sample.read)
