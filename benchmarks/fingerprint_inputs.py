"""Generated input of `benchmarks.fingerprints`: a function for each domain writes its files.

All are small, come from the project's own phantoms and simulators at seed 0, and are written by the
project's own adapters. Imports stand in the functions, so that a module that moves is one line.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

__all__ = ["INPUTS", "has_nufft", "save_channels", "save_pet_series"]

Array = NDArray[np.float64]


def has_nufft() -> bool:
    """Whether the extra "noncartesian" is installed."""
    from importlib.util import find_spec

    return find_spec("finufft") is not None and find_spec("pytorch_finufft") is not None


def _mri(folder: Path) -> None:
    """full.h5, one slice; coils.h5, 24 coils and a slice of noise; cropped.h5; radial.nc."""
    from sciddm.data_adapters import save_kspace
    from sciddm.physics.mri.masks import make_mask
    from sciddm.simulation.mri.phantom import head_phantom
    from sciddm.simulation.mri.scan import simulate_scan, undersample

    voxel = (5.0, 3.6, 3.6)
    head = head_phantom((64, 64), seed=0, contrast="t2")
    save_kspace(simulate_scan(head, 6, seed=0, voxel_size_mm=voxel), folder / "full.h5")

    stack = np.stack([head, 0 * head])
    coils = simulate_scan(stack, 24, seed=0, noise_samples=256, voxel_size_mm=voxel)
    mask = make_mask("random", head.shape, 2.5, 12, seed=0)
    save_kspace(undersample(coils, mask), folder / "coils.h5")

    tall = simulate_scan(head_phantom((80, 64), seed=0), 4, seed=0, voxel_size_mm=voxel)
    inner = tall["reference"].values[:, 8:72]
    cropped = tall.drop_vars(["reference", "truth"])
    cropped["reference"] = (("slice", "y_reference", "x_reference"), inner)
    mask = make_mask("equispaced", (80, 64), 2, 12, seed=0)
    save_kspace(undersample(cropped, mask), folder / "cropped.h5")
    if has_nufft():
        save_kspace(_radial(head), folder / "radial.nc")


def _radial(head: NDArray[np.float32], spokes: int = 24, coils: int = 4) -> xr.Dataset:
    """Golden-angle spokes of a simulated head."""
    import torch

    from sciddm.physics.nufft import nufft
    from sciddm.physics.trajectories import radial
    from sciddm.simulation.mri.scan import simulate_scan

    n = head.shape[0]
    full = simulate_scan(head, coils, seed=0, with_maps=True)
    trajectory = radial(spokes, 2 * n, n)
    images = torch.from_numpy(full["maps"].values[0] * full["truth"].values[0])
    points = torch.from_numpy(trajectory.reshape(-1, 2))
    clean = nufft(images.to(torch.complex128), points).numpy()
    white = np.random.default_rng(0).standard_normal((2, *clean.shape)) / math.sqrt(2)
    noise = full.attrs["noise_std"] * (white[0] + 1j * white[1])
    samples = (clean + noise).reshape(1, coils, spokes, 2 * n).astype(np.complex64)
    return xr.Dataset(
        {
            "kspace": (("slice", "coil", "shot", "sample"), samples),
            "trajectory": (("shot", "sample", "axis"), trajectory),
        },
        attrs={"image_shape": [n, n], "voxel_size_mm": [5.0, 3.6, 3.6], "source": "radial"},
    )


def _ct(folder: Path) -> None:
    """full.nii.gz; low.nii.gz and low/ (DICOM) at a quarter of the dose; low.h5, its sinogram."""
    from sciddm.data_adapters.ct import save_ct, save_sinogram
    from sciddm.pipelines.ct.simulate import low_dose_projections, low_dose_volume
    from sciddm.simulation.ct.phantom import body_phantom

    body = body_phantom((64, 64), 2, seed=0)
    low = low_dose_volume(body, 0.25, views=90, seed=0)
    save_ct(body, folder / "full.nii.gz", description="phantom")
    save_ct(low, folder / "low.nii.gz", description="phantom")
    save_ct(low, folder / "low", description="phantom")
    save_sinogram(low_dose_projections(body, 0.5, views=90, seed=0), folder / "low.h5")


def _speech(folder: Path) -> None:
    """clean.wav with noisy.wav and reverberant.wav, mono at 16 kHz; stereo.flac at 44.1 kHz."""
    from scipy.signal import fftconvolve

    from sciddm.simulation.speech.rooms import random_room
    from sciddm.simulation.speech.synthetic import mix, pink_noise, speech_like

    rate = 16_000
    clean = speech_like(2.0, rate, seed=0)
    room = random_room(rate, np.random.default_rng(0), (0.5, 0.8))
    echoes = fftconvolve(clean, room)[: len(clean)]
    _save_sound(folder / "clean.wav", clean[None], rate)
    _save_sound(folder / "noisy.wav", mix(clean, pink_noise(len(clean), 0), 5.0)[None], rate)
    _save_sound(folder / "reverberant.wav", echoes[None], rate)
    wide = speech_like(1.0, 44_100, seed=1)
    channels = [mix(wide, pink_noise(len(wide), c), 5.0) for c in (1, 2)]
    _save_sound(folder / "stereo.flac", np.stack(channels), 44_100)


def _save_sound(path: Path, waves: Array, rate: int) -> None:
    from sciddm.data_adapters.audio import save_audio

    values = (0.9 * waves / np.abs(waves).max()).astype(np.float32)
    save_audio(xr.DataArray(values, dims=("channel", "time"), attrs={"rate": rate}), path)


def _hsi(folder: Path) -> None:
    """scene.hdr, a FINCH scene with stripes and dead pixels, and scene_truth.hdr."""
    from sciddm.pipelines.hsi.requests import simulate

    scene = simulate(lines=48, samples=40, bands=24, noise="finch", level=0.03, seed=0)
    scene.save(folder / "scene.hdr")


def _ultrasound(folder: Path) -> None:
    """hazy.h5 and clean.h5, two RF frames; iq.h5; picture.png, a B-mode image; channels.npz."""
    import imageio.v3 as iio

    from sciddm.data_adapters.ultrasound import save_frames
    from sciddm.pipelines.ultrasound.simulate import Wanted, simulate_scan

    rf = Wanted(depth=256, lines=48, frames=2, seed=0)
    for name, scan in zip(("hazy", "clean"), simulate_scan(rf), strict=True):
        save_frames(scan, folder / f"{name}.h5")
    iq, _ = simulate_scan(replace(rf, frames=1, kind="iq"))
    save_frames(iq, folder / "iq.h5")
    amplitude = np.abs(iq["frames"].values[0])
    level = 20 * np.log10(np.maximum(amplitude / amplitude.max(), 1e-3))  # 60 dB
    iio.imwrite(folder / "picture.png", np.rint(255 * (1 + level / 60)).astype(np.uint8))
    save_channels(folder / "channels.npz")


def save_channels(path: Path, shift: float = 0.0) -> None:
    """Echoes of three points of two plane waves on a linear array: Gaussian pulses at delays.

    Args:
        path: an .npz file.
        shift: of all points along the array / m.
    """
    c, fc, fs, pitch, elements, samples = 1540.0, 5e6, 20e6, 3e-4, 32, 500
    place = (np.arange(elements) - (elements - 1) / 2) * pitch
    time = np.arange(samples) / fs
    angles = np.radians([-6.0, 6.0])
    rf = np.zeros((len(angles), elements, samples))
    for z, x in ((7e-3, -2e-3), (11e-3, 1.5e-3), (15e-3, 0.0)):
        out = (z * np.cos(angles) + x * np.sin(angles))[:, None, None]
        delay = (out + np.hypot(z, x + shift - place)[None, :, None]) / c
        tau = time - delay
        rf += np.exp(-2 * (np.pi * 1.3e6 * tau) ** 2) * np.cos(2 * np.pi * fc * tau)
    np.savez(path, rf=rf.astype(np.float32), fs=fs, fc=fc, pitch=pitch, angles=angles, c=c)


def _petct(folder: Path) -> None:
    """ct/ and pet/ (DICOM, Bq/ml); ct.nii.gz and pet.nii.gz (SUV); true.nii.gz and other.nii.gz."""
    from sciddm.data_adapters.ct import save_ct
    from sciddm.data_adapters.petct.images import save_volume
    from sciddm.simulation.petct.phantom import thigh_phantom

    phantom = thigh_phantom(0, shape=(24, 50, 50), ct_mm=(6.0, 4.0, 4.0), pet_mm=(6.0, 5.0, 5.0))
    save_ct(phantom.ct, folder / "ct", description="phantom")
    save_volume(phantom.ct, folder / "ct.nii.gz")
    save_volume(phantom.pet, folder / "pet.nii.gz")
    save_pet_series(phantom.pet, folder / "pet")
    for name, voxels in (("true", 0), ("other", 2)):
        mask = np.roll(phantom.mask, voxels, axis=-1).astype(np.float32)
        save_volume(phantom.ct.copy(data=mask), folder / f"{name}.nii.gz")


def save_pet_series(suv: xr.DataArray, folder: Path) -> None:
    """Writes SUV as a DICOM series in Bq/ml, decay corrected to the start of the scan."""
    from sciddm.data_adapters.ct import save_ct

    activity = suv.copy(data=np.float32(_BQ_PER_SUV) * suv.values)
    # CT slices whose headers become PET's: nothing else needs a writer of PET series.
    save_ct(activity.assign_attrs(units="HU"), folder, description="phantom")
    for file in folder.iterdir():
        _as_pet(file)


_WEIGHT_KG, _DOSE_BQ, _HALF_LIFE_S = 70.0, 370e6, 6586.2
_BQ_PER_SUV = _DOSE_BQ * 2 ** (-3600 / _HALF_LIFE_S) / (1000 * _WEIGHT_KG)  # an hour later


def _as_pet(file: Path) -> None:
    """A slice's header becomes that of PET corrected to the start of the scan."""
    import pydicom
    from pydicom.uid import PositronEmissionTomographyImageStorage

    header = pydicom.dcmread(file)
    header.SOPClassUID = PositronEmissionTomographyImageStorage
    header.file_meta.MediaStorageSOPClassUID = PositronEmissionTomographyImageStorage
    header.Modality, header.Units, header.DecayCorrection = "PT", "BQML", "START"
    header.CorrectedImage, header.PatientWeight = ["DECY", "ATTN", "SCAT"], _WEIGHT_KG
    header.SeriesDate = header.AcquisitionDate = "20240310"
    header.SeriesTime = header.AcquisitionTime = "100000"
    tracer = pydicom.Dataset()
    tracer.RadionuclideTotalDose, tracer.RadionuclideHalfLife = _DOSE_BQ, _HALF_LIFE_S
    tracer.RadiopharmaceuticalStartTime = "090000"
    header.RadiopharmaceuticalInformationSequence = pydicom.Sequence([tracer])
    header.save_as(file)


#: Domain -> writes its files into an empty folder.
INPUTS: dict[str, Callable[[Path], None]] = {
    "mri": _mri,
    "ct": _ct,
    "speech": _speech,
    "hsi": _hsi,
    "ultrasound": _ultrasound,
    "petct": _petct,
}
