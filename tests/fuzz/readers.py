"""What is done with an input: it is opened and all of it is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["READERS"]


def _kspace(path: Path) -> None:
    from sciddm.data_adapters import open_kspace
    from sciddm.data_adapters.mri.recognition import is_kspace

    is_kspace(path)
    open_kspace(path).load()


def _result(path: Path) -> None:
    from sciddm.data_adapters import load_result

    load_result(path).load()


def _dicom(path: Path) -> None:
    from sciddm.data_adapters.ct.dicom import read_dicom
    from sciddm.errors import InputError

    try:
        read_dicom(path)
    except InputError as error:
        if "MR" not in str(error):
            raise


def _pet(path: Path) -> None:
    from sciddm.data_adapters.petct.images import open_pet

    open_pet(path)


def _nifti(path: Path) -> None:
    from sciddm.data_adapters import read_nifti

    read_nifti(path)


def _itk(path: Path) -> None:
    from sciddm.data_adapters.ct import open_ct

    open_ct(path)


def _projections(path: Path) -> None:
    from sciddm.data_adapters.ct import is_projection_folder, read_projections

    is_projection_folder(path)
    read_projections(path)


def _seg(path: Path) -> None:
    from sciddm.data_adapters.petct.seg import read_seg

    read_seg(path)
    read_seg(path, path.parent / "series")


def _rtstruct(path: Path) -> None:
    from sciddm.data_adapters.petct.rtstruct import read_rtstruct

    read_rtstruct(path, path.parent / "series")


def _sinogram(path: Path) -> None:
    from sciddm.data_adapters import read_sinogram
    from sciddm.data_adapters.ct.recognise import is_ct

    is_ct(path)
    read_sinogram(path)


def _cube(path: Path) -> None:
    from sciddm.data_adapters import open_cube

    open_cube(path)["cube"].compute()


def _frames(path: Path) -> None:
    from sciddm.data_adapters.ultrasound.files import is_ultrasound, open_frames

    is_ultrasound(path)
    open_frames(path).load()


def _channels(path: Path) -> None:
    from sciddm.data_adapters.ultrasound.channels import open_channels

    open_channels(path).load()


def _sound(path: Path) -> None:
    from sciddm.data_adapters import open_audio

    open_audio(path)


def _model(path: Path) -> None:
    from sciddm.zoo import from_pretrained

    from_pretrained(path)


def _mask(path: Path) -> None:
    from sciddm.data_adapters.label_masks import read_labels

    read_labels(path)


def _foreign(path: Path) -> None:
    from sciddm.zoo.foreign_folder import import_model

    import_model(path, low=-1.0, high=1.0)


def _recipe(path: Path) -> None:
    from sciddm.training.recipe import load_recipe

    load_recipe(path)


def _checkpoint(path: Path) -> None:
    from sciddm.training.checkpoints import Checkpoints
    from sciddm.training.run import _steps_of

    newest = Checkpoints(path.parent).newest()
    if newest is not None:
        _steps_of(newest)


def _output(path: Path) -> None:
    from sciddm.data_adapters.commit import verify

    verify([path])


READERS: dict[str, Callable[[Path], Any]] = {
    "kspace": _kspace,
    "result": _result,
    "dicom": _dicom,
    "pet": _pet,
    "nifti": _nifti,
    "itk": _itk,
    "projections": _projections,
    "seg": _seg,
    "rtstruct": _rtstruct,
    "sinogram": _sinogram,
    "cube": _cube,
    "frames": _frames,
    "channels": _channels,
    "sound": _sound,
    "model": _model,
    "mask": _mask,
    "foreign": _foreign,
    "recipe": _recipe,
    "checkpoint": _checkpoint,
    "output": _output,
}
