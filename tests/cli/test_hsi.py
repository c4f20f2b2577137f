"""`sciddm hsi`: a scene in, a scene out, and one clear line for what cannot be used."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import rasterio
from cli_helpers import Sciddm, everything
from scipy.ndimage import gaussian_filter

from sciddm.data_adapters.hsi import build_cube, open_cube, save_cube
from sciddm.data_adapters.hsi.result import load_denoised, save_denoised
from sciddm.errors import InputError
from sciddm.metrics import spectral as metrics
from sciddm.pipelines.hsi import HyperspectralDenoising
from sciddm.pipelines.hsi import requests as hsi
from sciddm.pipelines.hsi.methods import Estimate, Fitted, Method, build


def clean_cube(bands: int = 12, shape: tuple[int, int] = (40, 47)) -> np.ndarray:
    rng = np.random.default_rng(0)
    fields = np.stack([gaussian_filter(rng.standard_normal(shape), 3) for _ in range(3)])
    abundance = np.exp(8 * fields)
    abundance /= abundance.sum(axis=0)
    walk = gaussian_filter(rng.standard_normal((3, bands)), (0, 3))
    return np.tensordot((0.5 + 0.35 * walk / np.abs(walk).max()).T, abundance, 1)


def write_scene(path: Path, seed: int = 1, scale: float = 1e4) -> Path:
    """An ENVI file of int16 in UTM with a header that holds what headers hold."""
    noisy = clean_cube() + 0.03 * np.random.default_rng(seed).standard_normal((12, 40, 47))
    counts = np.round(scale * noisy).astype(np.int16)
    counts[7] = 0
    wavelength = np.linspace(450, 900, 12)
    held = build_cube(
        path,
        counts,
        form="envi",
        wavelength=wavelength,
        units="Nanometers",
        fwhm=np.full(12, 40.0),
        good=np.arange(12) != 7,
        attrs={
            "nodata": -9999.0,
            "description": "a scene, of fields",
            "interleave": "bil",
            "crs": "EPSG:32611",
            "transform": [20.0, 0.0, 5e5, 0.0, -20.0, 3.7e6],
            "envi_header": {"sensor type": "Unknown", "my own entry": "kept"},
        },
    )
    save_cube(held, path)
    return path


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return write_scene(folder / "scene.hdr")


def test_a_scene_comes_back_clean(sciddm: Sciddm, scene: Path, tmp_path: Path) -> None:
    target = tmp_path / "clean.hdr"
    words = ["--method", "lowrank", "--report", "--pixel", "3,5"]
    answer = sciddm("hsi", "denoise", scene, "-o", target, *words)
    assert answer.code == 0, answer.err
    made = {"clean.hdr", "clean.img", "clean.json", "clean.html"}
    made |= {"clean_flags.hdr", "clean_flags.img"}
    assert {p.name for p in tmp_path.iterdir()} == made | {"in"}
    assert target.read_text() == scene.read_text()
    assert "1e+03" not in answer.out
    noisy, result = open_cube(scene)["cube"].values, load_denoised(target)
    assert result["cube"].dtype == np.int16
    used = np.arange(12) != 7
    truth = clean_cube()
    before, after = (metrics.psnr(c[used] / 1e4, truth[used]) for c in (noisy, result["cube"]))
    assert after > before + 4
    np.testing.assert_array_equal(result["cube"].values[7], 0)
    assert result.attrs["request"]["method"] == "lowrank"
    assert result.attrs["command"].startswith(f"sciddm hsi denoise {scene} -o {target}")
    assert result.attrs["command"].endswith("--method lowrank --seed 0")
    assert "hold no value" in answer.err
    page = (tmp_path / "clean.html").read_text()
    for words in ("Line 3, sample 5", "True colour", "Noise of every band", "Read these remarks"):
        assert words in page, words
    pictures = re.findall(r"base64,([^\"]+)\"", page)
    assert len(pictures) >= 10
    assert all(base64.b64decode(p).startswith((b"\x89PNG", b"\xff\xd8")) for p in pictures)
    assert "Spectra under the cursor" in page
    assert "http" not in re.sub(r"base64,[^\"]+", "", page)


def test_a_batch_goes_on_and_is_resumed(sciddm: Sciddm, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_scene(folder / "a.hdr")
    write_scene(folder / "b.hdr", seed=2)
    data = folder / "b.img"
    data.write_bytes(data.read_bytes()[:-100])
    words = ["hsi", "denoise", folder, "-o", tmp_path / "out", "--method", "lowrank", "--json"]
    answer = sciddm(*words)
    assert answer.code == 1
    assert len(answer.error_lines) == 1
    assert "b.img" in answer.error_lines[0]
    told = json.loads(answer.out)
    assert (told["done"], told["failed"]) == (1, 1)
    assert told["results"][0]["empty_bands"] == [7]
    assert 200 < told["results"][0]["noise_std_median"] < 400
    made = {"a.hdr", "a.img", "a.json", "a_flags.hdr", "a_flags.img"}
    assert everything(tmp_path / "out") == made
    write_scene_again = folder / "b.img"
    write_scene_again.unlink()
    (folder / "b.hdr").unlink()
    write_scene(folder / "b.hdr", seed=2)
    again = json.loads(sciddm(*words).out)
    assert (again["done"], again["skipped"]) == (1, 1)
    other = sciddm(*words, "--seed", 4)
    assert "another seed" in other.err


def test_noise_in_a_file_and_back(sciddm: Sciddm, scene: Path, tmp_path: Path) -> None:
    table, page = tmp_path / "noise.json", tmp_path / "noise.csv"
    answer = sciddm("hsi", "estimate-noise", scene, "-o", table)
    assert answer.code == 0, answer.err
    assert "450.0" in answer.out
    assert "empty" in answer.out
    told = json.loads(table.read_text())
    assert told["noise_std"][7] is None
    known = [v for v in told["noise_std"] if v is not None]
    np.testing.assert_allclose(known, 300, rtol=0.15)
    assert sciddm("hsi", "estimate-noise", scene, "-o", page).code == 0
    rows = [line.split(",") for line in page.read_text().splitlines()]
    assert rows[0][:3] == ["band", "wavelength_nm", "noise_std"]
    assert len(rows) == 13
    assert float(rows[1][2]) == pytest.approx(told["noise_std"][0], rel=1e-6)
    words = ["--method", "lowrank", "--noise-std", table]
    assert sciddm("hsi", "denoise", scene, "-o", tmp_path / "a.tif", *words).code == 0
    result = load_denoised(tmp_path / "a.tif")
    np.testing.assert_allclose(result.attrs["noise_std"], told_or_nan(told["noise_std"]))
    assert not result.attrs["noise_estimated"]
    machine = json.loads(sciddm("hsi", "estimate-noise", scene, "--json").out)
    assert machine["results"][0]["noise_std"] == told["noise_std"]


def told_or_nan(values: list[float | None]) -> list[float]:
    return [np.nan if v is None else v for v in values]


def test_simulate_and_evaluate(sciddm: Sciddm, tmp_path: Path) -> None:
    noisy, truth = tmp_path / "noisy.nc", tmp_path / "noisy_truth.nc"
    words = ["--lines", 30, "--samples", 26, "--bands", 9, "--noise", "gaussian", "--level", 0.05]
    answer = sciddm("hsi", "simulate", "-o", noisy, *words, "--seed", 3)
    assert answer.code == 0, answer.err
    held, clean = open_cube(noisy), open_cube(truth)["cube"].values
    assert held["cube"].shape == (9, 30, 26)
    assert held["cube"].values.std() > 0
    np.testing.assert_allclose(held["wavelength"][0], 900 + 800 / 18)
    assert (held["cube"].values - clean).std() == pytest.approx(0.05, rel=0.05)
    # The same seed gives the same scene.
    again = tmp_path / "again.npz"
    sciddm("hsi", "simulate", "-o", again, *words, "--seed", 3)
    np.testing.assert_array_equal(open_cube(again)["cube"].values, held["cube"].values)
    told = sciddm("hsi", "evaluate", "--clean", truth, "--denoised", noisy, "--json")
    assert told.code == 0, told.err
    [score] = json.loads(told.out)["results"]
    assert score["psnr_db"] == pytest.approx(metrics.psnr(held["cube"].values, clean), abs=1e-3)
    assert score["psnr_db"] == pytest.approx(-20 * np.log10(0.05), abs=0.2)
    assert score["scale"] == 1
    table = sciddm("hsi", "evaluate", "--clean", truth, "--denoised", noisy).out
    assert f"{score['sam_deg']:.2f}" in table
    # The same in other units is as good.
    counts = tmp_path / "counts.hdr"
    scaled = open_cube(truth)
    save_cube(scaled.assign(cube=(1000 * scaled["cube"])), counts)
    held["cube"] = 1000 * held["cube"]
    save_cube(held.assign_attrs(source="x"), tmp_path / "n.hdr")
    words = ["--clean", counts, "--denoised", tmp_path / "n.hdr", "--scale", 1000, "--json"]
    other = json.loads(sciddm("hsi", "evaluate", *words).out)["results"][0]
    assert other["psnr_db"] == pytest.approx(score["psnr_db"], abs=1e-4)


def test_python_the_pipeline_and_the_command_line_give_the_same_bits(
    sciddm: Sciddm, scene: Path, tmp_path: Path
) -> None:
    words = ["--method", "lowrank", "--noise-std", "300", "--tile", "32", "--fill"]
    assert sciddm("hsi", "denoise", scene, "-o", tmp_path / "a.npz", *words).code == 0
    ours = hsi.denoise(scene, method="lowrank", noise_std=300.0, tile=32, fill=True)
    third = HyperspectralDenoising("lowrank")(open_cube(scene), noise_std=300, tile=32, fill=True)
    written = load_denoised(tmp_path / "a.npz")
    for name in ("cube", "flags"):
        np.testing.assert_array_equal(ours.data[name], written[name])
        np.testing.assert_array_equal(third[name], written[name])
    assert ours.request.stored() == {**written.attrs["request"], "noise_std": 300.0}
    # Lazy in, lazy out.
    assert ours.estimate.chunks is not None


def test_a_standard_deviation_of_an_earlier_result_goes(
    sciddm: Sciddm, scene: Path, tmp_path: Path
) -> None:
    target = tmp_path / "a.hdr"
    words = ["hsi", "denoise", scene, "-o", target, "--overwrite"]
    result = HyperspectralDenoising("lowrank")(open_cube(scene))
    result["std"] = result["cube"].astype("f4")
    save_denoised(result, target)
    assert (tmp_path / "a_std.hdr").exists()
    assert sciddm(*words, "--method", "lowrank").code == 0
    assert not (tmp_path / "a_std.hdr").exists()
    assert "std" not in load_denoised(target)


def test_noise_on_ones_own_cube(sciddm: Sciddm, scene: Path, tmp_path: Path) -> None:
    target = tmp_path / "noisy.hdr"
    words = ["--noise", "gaussian", "--level", 0.1, "--seed", 3]
    answer = sciddm("hsi", "simulate", "--scene", scene, "-o", target, *words)
    assert answer.code == 0, answer.err
    assert {p.name for p in tmp_path.iterdir()} == {"in", "noisy.hdr", "noisy.img"}
    before, after = open_cube(scene), open_cube(target)
    assert after["cube"].dtype == np.int16
    assert target.read_text() == scene.read_text()
    away = after["cube"].values.astype(float) - before["cube"].values
    assert not away[7].any()  # holds nothing
    white = np.percentile(np.delete(before["cube"].values, 7, 0), 99.5)
    assert np.delete(away, 7, 0).std() == pytest.approx(0.1 * white, rel=0.03)


def test_bad_bands_are_listed(sciddm: Sciddm, tmp_path: Path) -> None:
    cube = clean_cube()
    rng = np.random.default_rng(2)
    cube = cube + 0.01 * rng.standard_normal(cube.shape)
    cube[3] = 0.02 * rng.standard_normal(cube[3].shape)  # no light, noise alone
    cube[9] = 0.5
    path, table = tmp_path / "s.hdr", tmp_path / "noise.json"
    save_cube(build_cube(path, cube.astype(np.float32), form="envi"), path)
    answer = sciddm("hsi", "estimate-noise", path, "-o", table)
    assert answer.code == 0, answer.err
    told = json.loads(table.read_text())
    assert told["bad_bands"] == [4, 10]
    assert told["bbl"] == [int(b not in (3, 9)) for b in range(12)]
    assert "noise about as large as the signal" in answer.out
    assert "4, 10" in answer.out


def test_the_demo(sciddm: Sciddm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sciddm.pipelines.hsi import demo

    monkeypatch.setattr(build, "METHODS", {**build.METHODS, "subspace": build.METHODS["lowrank"]})
    monkeypatch.setattr(build, "_GRADED", {})
    monkeypatch.setattr(demo, "_SCENE", {"lines": 40, "samples": 36, "bands": 12, "level": 0.03})
    answer = sciddm("demo", "hsi", "-o", tmp_path / "d", "--quality", "fast")
    assert answer.code == 0, answer.err
    told = json.loads((tmp_path / "d" / "denoised.json").read_text())
    assert told["command"].startswith(f"sciddm hsi denoise {tmp_path}/d/scene.hdr")
    assert {"scene_truth.hdr", "denoised_flags.hdr", "denoised.html"} <= everything(tmp_path / "d")
    assert "PSNR, denoised" in answer.out


def test_scenes_of_another_size_are_not_compared(
    sciddm: Sciddm, scene: Path, tmp_path: Path
) -> None:
    sciddm("hsi", "simulate", "-o", tmp_path / "s.hdr", "--lines", 12, "--samples", 12)
    answer = sciddm("hsi", "evaluate", "--clean", scene, "--denoised", tmp_path / "s.hdr")
    assert answer.code == 1
    assert "compare cubes of one shape" in answer.error_lines[0]


def truncated(path: Path) -> None:
    write_scene(path)
    data = path.with_suffix(".img")
    data.write_bytes(data.read_bytes()[:-2])


def no_numbers(path: Path) -> None:
    write_scene(path)
    path.with_suffix(".img").unlink()


def all_nan(path: Path) -> None:
    save_cube(build_cube(path, np.full((5, 20, 20), np.nan, np.float32), form="envi"), path)


def complex_numbers(path: Path) -> None:
    write_scene(path)
    text = re.sub(r"data type *= *2", "data type = 6", path.read_text())
    path.write_text(text)
    data = path.with_suffix(".img")
    data.write_bytes(data.read_bytes() * 4)


def other_wavelengths(path: Path) -> None:
    write_scene(path)
    path.write_text(re.sub(r"wavelength *= *\{[^,]*,", "wavelength = {", path.read_text()))


def too_few_pixels(path: Path) -> None:
    save_cube(build_cube(path, np.random.default_rng(0).random((50, 3, 4)), form="envi"), path)


def missing(path: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (missing, "no such file"),
        (truncated, "announces"),
        (no_numbers, "not beside it"),
        (all_nan, "no band holds a value"),
        (complex_numbers, "complex"),
        (other_wavelengths, "11 wavelengths for 12 bands"),
        (too_few_pixels, "12 pixels are too few"),
    ],
)
@pytest.mark.parametrize("form", ["a.hdr", "a.nc"])
def test_unusable_scenes(
    sciddm: Sciddm, tmp_path: Path, make: Callable[[Path], None], said: str, form: str
) -> None:
    path = tmp_path / "scene.hdr"
    make(path)
    before = everything(tmp_path)
    words = ["-o", tmp_path / form, "--method", "lowrank", "--report"]
    answer = sciddm("hsi", "denoise", path, *words)
    assert answer.code == 2, answer.err
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    assert "scene" in answer.err
    assert said in answer.err
    assert answer.out == ""
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "{}/none/a.hdr"], "does not exist"),
        (["-o", "{}/a.jpg"], "suffix"),
        (["-o", "{}/in/scene.hdr"], "is the input itself"),
        (["-o", "{}/a.hdr", "--method", "magic"], "unknown method magic"),
        (["-o", "{}/a.hdr", "--report", "--pixel", "three"], "LINE,SAMPLE"),
        (["-o", "{}/a.hdr", "--report", "--pixel", "40,0"], "40 lines"),
        (["-o", "{}/a.hdr", "--noise-std", "{}/noise.json"], "no such file"),
        (["-o", "{}/a.hdr", "--noise-std", "-3"], "0 or more"),
        (["-o", "{}/a.hdr", "--model", "hsi-subspace"], "has no model"),
        (["-o", "{}/a.hdr", "--scheduler", "tcp://127.0.0.1:9"], "no dask scheduler"),
    ],
)
def test_unusable_options(
    sciddm: Sciddm,
    scene: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    said: str,
) -> None:
    monkeypatch.setattr("sciddm.pipelines.engine.workers.cluster._CONNECT_SECONDS", 1)
    before = everything(tmp_path)
    given = [word.format(tmp_path) for word in words]
    method = [] if "--method" in words else ["--method", "lowrank"]
    answer = sciddm("hsi", "denoise", scene, *given, *method)
    assert answer.code == 2, answer.err
    assert answer.err.count("\n") == 1
    assert said in answer.err
    assert everything(tmp_path) == before


class NeedsWavelengths(Method):
    """A method that cannot do without wavelengths."""

    name = "needy"
    has_std = True

    def fit(self, statistics):  # type: ignore[no-untyped-def]
        if statistics.wavelength_nm is None:
            raise InputError("needs wavelengths: add them to the header")
        return Same()


class Same(Fitted):
    """The tile as it is, with a standard deviation."""

    halo = 0
    attributes = {"method": "needy"}  # noqa: RUF012

    def apply(self, tile, seed=0, progress=None):  # type: ignore[no-untyped-def]
        values = tile.inner(tile.values)
        return Estimate(values, np.full_like(values, 0.01), {})


def test_wavelengths_and_the_standard_deviation(
    sciddm: Sciddm, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = build.method_class

    def chosen(name: str) -> Any:
        return NeedsWavelengths if name == "needy" else real(name)

    monkeypatch.setattr(build, "method_class", chosen)
    bare = tmp_path / "bare.hdr"
    save_cube(open_cube(scene).drop_vars(["wavelength", "fwhm"]), bare)
    before = everything(tmp_path)
    answer = sciddm("hsi", "denoise", bare, "-o", tmp_path / "a.hdr", "--method", "lowrank")
    assert answer.code == 0
    for path in ("a.hdr", "a.img", "a.json", "a_flags.hdr", "a_flags.img"):
        (tmp_path / path).unlink()
    answer = sciddm("hsi", "denoise", bare, "-o", tmp_path / "a.hdr", "--method", "needy")
    assert answer.code == 2
    assert "needs wavelengths" in answer.err
    assert everything(tmp_path) == before
    answer = sciddm("hsi", "denoise", scene, "-o", tmp_path / "a.hdr", "--method", "needy")
    assert answer.code == 0, answer.err
    made = {"a.hdr", "a.img", "a_std.hdr", "a_std.img", "a_flags.hdr", "a_flags.img", "a.json"}
    assert everything(tmp_path) - before == made
    back = load_denoised(tmp_path / "a.hdr")
    scale = back.attrs["scale"]
    used = np.arange(12) != 7
    np.testing.assert_allclose(back["std"].values[used], 0.01 * scale, rtol=1e-5)
    assert np.isnan(back["std"].values[7]).all()


def test_a_part_of_a_scene_and_its_bad_bands(sciddm: Sciddm, scene: Path, tmp_path: Path) -> None:
    whole = open_cube(scene)
    lines, samples = whole.sizes["y"], whole.sizes["x"]
    mask = np.ones((1, lines, samples), np.uint8)
    mask[0, :, 3] = 0
    save_cube(build_cube(Path("m"), mask, form="t"), tmp_path / "mask.hdr")
    window = f"2-{lines - 1},1-{samples - 2}"
    answer = sciddm(
        "hsi", "denoise", scene, "-o", tmp_path / "part.tif", "--method", "lowrank",
        "--bands", "2-5,9-12", "--window", window, "--mask", tmp_path / "mask.hdr", "--cog",
        "--report",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    part = open_cube(tmp_path / "part.tif")
    bands = [1, 2, 3, 4, 8, 9, 10, 11]
    np.testing.assert_allclose(part["wavelength"].values, whole["wavelength"].values[bands])
    assert part["cube"].shape == (8, lines - 2, samples - 2)
    with rasterio.open(tmp_path / "part.tif") as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    # What the mask leaves out is as it was.
    expected = whole["cube"].values[bands][:, 2:, 3]
    np.testing.assert_array_equal(part["cube"].values[:, :, 2], expected)
    flags = open_cube(tmp_path / "part_flags.tif")["cube"].values
    assert (flags[:, :, 2] & 128 == 128).all()
    answer = sciddm("hsi", "estimate-noise", scene, "-o", tmp_path / "bbl.hdr")
    assert answer.code == 0, answer.err
    text = (tmp_path / "bbl.hdr").read_text()
    assert "bbl = { 1 , 1 , 1 , 1 , 1 , 1 , 1 , 0 , 1 , 1 , 1 , 1 }" in text
    answer = sciddm("hsi", "estimate-noise", scene, "-o", tmp_path / "b.hdr", "--bands", "1-8")
    assert answer.code != 0
    assert "no whole ENVI cube" in answer.err
    answer = sciddm("hsi", "denoise", scene, "-o", tmp_path / "o.hdr", "--ortho")
    assert answer.code != 0
    assert "no lookup table" in answer.err
    assert not (tmp_path / "o.hdr").exists()


def test_emit_is_denoised_in_the_sensors_geometry_and_written_on_its_map_grid(
    sciddm: Sciddm, tmp_path: Path
) -> None:
    lines, samples, bands = 30, 24, 6
    rng = np.random.default_rng(0)
    share = gaussian_filter(rng.random((lines, samples)), 2)[..., None]
    values = share * np.linspace(0.2, 0.6, bands) + 0.005 * rng.standard_normal(
        (lines, samples, bands)
    )
    with netCDF4.Dataset(tmp_path / "e.nc", "w") as file:
        sizes = {"downtrack": lines, "crosstrack": samples, "bands": bands}
        for dim, size in (sizes | {"ortho_y": samples, "ortho_x": lines}).items():
            file.createDimension(dim, size)
        file.setncatts(
            {"geotransform": [10.0, 0.5, 0.0, 50.0, 0.0, -0.5], "spatial_ref": "EPSG:4326"}
        )
        file.createVariable(
            "reflectance", "f4", ("downtrack", "crosstrack", "bands"), fill_value=-9999
        )[...] = values
        place = file.createGroup("sensor_band_parameters")
        place.createVariable("wavelengths", "f4", ("bands",))[...] = np.linspace(500, 900, bands)
        table = np.mgrid[1 : samples + 1, 1 : lines + 1]
        table[:, 0, 0] = 0
        for name, column in zip(("glt_x", "glt_y"), table, strict=True):
            group = file.createGroup("location")
            group.createVariable(name, "i4", ("ortho_y", "ortho_x"))[...] = column
    words = ("--method", "lowrank")
    answer = sciddm("hsi", "denoise", tmp_path / "e.nc", "-o", tmp_path / "s.nc", *words)
    assert answer.code == 0, answer.err
    answer = sciddm("hsi", "denoise", tmp_path / "e.nc", "-o", tmp_path / "t.tif", *words)
    assert "cannot hold the latitudes" in answer.err
    answer = sciddm(
        "hsi", "denoise", tmp_path / "e.nc", "-o", tmp_path / "o.tif", *words, "--ortho", "--report"
    )
    assert answer.code == 0, answer.err
    assert "cannot hold" not in answer.err
    sensor, grid = (open_cube(tmp_path / n) for n in ("s.nc", "o.tif"))
    expected = sensor["cube"].values.transpose(0, 2, 1).copy()
    expected[:, 0, 0] = -9999
    np.testing.assert_array_equal(grid["cube"].values, expected)
    assert grid.attrs["transform"] == [0.5, 0, 10, 0, -0.5, 50]
    assert open_cube(tmp_path / "o_flags.tif")["cube"].values[0, 0, 0] == 128
    assert (tmp_path / "o.html").exists()
