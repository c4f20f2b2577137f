"""Hyperspectral files: what is read is what was written, with all that describes it."""

from __future__ import annotations

import shutil

import dask
import dask.array as da
import netCDF4
import numpy as np
import pytest
import rasterio
import rioxarray
import scipy.io
import spectral
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sciddm.data_adapters.hsi import empty_bands, open_cube, save_cube, wavelengths_nm
from sciddm.data_adapters.hsi.raw import AXES, RawCube
from sciddm.errors import InputError, OutputError

TYPES = ["uint8", "int16", "int32", "float32", "float64", "uint16", "uint32", "int64", "uint64"]
UTM = "UTM, 1, 1, 380000, 4060000, 30, 30, 11, North, WGS-84, units=Meters"


def numbers(shape, dtype="float32", seed=0):
    drawn = np.random.default_rng(seed).uniform(0, 200, shape)
    return drawn.astype(dtype)


def envi_pair(folder, values, interleave="bsq", order=0, extra="", offset=0, name="scene"):
    """Writes (band, y, x) by hand, without the code under test."""
    axes = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}[interleave]
    stored = values.transpose(axes).astype(values.dtype.newbyteorder(">" if order else "<"))
    codes = dict(zip(TYPES, (1, 2, 3, 4, 5, 12, 13, 14, 15), strict=True))
    b, y, x = values.shape
    (folder / f"{name}.img").write_bytes(b"\0" * offset + stored.tobytes())
    (folder / f"{name}.hdr").write_text(
        f"ENVI\nsamples = {x}\nlines = {y}\nbands = {b}\nheader offset = {offset}\n"
        f"file type = ENVI Standard\ndata type = {codes[values.dtype.name]}\n"
        f"interleave = {interleave}\nbyte order = {order}\n{extra}"
    )
    return folder / f"{name}.hdr"


def described(bands):
    waves = ", ".join(f"{0.4 + 0.01 * i:.4f}" for i in range(bands))
    return (
        "description = {A scene, of two lines\n}\nsensor type = AVIRIS\n"
        "wavelength units = Micrometers\n"
        f"wavelength = {{{waves}}}\nfwhm = {{{', '.join(['0.0096'] * bands)}}}\n"
        f"bbl = {{{', '.join(str(int(i != 1)) for i in range(bands))}}}\n"
        f"band names = {{{', '.join(f'band {i}' for i in range(bands))}}}\n"
        f"data ignore value = -9999\nmap info = {{{UTM}}}\nreflectance scale factor = 10000\n"
        "acquisition time = 2013-05-01T18:00:00Z\n"
    )


def in_memory(values):
    return xr.Dataset({"cube": (("band", "y", "x"), values)})


def fields(header):
    parsed = spectral.envi.read_envi_header(str(header))
    return {k: v for k, v in parsed.items() if k != "header offset"}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    dtype=st.sampled_from(TYPES),
    interleave=st.sampled_from(["bsq", "bil", "bip"]),
    order=st.sampled_from([0, 1]),
    offset=st.sampled_from([0, 7]),
)
def test_envi_round_trip_of_numbers_and_header(
    tmp_path_factory, shape, dtype, interleave, order, offset
):
    folder = tmp_path_factory.mktemp("envi")
    values = numbers(shape, dtype)
    source = envi_pair(folder, values, interleave, order, described(shape[0]), offset)
    cube = open_cube(source)
    np.testing.assert_array_equal(cube["cube"].values, values)
    save_cube(cube, folder / "out.hdr")
    assert fields(folder / "out.hdr") == fields(source)
    bare = (folder / "scene.img").read_bytes()[offset:]
    assert (folder / "out.img").read_bytes() == bare
    # The reader of another library agrees.
    theirs = spectral.envi.open(str(folder / "out.hdr"), str(folder / "out.img")).load(
        dtype="f8", scale=False
    )
    np.testing.assert_array_equal(np.moveaxis(np.asarray(theirs), -1, 0), values.astype("f8"))


def test_envi_metadata_have_units(tmp_path):
    cube = open_cube(envi_pair(tmp_path, numbers((4, 3, 5)), extra=described(4)))
    np.testing.assert_allclose(cube["wavelength"], [400, 410, 420, 430])
    np.testing.assert_allclose(cube["fwhm"], 9.6)
    assert cube["good"].values.tolist() == [True, False, True, True]
    assert cube["name"].values[2] == "band 2"
    assert cube.attrs["nodata"] == -9999
    assert cube.attrs["transform"] == [30, 0, 380000, 0, -30, 4060000]
    assert rasterio.CRS.from_user_input(cube.attrs["crs"]).to_epsg() == 32611
    # GDAL's own reader of ENVI puts the pixels in the same place.
    with rasterio.open(tmp_path / "scene.img") as file:
        assert list(file.transform)[:6] == cube.attrs["transform"]
        assert file.crs.to_epsg() == 32611


def test_a_part_of_an_envi_cube_lies_where_it_lay(tmp_path):
    values = numbers((4, 6, 5))
    cube = open_cube(envi_pair(tmp_path, values, "bil", extra=described(4)))
    save_cube(cube.isel(band=slice(1, 3), y=slice(2, 6), x=slice(1, 4)), tmp_path / "part.hdr")
    part = open_cube(tmp_path / "part.hdr")
    np.testing.assert_array_equal(part["cube"], values[1:3, 2:, 1:4])
    np.testing.assert_allclose(part["wavelength"], [410, 420])
    assert part["name"].values.tolist() == ["band 1", "band 2"]
    assert part.attrs["transform"] == [30, 0, 380030, 0, -30, 4059940]
    with rasterio.open(tmp_path / "part.img") as file:
        assert file.xy(0, 0) == (380045.0, 4059925.0)


def test_envi_is_lazy_and_survives_pickling(tmp_path):
    values = numbers((3, 40, 7))
    cube = open_cube(envi_pair(tmp_path, values, "bip"))
    assert isinstance(cube["cube"].data, da.Array)
    with dask.config.set(scheduler="processes", num_workers=1):
        np.testing.assert_array_equal(cube["cube"][:, 3:5].values, values[:, 3:5])


def test_the_names_of_envi_files(tmp_path):
    values = numbers((2, 3, 4))
    envi_pair(tmp_path, values)
    np.testing.assert_array_equal(open_cube(tmp_path / "scene.img")["cube"], values)
    (tmp_path / "scene.img").rename(tmp_path / "scene")
    np.testing.assert_array_equal(open_cube(tmp_path / "scene.hdr")["cube"], values)
    (tmp_path / "scene.hdr").rename(tmp_path / "scene.img.hdr")
    (tmp_path / "scene").rename(tmp_path / "scene.img")
    np.testing.assert_array_equal(open_cube(tmp_path / "scene.img.hdr")["cube"], values)
    save_cube(open_cube(tmp_path / "scene.img"), tmp_path / "other.bil")
    assert fields(tmp_path / "other.hdr")["interleave"] == "bil"
    np.testing.assert_array_equal(open_cube(tmp_path / "other.bil")["cube"], values)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("lines = 3", "lines = 4"), "announces"),
        (("samples = 4\n", ""), "lacks samples"),
        (("data type = 4", "data type = 6"), "complex"),
        (("data type = 4", "data type = 7"), "unknown data type"),
        (("interleave = bsq", "interleave = bsx"), "bsq, bil or bip"),
        (("bands = 2", "bands = two"), "no integer"),
        (("ENVI Standard", "ENVI Spectral Library"), "spectral library"),
        (("byte order = 0", "byte order = 0\nwavelength = {1, 2, 3}"), "3 wavelengths for 2 bands"),
        (("byte order = 0", "byte order = 0\nwavelength = {a, b}"), "no numbers"),
        (("ENVI\n", "NOPE\n"), "no ENVI header"),
    ],
)
def test_bad_envi_headers_give_one_line(tmp_path, change, says):
    header = envi_pair(tmp_path, numbers((2, 3, 4)))
    header.write_text(header.read_text().replace(*change))
    with pytest.raises(InputError, match=says) as caught:
        open_cube(header)
    assert "\n" not in str(caught.value)
    assert "scene" in str(caught.value)


def test_missing_halves_of_envi(tmp_path):
    header = envi_pair(tmp_path, numbers((2, 3, 4)))
    (tmp_path / "scene.img").rename(tmp_path / "away.img")
    with pytest.raises(InputError, match="not beside it"):
        open_cube(header)
    with pytest.raises(InputError, match=r"header away\.hdr is missing"):
        open_cube(tmp_path / "away.img")


def test_missing_wavelengths_and_empty_bands(tmp_path):
    values = numbers((4, 3, 5)) + 1
    values[0], values[1], values[2] = np.nan, 0, -9999
    extra = "data ignore value = -9999\n"
    cube = open_cube(envi_pair(tmp_path, values, extra=extra))
    assert empty_bands(cube).tolist() == [True, True, True, False]
    with pytest.raises(InputError, match="states no wavelengths"):
        wavelengths_nm(cube)
    with pytest.raises(InputError, match="no band holds a value"):
        empty_bands(cube.isel(band=slice(0, 3)))


@settings(max_examples=5, deadline=None)
@given(shape=st.tuples(*[st.integers(1, 6)] * 3), dtype=st.sampled_from(["int16", "f4", "u2"]))
@pytest.mark.parametrize("suffix", [".tif", ".nc", ".zarr", ".npz", ".mat"])
def test_round_trip_between_formats(tmp_path_factory, suffix, shape, dtype):
    """ENVI to the format and back to ENVI: numbers, units and places survive both ways."""
    folder = tmp_path_factory.mktemp("formats")
    first = open_cube(
        envi_pair(folder, numbers(shape, np.dtype(dtype).name), "bip", extra=described(shape[0]))
    )
    save_cube(first, folder / f"held{suffix}")
    held = open_cube(folder / f"held{suffix}")
    save_cube(held, folder / "back.hdr")
    for cube in (held, open_cube(folder / "back.hdr")):
        assert cube["cube"].dtype == np.dtype(dtype)
        np.testing.assert_array_equal(cube["cube"], first["cube"])
        np.testing.assert_allclose(cube["wavelength"], first["wavelength"], rtol=1e-12)
        np.testing.assert_allclose(cube["fwhm"], first["fwhm"], rtol=1e-12)
        np.testing.assert_array_equal(cube["good"], first["good"])
        np.testing.assert_array_equal(cube["name"], first["name"])
        assert cube.attrs["nodata"] == -9999
        assert cube.attrs["interleave"] == "bip"
        assert cube.attrs["description"] == first.attrs["description"]
        assert list(cube.attrs["transform"]) == first.attrs["transform"]
        assert rasterio.CRS.from_user_input(cube.attrs["crs"]).to_epsg() == 32611


def test_geotiff_is_what_gdal_says(tmp_path):
    values = numbers((3, 4, 5), "int16")
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", count=3, height=4, width=5, dtype="int16",
        crs="EPSG:3035", transform=rasterio.Affine(20, 3, 1000, 2, -20, 5000), nodata=-32768,
    ) as file:  # fmt: skip
        file.write(values)
        for i, text in enumerate(("450.5 Nanometers", "550 nm", "Band 3 (650.25 nm)")):
            file.set_band_description(i + 1, text) if i < 2 else None
            file.set_band_description(3, "Band 3 (650.25 nm)")
        file.update_tags(MISSION="X")
    cube = open_cube(tmp_path / "a.tif")
    np.testing.assert_array_equal(cube["cube"], values)
    assert "wavelength" not in cube.coords  # the words for the unit differ: nothing is guessed
    with rasterio.open(tmp_path / "a.tif", "r+") as file:
        for i, length in enumerate((450.5, 550, 650.25)):
            file.set_band_description(i + 1, f"{length} nm")
    cube = open_cube(tmp_path / "a.tif")
    assert cube["wavelength"].values.tolist() == [450.5, 550, 650.25]
    save_cube(cube.isel(y=slice(1, 4), x=slice(2, 5)), tmp_path / "b.tif")
    with rasterio.open(tmp_path / "b.tif") as file:
        assert file.crs.to_epsg() == 3035
        assert file.nodata == -32768
        assert file.tags()["MISSION"] == "X"
        assert file.transform @ (0, 0) == rasterio.Affine(20, 3, 1000, 2, -20, 5000) @ (2, 1)
        assert file.tags(2)["wavelength"] == "550"
        np.testing.assert_array_equal(file.read(), values[:, 1:, 2:])
    again = open_cube(tmp_path / "b.tif")
    assert again["wavelength"].values.tolist() == [450.5, 550, 650.25]
    with pytest.raises(OutputError, match=r"mirrored or sheared"):
        save_cube(again, tmp_path / "b.hdr")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif", "b.tif"]
    theirs = rioxarray.open_rasterio(tmp_path / "b.tif")
    np.testing.assert_array_equal(theirs, values[:, 1:, 2:])


def emit_file(path, values):
    """A granule as EMIT's L2A has it: (downtrack, crosstrack, bands) and two groups."""
    bands, lines, samples = values.shape
    with netCDF4.Dataset(path, "w") as file:
        file.title = "EMIT L2A"
        file.spatial_ref = "EPSG:4326"
        file.geotransform = np.array([-118.0, 5e-4, 0, 34.0, 0, -5e-4])
        for name, size in (("downtrack", lines), ("crosstrack", samples), ("bands", bands)):
            file.createDimension(name, size)
        file.createDimension("ortho_y", 3)
        file.createDimension("ortho_x", 2)
        node = file.createVariable(
            "reflectance", "f4", ("downtrack", "crosstrack", "bands"), fill_value=-9999.0
        )
        node.units = "unitless"
        node[:] = values.transpose(1, 2, 0)
        group = file.createGroup("sensor_band_parameters")
        for name, data in (
            ("wavelengths", np.linspace(381, 2493, bands)), ("fwhm", np.full(bands, 8.4)),
        ):  # fmt: skip
            held = group.createVariable(name, "f4", ("bands",))
            held.units, held.long_name = "nm", f"Band {name}"
            held[:] = data
        group.createVariable("good_wavelengths", "u1", ("bands",))[:] = np.arange(bands) % 3 > 0
        group = file.createGroup("location")
        group.createVariable("lat", "f8", ("downtrack", "crosstrack"))[:] = numbers(
            (lines, samples)
        )
        for name in ("glt_x", "glt_y"):
            held = group.createVariable(name, "i4", ("ortho_y", "ortho_x"), fill_value=0)
            held[:] = [[0, 1], [2, 3], [1, 4]]


def contents(path):
    """Everything in a netCDF file, for comparison."""
    found = {}
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        for group in (file, *file.groups.values()):
            found[group.name] = {k: str(group.getncattr(k)) for k in group.ncattrs()}
            for name, node in group.variables.items():
                about = {k: str(node.getncattr(k)) for k in node.ncattrs()}
                held = (node.dims if hasattr(node, "dims") else node.dimensions, node.dtype.str)
                found[group.name, name] = (held, about, np.asarray(node[...]).tolist())
    return found


def test_emit_goes_round_unchanged(tmp_path):
    values = numbers((7, 5, 4))
    values[:, 2, 1] = -9999
    emit_file(tmp_path / "EMIT.nc", values)
    cube = open_cube(tmp_path / "EMIT.nc")
    np.testing.assert_array_equal(cube["cube"], values)
    assert isinstance(cube["cube"].data, da.Array)
    assert cube.attrs["nodata"] == -9999
    np.testing.assert_allclose(wavelengths_nm(cube)[[0, -1]], [381, 2493])
    np.testing.assert_allclose(cube["fwhm"], 8.4, rtol=1e-6)
    assert cube["good"].values.tolist() == [False, True, True] * 2 + [False]
    assert cube["lat"].dims == ("y", "x")
    assert cube["glt_x"].values.tolist() == [[0, 1], [2, 3], [1, 4]]
    save_cube(cube, tmp_path / "out.nc")
    assert contents(tmp_path / "out.nc") == contents(tmp_path / "EMIT.nc")


def test_a_part_of_emit_moves_its_lookup_table(tmp_path):
    emit_file(tmp_path / "EMIT.nc", numbers((7, 5, 4)))
    save_cube(open_cube(tmp_path / "EMIT.nc").isel(y=slice(1, 4), x=slice(1, 4)), tmp_path / "p.nc")
    part = open_cube(tmp_path / "p.nc")
    # Column 1 and line 1 are cut off; (2, 2) becomes (1, 1); line 4 is the part's third.
    assert part["glt_x"].values.tolist() == [[0, 0], [1, 2], [0, 3]]
    assert part["glt_y"].values.tolist() == [[0, 0], [1, 2], [0, 3]]


def test_foreign_netcdf(tmp_path):
    values = numbers((4, 3, 5))
    foreign = xr.Dataset(
        {"reflectance": (("row", "col", "wavelength"), values.transpose(1, 2, 0))},
        coords={"wavelength": ("wavelength", [0.4, 0.5, 0.6, 0.7], {"units": "um"})},
    )
    foreign.to_netcdf(tmp_path / "a.nc")
    cube = open_cube(tmp_path / "a.nc")
    np.testing.assert_array_equal(cube["cube"], values)
    np.testing.assert_allclose(cube["wavelength"], [400, 500, 600, 700])
    foreign.assign(other=foreign["reflectance"]).to_netcdf(tmp_path / "b.nc")
    with pytest.raises(InputError, match="2 variables of 3 axes"):
        open_cube(tmp_path / "b.nc")


def test_foreign_mat_and_npz(tmp_path):
    values = numbers((4, 3, 5), "int16")
    scipy.io.savemat(tmp_path / "a.mat", {"scene": values.transpose(1, 2, 0)})
    np.testing.assert_array_equal(open_cube(tmp_path / "a.mat")["cube"], values)
    np.savez(tmp_path / "a.npz", x=values, wavelength_um=[0.4, 0.5, 0.6, 0.7])
    cube = open_cube(tmp_path / "a.npz")  # the list tells which axis the bands are
    np.testing.assert_array_equal(cube["cube"], values)
    np.testing.assert_allclose(cube["wavelength"], [400, 500, 600, 700])
    save_cube(cube, tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz") as file:
        np.testing.assert_array_equal(file["x"], values)
        np.testing.assert_allclose(file["wavelength_um"], [0.4, 0.5, 0.6, 0.7])
    np.savez(tmp_path / "c.npz", a=values, b=values)
    with pytest.raises(InputError, match="several arrays of 3 axes"):
        open_cube(tmp_path / "c.npz")
    np.savez(tmp_path / "d.npz", cube=values + 1j)
    with pytest.raises(InputError, match="complex"):
        open_cube(tmp_path / "d.npz")
    (tmp_path / "e.npz").write_bytes(b"PK no")
    with pytest.raises(InputError, match="damaged"):
        open_cube(tmp_path / "e.npz")


def test_nothing_is_written_where_it_cannot_be(tmp_path):
    cube = open_cube(envi_pair(tmp_path, numbers((2, 3, 4))))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OutputError, match="exists already"):
        save_cube(cube, tmp_path / "scene.hdr")
    with pytest.raises(OutputError, match="suffix"):
        save_cube(cube, tmp_path / "scene.png")
    with pytest.raises(OutputError, match="does not exist"):
        save_cube(cube, tmp_path / "no" / "scene.tif")
    broken = cube["cube"].data.map_blocks(
        lambda b: 1 // 0 * b, dtype="f4", meta=np.empty((0, 0, 0))
    )
    failing = cube.assign(cube=(cube["cube"].dims, broken))
    for suffix in (".hdr", ".tif", ".nc", ".zarr", ".npz"):
        with pytest.raises(OutputError, match="cannot be written"):
            save_cube(failing, tmp_path / f"out{suffix}")
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_can_replace_itself(tmp_path):
    values = numbers((2, 3, 4))
    source = envi_pair(tmp_path, values)
    cube = open_cube(source)
    save_cube(cube.assign(cube=cube["cube"] * 2), source, overwrite=True)
    np.testing.assert_array_equal(open_cube(source)["cube"], values * 2)


@pytest.mark.parametrize("suffix", [".hdr", ".tif", ".nc", ".zarr", ".npz"])
def test_half_precision_can_be_written_everywhere(tmp_path, suffix):
    values = np.linspace(0, 1, 3 * 4 * 5, dtype=np.float16).reshape(3, 4, 5)
    np.savez(tmp_path / "a.npz", cube=values, wavelength=[500.0, 600.0, 700.0])
    cube = open_cube(tmp_path / "a.npz")
    save_cube(cube, tmp_path / f"out{suffix}")
    again = open_cube(tmp_path / f"out{suffix}")
    np.testing.assert_array_equal(again["cube"].values, cube["cube"].values)
    np.testing.assert_allclose(wavelengths_nm(again), [500, 600, 700])


@pytest.mark.parametrize("order", ["bsq", "bil", "bip"])
@pytest.mark.parametrize("offset", [0, 7])
def test_every_part_of_raw_numbers_is_that_of_the_whole(tmp_path, order, offset):
    whole = np.arange(3 * 4 * 5, dtype=">u2").reshape(3, 4, 5)
    axes = [("band", "y", "x").index(a) for a in AXES[order]]
    path = tmp_path / "a.img"
    path.write_bytes(bytes(offset) + whole.transpose(axes).tobytes())
    raw = RawCube(path, whole.dtype, offset, whole.shape, order)
    for index in (
        (slice(None), slice(1, 3), slice(None)),
        (slice(0, 2), slice(3, 1, -1), slice(1, 4, 2)),
        (slice(2, None, -2), slice(0, 4, 3), slice(None)),
        (1, slice(None), slice(2, 3)),
        (-1, -2, slice(None)),
        (slice(1, 1), slice(None), slice(None)),
        (slice(None), slice(4, 4), slice(None)),
        slice(1, 2),
    ):
        np.testing.assert_array_equal(raw[index], whole[index])


def test_numbers_that_are_cut_off_while_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setenv("SCIDDM_ISOLATION", "off")
    monkeypatch.setattr("sciddm.data_adapters.hsi.files._SMALL", 0)  # read lazily
    path = tmp_path / "a.hdr"
    save_cube(in_memory(numbers((3, 40, 50))), path)
    opened = open_cube(path)
    with (tmp_path / "a.img").open("r+b") as file:
        file.truncate(4000)
    with pytest.raises(InputError, match="cut off while it was read"):
        opened["cube"].load()


@pytest.mark.parametrize("name", ["a.hdr", "a.tif", "a.nc", "a.zarr"])
def test_a_small_cube_is_at_hand_when_its_file_is_gone(tmp_path, name):
    values = numbers((3, 40, 50))
    save_cube(in_memory(values), tmp_path / name)
    opened = open_cube(tmp_path / name)
    shutil.rmtree(tmp_path)
    assert opened["cube"].chunks is not None
    np.testing.assert_array_equal(opened["cube"], values)


def test_a_cube_that_does_not_fit_on_the_disk(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OutputError, match=r"No space left on device.*free some space"):
        save_cube(in_memory(numbers((3, 4, 5))), tmp_path / "a.hdr")
    assert not list(tmp_path.iterdir())
