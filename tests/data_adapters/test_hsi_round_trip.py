"""A denoised file beside the one it came from, as GDAL, rioxarray and spectral see both.

Every kind of place and value that a cube can have: a transform, turned or not, of any reference
system; packed integers; a mark for nothing; wavelengths; interleave and order of bytes.
"""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import rasterio
import rioxarray
import spectral

import sciddm
from sciddm.data_adapters.hsi import open_cube

BANDS, LINES, SAMPLES = 6, 12, 14
NM = [450.0, 550.0, 650.0, 800.0, 900.0, 1000.0]
PLACE = rasterio.Affine(30, 0, 500000, 0, -30, 4200150)


def counts() -> np.ndarray:
    """int16 of two materials in noise, with a corner without values."""
    rng = np.random.default_rng(0)
    share = np.linspace(0, 1, LINES * SAMPLES).reshape(LINES, SAMPLES)
    spectra = np.array([[900, 1400, 2100, 2600, 2900, 3000], [2400, 2200, 1900, 1500, 1200, 1000]])
    clean = share * spectra[0][:, None, None] + (1 - share) * spectra[1][:, None, None]
    values = np.rint(clean + 20 * rng.standard_normal(clean.shape)).astype(np.int16)
    values[:, :2, :3] = -9999
    return values


def denoised(source: Path, target: Path) -> Path:
    sciddm.hsi.denoise(source, method="lowrank").save(target)
    return target


def geotiff(path: Path, place: rasterio.Affine, epsg: int = 32633) -> np.ndarray:
    values = counts()
    profile = {"driver": "GTiff", "count": BANDS, "height": LINES, "width": SAMPLES}
    with rasterio.open(
        path, "w", dtype="int16", nodata=-9999, crs=f"EPSG:{epsg}", transform=place, **profile
    ) as file:
        file.write(values)
        file.scales, file.offsets = [1e-4] * BANDS, [0.05] * BANDS
        for band, nm in enumerate(NM, 1):
            file.update_tags(band, wavelength=str(nm), wavelength_units="nm")
    return values


def packed(path: Path) -> np.ndarray:
    values = counts()
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("band", BANDS), ("y", LINES), ("x", SAMPLES)):
            file.createDimension(name, size)
        wavelength = file.createVariable("wavelength", "f8", ("band",))
        wavelength[:], wavelength.units = NM, "nm"
        file.createVariable("y", "f8", ("y",))[:] = PLACE.f + PLACE.e * (np.arange(LINES) + 0.5)
        file.createVariable("x", "f8", ("x",))[:] = PLACE.c + PLACE.a * (np.arange(SAMPLES) + 0.5)
        for axis in ("x", "y"):
            file[axis].standard_name, file[axis].units = f"projection_{axis}_coordinate", "m"
        grid = file.createVariable("spatial_ref", "i4")
        grid.crs_wkt = rasterio.CRS.from_epsg(32633).to_wkt()
        cube = file.createVariable("reflectance", "i2", ("band", "y", "x"), fill_value=-9999)
        cube.set_auto_maskandscale(False)
        cube.scale_factor, cube.add_offset, cube.grid_mapping = 1e-4, 0.05, "spatial_ref"
        cube[:] = values
    return values


def same_values(found: np.ndarray, values: np.ndarray) -> None:
    """Changed by noise only; what held nothing holds nothing."""
    empty = values == -9999
    np.testing.assert_array_equal(found == -9999, empty)
    assert 0 < np.abs(found.astype(float) - values)[~empty].max() < 6 * 25


@pytest.mark.parametrize("source", ["a.tif", "a.nc"])
@pytest.mark.parametrize("suffix", [".tif", ".nc", ".zarr"])
def test_gdal_and_rioxarray_see_the_same_place_and_packing(tmp_path, source, suffix):
    path = tmp_path / source
    values = geotiff(path, PLACE) if source == "a.tif" else packed(path)
    target = denoised(path, tmp_path / f"b{suffix}")
    name = "reflectance" if source == "a.nc" else "cube"
    gdal = {
        ".tif": str(target),
        ".nc": f"NETCDF:{target}:{name}",
        ".zarr": f'ZARR:"{target}":/{name}',
    }[suffix]
    with rasterio.open(gdal) as file:
        assert file.crs.to_epsg() == 32633
        assert file.transform == PLACE
        assert file.nodata == -9999
        assert file.dtypes == ("int16",) * BANDS
        same_values(file.read(), values)
        np.testing.assert_allclose(file.scales, 1e-4)
        np.testing.assert_allclose(file.offsets, 0.05)
    with rasterio.open(gdal.replace(f"b{suffix}", f"b_flags{suffix}")) as flags:
        assert (set(flags.scales), set(flags.offsets)) == ({1.0}, {0.0})
        assert flags.transform == PLACE
    if suffix != ".zarr":
        theirs = rioxarray.open_rasterio(gdal, masked=True)
        assert theirs.rio.crs.to_epsg() == 32633
        assert theirs.rio.transform() == PLACE
        assert int(theirs.isnull().sum()) == BANDS * 6
    assert open_cube(target)["wavelength"].values.tolist() == NM


@pytest.mark.parametrize("turn", [0.0, 30.0])
@pytest.mark.parametrize(("interleave", "order"), [("bsq", 0), ("bil", 1), ("bip", 0)])
def test_spectral_and_gdal_see_the_same_envi(tmp_path, interleave, order, turn):
    values = counts()
    axes = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}[interleave]
    values.transpose(axes).astype("><"[1 - order] + "i2").tofile(tmp_path / "a.img")
    (tmp_path / "a.hdr").write_text(
        f"ENVI\nsamples = {SAMPLES}\nlines = {LINES}\nbands = {BANDS}\nheader offset = 0\n"
        f"file type = ENVI Standard\ndata type = 2\ninterleave = {interleave}\n"
        f"byte order = {order}\ndata ignore value = -9999\nwavelength units = nm\n"
        f"wavelength = {{{', '.join(map(str, NM))}}}\nbbl = {{1, 1, 0, 1, 1, 1}}\n"
        "map info = {UTM, 1, 1, 500000, 4200150, 30, 30, 33, North, WGS-84, units=Meters, "
        f"rotation={turn}}}\n"
    )
    denoised(tmp_path / "a.hdr", tmp_path / "b.hdr")
    first, second = (spectral.envi.open(str(tmp_path / f"{k}.hdr")) for k in "ab")
    assert second.metadata["wavelength"] == first.metadata["wavelength"]
    assert second.metadata["bbl"] == first.metadata["bbl"]
    assert second.metadata["interleave"] == interleave
    assert second.metadata["byte order"] == str(order)
    same_values(np.asarray(second.open_memmap()).transpose(2, 0, 1), values)
    with rasterio.open(tmp_path / "a.img") as one, rasterio.open(tmp_path / "b.img") as other:
        np.testing.assert_allclose(other.transform, one.transform)
        assert (other.crs, other.nodata, other.dtypes) == (one.crs, one.nodata, one.dtypes)
    # The quality layer lies on the same grid.
    with rasterio.open(tmp_path / "b_flags.img") as flags:
        assert flags.crs.to_epsg() == 32633
        assert set(flags.read(1)[:2, :3].ravel().tolist()) <= {32, 128}
