"""Simulated doses of whole volumes and sinograms, against the statistics they should have."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr

from sciddm.data_adapters.ct import beam_of, build_sinogram
from sciddm.errors import InputError
from sciddm.physics import FanBeam, even_angles
from sciddm.pipelines.ct.simulate import (
    keep_views,
    low_dose_projections,
    low_dose_volume,
    thin_sinogram,
)


def cylinder(shape: tuple[int, int, int] = (2, 40, 32), pixel_mm: float = 5.0) -> xr.DataArray:
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape[1:])
    disk = np.where(np.hypot(y[:, None], x) < 13, 0.0, -1000.0).astype(np.float32)
    attrs = {"voxel_size_mm": [2.0, pixel_mm, pixel_mm], "source": "cylinder", "units": "HU"}
    return xr.DataArray(np.repeat(disk[None], shape[0], axis=0), dims=("z", "y", "x"), attrs=attrs)


def sinogram(p: float = 2.0, views: int = 40, z: int = 3, **more: object) -> xr.Dataset:
    beam = FanBeam(even_angles(views), 60, 2.0, source_axis_mm=300.0, source_detector_mm=600.0)
    values = np.full((z, views, 60), p, np.float32)
    return build_sinogram(values, beam, z_mm=np.arange(z) * 2.0, source="s.h5", **more)


def test_noise_is_added_to_the_image_alone() -> None:
    volume = cylinder()
    low = low_dose_volume(volume, 1.0, noise_hu=15.0, electronic_sd=0.0, views=60, seed=1)
    added = low.values - volume.values
    middle = added[:, 15:25, 11:21]
    assert middle.std() == pytest.approx(15, rel=0.25)
    assert abs(middle.mean()) < 4
    assert low.attrs["dose"] == 1
    assert low.attrs["voxel_size_mm"] == volume.attrs["voxel_size_mm"]
    # A slice's noise does not depend on the others, nor on those that are asked for.
    flux = {"flux": low.attrs["full_dose_flux"], "electronic_sd": 0.0, "views": 60, "seed": 1}
    first = low_dose_volume(volume.isel(z=[0]), 1.0, **flux)
    np.testing.assert_allclose(first.values[0], low.values[0], atol=0.2)
    assert np.abs(added[0] - added[1]).max() > 10


def test_projections_of_a_volume_that_is_not_square() -> None:
    """A view along y and one along x see the lengths of the cylinder."""
    volume = cylinder()
    found = low_dose_projections(volume, 0.5, flux=1e12, views=4, electronic_sd=0.0)
    beam = beam_of(found)
    centre = found["sinogram"].values[0][:, [beam.cells // 2 - 1, beam.cells // 2]].mean(-1)
    np.testing.assert_allclose(centre, 26 * 5.0 * 0.02, rtol=0.02)
    assert float(found["incident_flux"]) == 5e11
    assert found.attrs["image_shape"] == [40, 32]
    assert found.attrs["image_pixel_mm"] == 5.0
    np.testing.assert_array_equal(found["z"], [0, 2])


def test_thinned_sinograms_have_the_statistics_of_their_dose() -> None:
    """Variance of log counts: 1/N + e^2/N^2; N = a I0 exp(-p)."""
    flux, electronic, p = 5e4, 12.0, 2.0
    clean = sinogram(p, z=8, incident_flux=flux, electronic_sd=electronic)
    rng = np.random.default_rng(0)
    counts = rng.poisson(flux * math.exp(-p), clean["sinogram"].shape)
    counts = counts + electronic * rng.standard_normal(counts.shape)
    measured = clean.assign(
        sinogram=(("z", "view", "cell"), -np.log(counts / flux).astype(np.float32))
    )
    low = thin_sinogram(measured, 0.2, seed=3)
    n = 0.2 * flux * math.exp(-p)
    assert low["sinogram"].values.var() == pytest.approx(1 / n + (electronic / n) ** 2, rel=0.05)
    assert low["sinogram"].values.mean() == pytest.approx(p + 0.5 / n, abs=3e-3)
    assert float(low["incident_flux"]) == pytest.approx(0.2 * flux)
    assert thin_sinogram(low, 0.5).attrs["dose"] == pytest.approx(0.1)
    with pytest.raises(InputError, match=r"s\.h5: states no incident flux"):
        thin_sinogram(sinogram(), 0.2)
    with pytest.raises(InputError, match="a dose of 0"):
        thin_sinogram(low, 0.0)


def test_views_are_kept_evenly() -> None:
    whole = sinogram(views=40)
    part = keep_views(whole, 8)
    gaps = np.diff(part["view"].values)
    np.testing.assert_allclose(gaps, 2 * math.pi / 8)
    assert beam_of(part).views == 8
    assert keep_views(whole, 40).identical(whole)
    uneven = np.diff(keep_views(whole, 7)["view"].values)
    assert uneven.max() <= 6 * 2 * math.pi / 40 + 1e-9
    for count in (0, 41):
        with pytest.raises(InputError, match="has 40 views"):
            keep_views(whole, count)


def test_what_cannot_be_simulated() -> None:
    oblong = cylinder().assign_attrs(voxel_size_mm=[2.0, 5.0, 4.0])
    for options, said in (
        ({"volume": oblong}, "must be square"),
        ({"dose": 1.5}, "a dose of 1.5"),
        ({"flux": 0.0}, "a flux of 0"),
        ({"electronic_sd": -1.0}, "electronic noise"),
        ({"noise_hu": 0.0}, "leaves 0 HU"),
        ({"views": 2}, "2 views"),
    ):
        given = {"volume": cylinder(), "dose": 0.5, "views": 8, **options}
        with pytest.raises(InputError, match=said):
            low_dose_volume(given.pop("volume"), given.pop("dose"), **given)
