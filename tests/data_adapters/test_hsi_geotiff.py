"""GeoTIFF: scale, offset and mask are kept, and bands without names have none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio

from sciddm.data_adapters.hsi import build_cube, open_cube, save_cube
from sciddm.physics.spectral.flags import Flag
from sciddm.pipelines.hsi import HyperspectralDenoising


def written(path: Path, shape=(8, 30, 32)) -> np.ndarray:
    """int16 with a scale, an offset, an internal mask and nothing else."""
    rng = np.random.default_rng(0)
    field = 2000 + 40 * np.arange(shape[0])[:, None, None] * rng.random(shape[1:])
    values = (field + 20 * rng.standard_normal(shape)).astype(np.int16)
    mask = np.ones(shape[1:], bool)
    mask[4:9, 6:12] = False
    profile = {"driver": "GTiff", "count": shape[0], "height": shape[1], "width": shape[2]}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", dtype="int16", **profile) as file,
    ):
        file.write(values)
        file.write_mask(mask)
        file.scales, file.offsets = [1e-4] * shape[0], [0.05] * shape[0]
    return values


def test_scale_offset_and_mask_come_back(tmp_path):
    values = written(tmp_path / "a.tif")
    held = open_cube(tmp_path / "a.tif")
    assert (held["gain"].values == 1e-4).all()
    save_cube(held, tmp_path / "b.tif")
    with rasterio.open(tmp_path / "a.tif") as first, rasterio.open(tmp_path / "b.tif") as second:
        assert first.scales == second.scales
        assert first.offsets == second.offsets
        np.testing.assert_array_equal(first.dataset_mask(), second.dataset_mask())
        np.testing.assert_array_equal(second.read(), values)
        assert second.descriptions == (None,) * 8


def test_gains_of_another_format_become_scales(tmp_path):
    held = build_cube(
        Path("s.hdr"),
        np.ones((3, 4, 5), np.int16),
        form="t",
        coords={"gain": ("band", [0.1, 0.2, 0.3]), "offset": ("band", [0.0, 1.0, 2.0])},
    )
    save_cube(held, tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.scales == (0.1, 0.2, 0.3)
        assert file.offsets == (0.0, 1.0, 2.0)


def test_what_a_mask_leaves_out_stays_as_it_was(tmp_path):
    values = written(tmp_path / "a.tif")
    result = HyperspectralDenoising("lowrank")(open_cube(tmp_path / "a.tif"))
    inside = np.zeros(values.shape[1:], bool)
    inside[4:9, 6:12] = True
    np.testing.assert_array_equal(result["cube"].values[:, inside], values[:, inside])
    assert (result["flags"].values[:, inside] == Flag.OUTSIDE).all()
    assert not (result["flags"].values[:, ~inside] & Flag.OUTSIDE).any()
