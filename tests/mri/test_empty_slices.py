"""Slices of nothing but noise: found, left out and put back where they were."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from sciddm.physics.mri.masks import make_mask
from sciddm.pipelines.mri.empty_slices import find_empty, put_back
from sciddm.simulation.mri.phantom import head_phantom
from sciddm.simulation.mri.scan import simulate_scan, undersample

SHAPE = (64, 56)


def volume(strengths: list[float]) -> xr.Dataset:
    """Slices of a head of several strengths in the same noise, undersampled."""
    head = np.reshape(head_phantom(SHAPE, seed=2, contrast="t2"), SHAPE)
    images = np.stack([s * head for s in strengths])
    scan = simulate_scan(images, 4, 25.0, seed=1, noise_samples=4000)
    return undersample(scan, make_mask("random", SHAPE, 2, 16, seed=1))


@pytest.mark.parametrize("given", [False, True])
def test_noise_is_told_from_weak_signal(given: bool) -> None:
    scan = volume([0.0, 1.0, 0.5, 0.06, 0.0])
    noise_std = scan.attrs["noise_std"] if given else None
    assert find_empty(scan, noise_std).tolist() == [True, False, False, False, True]


def test_a_scan_without_noise_scan() -> None:
    scan = volume([0.0, 1.0, 1.0]).drop_vars("noise")
    assert find_empty(scan).tolist() == [True, False, False]


def test_nothing_is_empty_where_all_slices_are_alike() -> None:
    assert not find_empty(volume([1.0, 0.8])).any()
    assert not find_empty(volume([1.0])).any()


def test_put_back_where_they_were() -> None:
    scan = volume([0.0, 1.0, 0.0, 0.7])
    empty = np.array([True, False, True, False])
    dims = ("slice", "y", "x")
    rng = np.random.default_rng(0)
    values = rng.uniform(1, 2, (2, *SHAPE)).astype(np.float32)
    result = xr.Dataset(
        {
            "reconstruction": (dims, values),
            "std": (dims, 0.1 * values),
            "zero_filled": (dims, values),
            "residual": (("slice", "ky", "kx"), values),
            "samples": (("sample", *dims), np.stack([values, values]).astype(np.complex64)),
        },
        attrs={"noise_std": 0.5, "warnings": '["a"]', "seed": 3},
    )
    found = put_back(result, scan, empty)
    np.testing.assert_array_equal(found["reconstruction"][[1, 3]], values)
    np.testing.assert_array_equal(found["reconstruction"][[0, 2]], 0)
    np.testing.assert_array_equal(found["std"][[0, 2]], 0.5)
    np.testing.assert_array_equal(found["samples"][:, [1, 3]], result["samples"])
    np.testing.assert_array_equal(found["samples"][:, [0, 2]], 0)
    # What is left of the data if the image is 0 is the noise itself.
    k = scan["kspace"].values[0]
    measured = k.any(0)
    residual = found["residual"].values[0]
    assert np.isnan(residual[~measured]).all()
    wanted = (np.abs(k[:, measured]) ** 2).mean() / 0.25
    assert (residual[measured] ** 2).mean() == pytest.approx(wanted, rel=1e-5)
    assert found.attrs["empty_slices"] == [0, 2]
    assert found.attrs["seed"] == 3
    assert json.loads(found.attrs["warnings"])[0] == "a"
    assert "2 of 4 slices" in json.loads(found.attrs["warnings"])[1]
