"""Every verb that runs networks computes on its device, and gives there what the CPU gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from petct_files import study, uptake_pipeline
from separate import SEPARATE, separate_device
from torch.nn.attention import SDPBackend, sdpa_kernel

import sciddm
from sciddm import device as devices
from sciddm.pipelines.ct.settings import FILTER, SCORE
from sciddm.pipelines.hsi.methods import dds2m
from sciddm.pipelines.ultrasound.settings import QUALITIES as ULTRASOUND

#: The separate device computes with the kernels of the CPU. What is left is the rounding of
#: convolutions, for which torch chooses another kernel; in units of the largest value.
TOLERANCE = 1e-3


@pytest.fixture(autouse=True)
def short_and_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Processors with bfloat16 would compare that with single precision."""
    monkeypatch.setattr("sciddm.precision.native_precision", lambda device: "float32")
    for levels in (FILTER, SCORE):
        monkeypatch.setitem(levels, "fast", replace(levels["fast"], iterations=2))
    monkeypatch.setitem(dds2m.SETTINGS, "fast", replace(dds2m.SETTINGS["fast"], steps=2))
    monkeypatch.setitem(ULTRASOUND, "fast", replace(ULTRASOUND["fast"], steps=2))
    with sdpa_kernel(SDPBackend.MATH):
        yield


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The device "cuda" is the separate one."""
    resolve = devices.resolve
    monkeypatch.setattr(
        devices, "resolve", lambda name="auto": SEPARATE if name == "cuda" else resolve(name)
    )
    with separate_device():
        yield


def mri(**options: object) -> xr.Dataset:
    from sciddm.physics.mri.masks import make_mask
    from sciddm.simulation.mri.phantom import head_phantom
    from sciddm.simulation.mri.scan import simulate_scan, undersample

    scan = simulate_scan(head_phantom((48, 40), seed=0, contrast="t2"), 4, seed=0)
    scan = undersample(scan, make_mask("random", (48, 40), 2, 12, seed=0))
    return sciddm.mri.reconstruct(
        scan, quality="fast", samples=2, output_noise_map=True, **options
    ).data


def mri_radial(**options: object) -> xr.Dataset:
    pytest.importorskip("pytorch_finufft")
    from sciddm.physics.trajectories import radial

    kspace = np.random.default_rng(0).normal(size=(2, 1, 2, 24, 64)).astype(np.float32)
    trajectory = radial(24, 64, 32)
    kspace /= 1 + np.linalg.norm(trajectory, axis=-1).astype(np.float32) ** 2
    scan = xr.Dataset(
        {
            "kspace": (("slice", "coil", "shot", "sample"), kspace[0] + 1j * kspace[1]),
            "trajectory": (("shot", "sample", "axis"), trajectory),
        },
        attrs={"image_shape": [32, 32], "voxel_size_mm": [5.0, 5.0, 5.0]},
    )
    return sciddm.mri.reconstruct(scan, quality="fast", samples=2, **options).data


def mri_acquire(**options: object) -> xr.Dataset:
    from sciddm.simulation.mri.phantom import head_phantom
    from sciddm.simulation.mri.scan import simulate_scan

    scan = simulate_scan(head_phantom((48, 40), seed=0), 2, seed=0)
    return sciddm.mri.acquire(scan, lines=14, particles=2, **options).data


def body(slices: int = 1) -> xr.DataArray:
    from sciddm.simulation.ct.phantom import body_phantom

    return body_phantom((48, 48), slices, seed=0)


def ct_denoise(**options: object) -> xr.Dataset:
    noise = np.random.default_rng(0).normal(0, 30, (1, 48, 48)).astype(np.float32)
    noisy = body().copy(data=body().values + noise)
    return sciddm.ct.denoise(noisy, quality="fast", **options).data


def ct_filter2noise(**options: object) -> xr.Dataset:
    return ct_denoise(method="filter2noise", **options)


def ct_noise2score(**options: object) -> xr.Dataset:
    return ct_denoise(method="noise2score", **options)


def ct_reconstruct(**options: object) -> xr.Dataset:
    from sciddm.pipelines.ct.simulate import low_dose_projections

    sinogram = low_dose_projections(body(), 0.5, views=60, seed=0)
    return sciddm.ct.reconstruct(sinogram, quality="fast", **options).data


def ct_tv(**options: object) -> xr.Dataset:
    return ct_reconstruct(method="tv", **options)


def hsi(**options: object) -> xr.Dataset:
    scene = sciddm.hsi.simulate(lines=32, samples=28, bands=12, seed=0).data
    return sciddm.hsi.denoise(scene, quality="fast", **options).data


def hsi_finch(**options: object) -> xr.Dataset:
    return hsi(method="finch", **options)


def hsi_dds2m(**options: object) -> xr.Dataset:
    return hsi(method="dds2m", **options)


def petct(device: str) -> xr.Dataset:
    with devices.use(devices.resolve(device)):
        result: xr.Dataset = uptake_pipeline()(*study(), quality="fast", samples=2, seed=1)
    return result.assign_attrs(device=str(devices.resolve(device)))


def speech(**options: object) -> xr.Dataset:
    return sciddm.speech.enhance(recording(), quality="fast", **options).data


def speech_dereverb(**options: object) -> xr.Dataset:
    return sciddm.speech.dereverb(recording(), quality="fast", **options).data


def recording() -> xr.DataArray:
    from sciddm.simulation.speech.synthetic import mix, pink_noise, speech_like

    clean = speech_like(0.5, 16_000, seed=0)
    wave = mix(clean, pink_noise(len(clean), 0), 5.0)
    return xr.DataArray(
        wave[None].astype(np.float32), dims=("channel", "time"), attrs={"rate": 16_000}
    )


def ultrasound(**options: object) -> xr.Dataset:
    hazy = sciddm.ultrasound.simulate(depth=64, lines=24, seed=0).data
    return sciddm.ultrasound.dehaze(hazy, quality="fast", gamma=1.0, **options).data


VERBS = [
    mri, mri_radial, mri_acquire, ct_denoise, ct_filter2noise, ct_noise2score, ct_reconstruct,
    ct_tv, hsi, hsi_finch, hsi_dds2m, petct, speech, speech_dereverb, ultrasound,
]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_nothing_of_the_cpu_meets_the_device(
    verb: Callable[..., xr.Dataset], request: pytest.FixtureRequest
) -> None:
    expected = verb(device="cpu")
    assert expected.attrs["device"] == "cpu"
    request.getfixturevalue("cuda")
    result = verb(device="cuda")
    assert result.attrs["device"] == str(SEPARATE)
    assert set(result.data_vars) == set(expected.data_vars)
    for name, values in expected.data_vars.items():
        there = result[name].values
        assert there.dtype == values.dtype, name
        if values.dtype.kind not in "fc":
            continue
        size = float(np.nanmax(np.abs(values.values), initial=0))
        np.testing.assert_allclose(
            there, values.values, rtol=0, atol=TOLERANCE * size, equal_nan=True, err_msg=str(name)
        )
