"""Writes one output of every kind on a disk that fills up: `python -m MODULE FOLDER`.

A limit on the size of files is a disk that is full from there on. Each line that is printed is a
kind and its answers: "" for the older output whole and an `OutputError` of one line, or what is
wrong. A crash ends the lines.
"""

from __future__ import annotations

import json
import resource
import shutil
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciddm.data_adapters import save_audio, save_cube, save_kspace, save_result
from sciddm.data_adapters.commit import commit
from sciddm.errors import OutputError

__all__ = ["WRITERS"]

#: Parts of the largest file of an output after which the disk is full.
_PARTS = (0.02, 0.5, 0.97)


def _noise(*shape: int) -> Any:
    return np.random.default_rng(0).uniform(0.1, 0.9, shape).astype(np.float32)


def _kspace(path: Path, scale: float) -> None:
    values = scale * (_noise(1, 2, 60, 50) + 1j * _noise(1, 2, 60, 50)).astype(np.complex64)
    attrs = {"voxel_size_mm": [5.0, 1.0, 1.0], "image_shape": [60, 50]}
    data = xr.Dataset({"kspace": (("slice", "coil", "ky", "kx"), values)}, attrs=attrs)
    save_kspace(data, path, overwrite=True)


def _result(path: Path, scale: float) -> None:
    axes = ("slice", "y", "x")
    parts = {"reconstruction": (axes, scale * _noise(2, 60, 70))}
    data = xr.Dataset(parts, attrs={"voxel_size_mm": [1.0, 1.0, 1.0], "seed": 1})
    save_result(data, path, overwrite=True)


def _series(path: Path, scale: float) -> None:
    from sciddm.data_adapters.mri.result import save_mri_result

    axes = ("slice", "y", "x")
    data = xr.Dataset(
        {"reconstruction": (axes, scale * _noise(2, 120, 130))},
        attrs={"voxel_size_mm": [1.0, 1.0, 1.0]},
    )
    save_mri_result(data, path, overwrite=True)


def _cube(path: Path, scale: float) -> None:
    cube = xr.Dataset({"cube": (("band", "y", "x"), scale * _noise(4, 60, 50))})
    save_cube(cube, path, overwrite=True)


def _sound(path: Path, scale: float) -> None:
    data = xr.DataArray(scale * _noise(1, 60_000), dims=("channel", "time"), attrs={"rate": 16_000})
    save_audio(data, path, overwrite=True)


def _volume(path: Path, scale: float) -> None:
    from sciddm.data_adapters.volume_files import write_volume

    with commit([path], True) as at:
        write_volume(scale * _noise(6, 40, 50), at[path], {"voxel_size_mm": [1.0, 1.0, 1.0]})


def _picture(path: Path, scale: float) -> None:
    from sciddm.data_adapters.ultrasound.images import write_images

    count = 1 if path.suffix in (".png", ".jpg") else 3
    frames = (255 * scale * _noise(count, 96, 64)).astype(np.uint8)
    with commit([path], True) as at:
        write_images(frames, at[path])


#: Name of an output and how it is written.
WRITERS: dict[str, Callable[[Path, float], None]] = {
    **dict.fromkeys(("kspace.h5", "kspace.nc", "kspace.zarr", "kspace.cfl"), _kspace),
    **dict.fromkeys(("result.h5", "result.nc", "result.zarr", "result.nii.gz"), _result),
    "series": _series,
    **dict.fromkeys(("cube.hdr", "cube.tif", "cube.npz", "cube.nc", "cube.zarr"), _cube),
    **dict.fromkeys(("clip.png", "clip.gif", "clip.tif", "clip.mp4", "clip.avi"), _picture),
    **dict.fromkeys(("sound.wav", "sound.flac", "sound.ogg", "sound.aiff"), _sound),
    **dict.fromkeys(("volume.mha", "volume.nrrd", "volume.nii"), _volume),
}


def _contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in _files(folder)}


def _files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file()]


def _sizes(folder: Path) -> dict[str, int]:
    return {name: len(content) for name, content in _contents(folder).items()}


def _image(path: Path) -> Any:
    """The numbers of a GeoTIFF with its tags; None of others."""
    if path.suffix != ".tif" or path.stem != "cube":
        return None
    import rasterio

    with rasterio.open(path) as file:
        assert "sciddm_attrs" in file.tags()
        return file.read()


def _answer(write: Callable[[Path, float], None], path: Path, part: float) -> str:
    apart = path.parent.with_name("apart")
    apart.mkdir()
    write(apart / path.name, 0.5)
    whole, image = _sizes(apart), _image(apart / path.name)
    shutil.rmtree(apart)
    nbytes = int(part * max(whole.values()))
    before = _contents(path.parent)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, resource.RLIM_INFINITY))
    try:
        write(path, 0.5)
        answer = "no error"
    except OutputError as error:
        answer = "more than a line" if "\n" in str(error) else ""
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    if _contents(path.parent) != before:
        now = _sizes(path.parent)
        if answer == "no error" and image is not None and np.array_equal(image, _image(path)):
            return ""  # GDAL found room at another place of the file
        return f"{answer}; {now} in place of {whole}"
    return answer


def main() -> None:
    """Prints the answers of all kinds."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for name, write in WRITERS.items():
        path = Path(sys.argv[1], name.replace(".", "-"), name)
        path.parent.mkdir()
        write(path, 1.0)
        answers = {part: _answer(write, path, part) for part in _PARTS}
        print(json.dumps([name, {str(k): v for k, v in answers.items() if v}]), flush=True)
        shutil.rmtree(path.parent)


if __name__ == "__main__":
    main()
