"""Generated input of `benchmarks.batches`: small items of every domain, each by its own seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

__all__ = ["BATCHES", "Batch"]


class Batch(NamedTuple):
    """One command over a folder of items.

    Attributes:
        words: of the command, without input and output.
        count: number of items.
        write: writes the item of a seed into a folder.
    """

    words: str
    count: int
    write: Callable[[Path, int], None]


def _kspace(folder: Path, seed: int, side: int = 32) -> None:
    from sciddm.data_adapters import save_kspace
    from sciddm.simulation.mri.phantom import head_phantom
    from sciddm.simulation.mri.scan import simulate_scan

    head = head_phantom((side, side), seed=seed, contrast="t2")
    scan = simulate_scan(head, 4, seed=seed, voxel_size_mm=(5.0, 6.0, 6.0))
    save_kspace(scan, folder / f"scan{seed}.h5")


def _head(folder: Path, seed: int) -> None:
    _kspace(folder, seed, 48)


def _sinogram(folder: Path, seed: int) -> None:
    from sciddm.data_adapters.ct import save_sinogram
    from sciddm.pipelines.ct.simulate import low_dose_projections
    from sciddm.simulation.ct.phantom import body_phantom

    body = body_phantom((48, 48), 1, seed=seed)
    low = low_dose_projections(body, 0.5, views=60, seed=seed)
    save_sinogram(low, folder / f"sinogram{seed}.h5")


def _volume(folder: Path, seed: int) -> None:
    from sciddm.data_adapters.ct import save_ct
    from sciddm.pipelines.ct.simulate import low_dose_volume
    from sciddm.simulation.ct.phantom import body_phantom

    body = body_phantom((48, 48), 1, seed=seed)
    low = low_dose_volume(body, 0.25, views=60, seed=seed)
    save_ct(low, folder / f"volume{seed}.nii.gz", description="phantom")


def _cube(folder: Path, seed: int) -> None:
    from sciddm.pipelines.hsi.requests import simulate

    scene = simulate(lines=32, samples=32, bands=12, noise="finch", level=0.03, seed=seed)
    scene.save(folder / f"scene{seed}.hdr")
    for truth in folder.glob("*_truth*"):
        truth.unlink()


def _recording(folder: Path, seed: int) -> None:
    from sciddm.data_adapters.audio import save_audio
    from sciddm.simulation.speech.synthetic import mix, pink_noise, speech_like

    rate = 16_000
    clean = speech_like(0.6, rate, seed=seed)
    noisy = mix(clean, pink_noise(len(clean), seed), 5.0)[None]
    values = (0.9 * noisy / np.abs(noisy).max()).astype(np.float32)
    sound = xr.DataArray(values, dims=("channel", "time"), attrs={"rate": rate})
    save_audio(sound, folder / f"noisy{seed}.wav")


def _pet(folder: Path, seed: int) -> None:
    from benchmarks.fingerprint_inputs import save_pet_series
    from sciddm.simulation.petct.phantom import thigh_phantom

    pet = thigh_phantom(
        seed, shape=(8, 24, 24), ct_mm=(18.0, 8.0, 8.0), pet_mm=(18.0, 8.0, 8.0)
    ).pet
    save_pet_series(pet, folder / f"pet{seed}")


def _echoes(folder: Path, seed: int) -> None:
    from sciddm.data_adapters.ultrasound import save_frames
    from sciddm.pipelines.ultrasound.simulate import Wanted, simulate_scan

    hazy, _ = simulate_scan(Wanted(depth=128, lines=32, frames=1, seed=seed))
    save_frames(hazy, folder / f"hazy{seed}.h5")


def _channels(folder: Path, seed: int) -> None:
    from benchmarks.fingerprint_inputs import save_channels

    save_channels(folder / f"channels{seed}.npz", shift=1e-5 * seed)


#: Folder -> its command. All verbs whose items are files or folders of one input.
BATCHES = {
    "kspace": Batch("mri undersample -R 4 --acs 8", 36, _kspace),
    "heads": Batch("mri reconstruct --undersample 3 --acs 12 --quality fast", 6, _head),
    "sinograms": Batch("ct reconstruct --method fbp", 32, _sinogram),
    "volumes": Batch("ct denoise --quality fast", 8, _volume),
    "cubes": Batch("hsi denoise --method lowrank --quality fast", 32, _cube),
    "recordings": Batch("speech enhance --quality fast", 16, _recording),
    "pets": Batch("petct suv", 32, _pet),
    "channels": Batch("ultrasound beamform --depth 5-17 --lines 17", 32, _channels),
    "echoes": Batch("ultrasound dehaze --quality fast", 6, _echoes),
}
