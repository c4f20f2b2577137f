"""The examples of the documentation give what the command line gives, number for number."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
LINES = 10


def mri(folder: Path) -> None:
    from sciddm.data_adapters import save_kspace
    from sciddm.physics.mri.masks import make_mask
    from sciddm.simulation.mri.phantom import head_phantom
    from sciddm.simulation.mri.scan import simulate_scan, undersample

    scan = simulate_scan(head_phantom((64, 64), seed=0), 4, seed=0)
    save_kspace(undersample(scan, make_mask("random", (64, 64), 2, 12, seed=0)), folder / "scan.h5")


def ct(folder: Path) -> None:
    from sciddm.data_adapters.ct import save_ct
    from sciddm.simulation.ct.phantom import body_phantom

    body = body_phantom((64, 64), 1, seed=0)
    noise = np.random.default_rng(0).normal(0, 30, body.shape).astype(np.float32)
    noisy = body.copy(data=body.values + noise)
    save_ct(noisy, folder / "low.nii.gz", description="phantom")


def hsi(folder: Path) -> None:
    import sciddm

    sciddm.hsi.simulate(lines=32, samples=28, bands=16, seed=0).save(folder / "scene.hdr")


def petct(folder: Path) -> None:
    from sciddm.data_adapters.petct.images import save_volume
    from sciddm.simulation.petct.phantom import thigh_phantom

    study = thigh_phantom(0, shape=(24, 50, 50), ct_mm=(6.0, 4.0, 4.0), pet_mm=(6.0, 5.0, 5.0))
    save_volume(study.ct, folder / "ct.nii.gz")
    save_volume(study.pet, folder / "pet.nii.gz")


def ultrasound(folder: Path) -> None:
    import sciddm

    sciddm.ultrasound.simulate(depth=192, lines=32, seed=0).save(folder / "hazy.h5")


def speech(folder: Path) -> None:
    import xarray as xr

    from sciddm.data_adapters.audio import save_audio
    from sciddm.simulation.speech.synthetic import mix, pink_noise, speech_like

    noisy = mix(speech_like(1.5, 16_000, 0), pink_noise(24_000, 0), 5.0)
    wave = (0.5 * noisy / np.abs(noisy).max()).astype(np.float32)[None]
    save_audio(
        xr.DataArray(wave, dims=("channel", "time"), attrs={"rate": 16_000}), folder / "noisy.wav"
    )


#: Domain -> what writes its input, the command that does the same, and the output of both.
CASES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "mri": (mri, "mri reconstruct scan.h5 -o other.h5 --quality fast", "image.h5"),
    "ct": (ct, "ct denoise low.nii.gz -o other.nii.gz --quality fast", "clean.nii.gz"),
    "hsi": (hsi, "hsi denoise scene.hdr -o other.nc --method lowrank", "clean.nc"),
    "petct": (
        petct,
        "petct segment --pet pet.nii.gz --ct ct.nii.gz -o other.nii.gz --quality fast",
        "mask.nii.gz",
    ),
    "ultrasound": (ultrasound, "ultrasound dehaze hazy.h5 -o other.h5 --quality fast", "tissue.h5"),
    "speech": (speech, "speech enhance noisy.wav -o other.wav --quality fast", "clean.wav"),
}


def arrays(path: Path) -> list[np.ndarray]:
    """All numbers of an output file."""
    if path.name.endswith(".nii.gz"):
        import nibabel

        return [np.asarray(nibabel.load(path).dataobj)]
    if path.suffix == ".wav":
        import soundfile

        return [soundfile.read(path)[0]]
    if path.suffix == ".nc":
        import xarray as xr

        with xr.open_dataset(path) as data:
            return [v.values for k, v in sorted(data.data_vars.items()) if v.dtype.kind in "iuf"]
    import h5py

    found: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]})
                if isinstance(item, h5py.Dataset) and item.dtype.kind in "iufc"
                else None
            )
        )
    return [found[name] for name in sorted(found)]


@pytest.mark.parametrize("domain", CASES)
def test_an_example_gives_what_the_command_gives(domain, tmp_path, monkeypatch):
    from sciddm.pipelines.cli import app

    script = EXAMPLES / f"{domain}.py"
    code = [line for line in script.read_text().splitlines() if line]
    assert len(code) <= LINES
    generate, command, output = CASES[domain]
    generate(tmp_path)
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script))
    answer = CliRunner().invoke(app, command.split())
    assert answer.exit_code == 0, answer.output
    other = next(word for word in command.split() if word.startswith("other"))
    ours, theirs = arrays(tmp_path / output), arrays(tmp_path / other)
    assert len(ours) == len(theirs) > 0
    for left, right in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(left, right)
