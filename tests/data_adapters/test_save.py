"""Results and scans: what is saved is what is read, and outputs are whole or absent."""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sciddm.data_adapters import (
    check_outputs,
    kspace_outputs,
    load_result,
    open_kspace,
    open_maps,
    result_outputs,
    save,
    save_kspace,
    save_result,
)
from sciddm.errors import InputError, OutputError

WHOLE = [".h5", ".nc", ".zarr"]
RESULTS = [".nii", ".nii.gz", *WHOLE, ".cfl"]


def complex_noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def a_result() -> xr.Dataset:
    image, shape = ("slice", "y", "x"), (2, 4, 5)
    residual = np.abs(complex_noise(shape, 4))
    residual[0, 1] = np.nan
    return xr.Dataset(
        {
            "reconstruction": (image, np.abs(complex_noise(shape, 1)), {"units": "a.u."}),
            "std": (image, np.abs(complex_noise(shape, 2))),
            "zero_filled": (image, np.abs(complex_noise(shape, 3))),
            "samples": (("sample", *image), complex_noise((3, *shape))),
            "residual": (("slice", "ky", "kx"), residual),
        },
        coords={"y": np.arange(4) * 0.9},
        attrs={
            "model": "mri-brain",
            "weights_sha256": "0af",
            "seed": 5,
            "consistency": 1.02,
            "per_slice": [1.0, math.nan],
            "voxel_size_mm": [5.0, 0.9, 0.8],
            "affine": np.diag([0.8, 0.9, 5.0, 1.0]).tolist(),
            "orientation_known": False,
            "warnings": ["the image contradicts its data"],
            "request": {"samples": None, "maps": "maps.h5"},
            "sciddm_version": "0.0.1",
        },
    )


def a_scan() -> xr.Dataset:
    k = complex_noise((2, 3, 4, 5))
    mask = np.ones((2, 4, 5), bool)
    mask[:, 1] = mask[1, 3] = False
    k *= mask[:, None]
    image = ("slice", "y", "x")
    return xr.Dataset(
        {
            "kspace": (("slice", "coil", "ky", "kx"), k),
            "mask": (("slice", "ky", "kx"), mask),
            "maps": (("slice", "coil", "y", "x"), complex_noise((2, 3, 4, 5), 1)),
            "noise": (("coil", "sample"), complex_noise((3, 7), 2)),
            "reference": (image, np.abs(complex_noise((2, 4, 5), 3))),
            "truth": (image, complex_noise((2, 4, 5), 4)),
        },
        attrs={
            "voxel_size_mm": [5.0, 0.9, 0.8],
            "affine": np.diag([-0.8, 0.9, 5.0, 1.0]).tolist(),
            "orientation_known": True,
            "field_strength_T": math.nan,
            "image_shape": [4, 5],
            "snr_db": math.inf,
            "mask_kind": "random",
        },
    )


def identical(a: xr.Dataset, b: xr.Dataset) -> None:
    assert set(a.variables) == set(b.variables)
    assert set(a.coords) == set(b.coords)
    for name, variable in a.variables.items():
        assert b[name].dims == variable.dims, name
        assert b[name].dtype == variable.dtype, name
        assert b[name].values.tobytes() == variable.values.tobytes(), name
        assert dict(b[name].attrs) == dict(variable.attrs), name


@pytest.mark.parametrize("suffix", WHOLE)
def test_whole_result_survives_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    data, before = a_result(), a_result()
    save_result(data, tmp_path / f"a{suffix}")
    identical(before, load_result(tmp_path / f"a{suffix}"))
    xr.testing.assert_identical(data, before)  # saving changes nothing
    attrs = load_result(tmp_path / f"a{suffix}").attrs
    np.testing.assert_equal(attrs, data.attrs)


def test_result_as_bart(tmp_path: Path) -> None:
    data = a_result()
    save_result(data, tmp_path / "a.cfl")
    again = load_result(tmp_path / "a.cfl")
    for name in ("reconstruction", "std"):
        np.testing.assert_array_equal(again[name].values, data[name].values)
    assert again.attrs["voxel_size_mm"] == [5.0, 0.9, 0.8]
    first = np.fromfile(tmp_path / "a.cfl", "<c8")[:5]
    np.testing.assert_array_equal(first.real, data["reconstruction"].values[0, 0])
    assert (tmp_path / "a.hdr").read_text().split("\n")[1].split()[:4] == ["5", "4", "2", "1"]


@pytest.mark.parametrize("suffix", RESULTS)
def test_outputs_are_those_announced(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"scan.1{suffix}"
    announced = result_outputs(path)
    assert announced[0] == path
    check_outputs(announced)
    save_result(a_result(), path)
    assert sorted(tmp_path.iterdir()) == sorted(announced)
    with pytest.raises(OutputError, match="exists"):
        check_outputs(announced)
    check_outputs(announced, overwrite=True)


@pytest.mark.parametrize("suffix", RESULTS)
def test_json_beside_repeats_the_run(tmp_path: Path, suffix: str) -> None:
    save_result(a_result(), tmp_path / f"a{suffix}")
    text = (tmp_path / "a.json").read_text()
    stored = json.loads(text, parse_constant=lambda token: pytest.fail(token))
    assert stored["seed"] == 5
    assert stored["weights_sha256"] == "0af"
    assert stored["request"] == {"samples": None, "maps": "maps.h5"}
    assert stored["per_slice"] == [1.0, None]


@pytest.mark.parametrize("suffix", WHOLE)
def test_whole_scan_survives_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    scan = a_scan()
    path = tmp_path / f"a{suffix}"
    save_kspace(scan, path)
    assert list(tmp_path.iterdir()) == kspace_outputs(path)
    again = open_kspace(path)
    identical(scan, again)
    attrs = {k: again.attrs[k] for k in scan.attrs}
    np.testing.assert_equal(attrs, scan.attrs)
    assert again.attrs["source"] == path.name
    np.testing.assert_array_equal(open_maps(path).values, scan["maps"].values)


@pytest.mark.parametrize("suffix", WHOLE)
def test_axes_in_any_order(tmp_path: Path, suffix: str) -> None:
    scan = a_scan()
    turned = scan.transpose("x", "kx", "coil", "y", "slice", "ky", "sample")
    save_kspace(turned, tmp_path / f"a{suffix}")
    again = open_kspace(tmp_path / f"a{suffix}")
    for name in ("kspace", "mask", "maps", "noise"):
        np.testing.assert_array_equal(again[name].values, scan[name].values)


def test_scan_as_bart(tmp_path: Path) -> None:
    save_kspace(a_scan(), tmp_path / "a.cfl")
    assert sorted(tmp_path.iterdir()) == sorted(kspace_outputs(tmp_path / "a.cfl"))
    again = open_kspace(tmp_path / "a.cfl")
    np.testing.assert_array_equal(again["kspace"].values, a_scan()["kspace"].values)
    assert again.attrs["affine"] == a_scan().attrs["affine"]
    assert math.isnan(again.attrs["field_strength_T"])
    assert again.attrs["snr_db"] == math.inf


def test_other_programs_see_the_attributes(tmp_path: Path) -> None:
    save_result(a_result(), tmp_path / "a.nc")
    save_result(a_result(), tmp_path / "a.h5", overwrite=True)
    with xr.open_dataset(tmp_path / "a.nc") as file:
        np.testing.assert_array_equal(file.attrs["voxel_size_mm"], [5.0, 0.9, 0.8])
        assert file.attrs["model"] == "mri-brain"
        joined = file["samples_real"].values + 1j * file["samples_imag"].values
        np.testing.assert_array_equal(joined, a_result()["samples"].values)
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file.attrs["voxel_size_mm"], [5.0, 0.9, 0.8])
        assert file["reconstruction"].attrs["dims"] == "slice,y,x"
        assert json.loads(file["sciddm_attrs"][()])["seed"] == 5


finite = st.complex_numbers(allow_nan=False, allow_infinity=False, width=64)


@settings(max_examples=20, deadline=None)
@given(
    hnp.arrays(np.float32, st.tuples(*[st.integers(1, 4)] * 3), elements=st.floats(width=32)),
    st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), st.floats(), max_size=3),
)
def test_any_result_survives_in_hdf5(image: np.ndarray, attrs: dict[str, float]) -> None:
    attrs = {f"a{k}": v for k, v in attrs.items() if "\0" not in k}
    data = xr.Dataset({"reconstruction": (("slice", "y", "x"), image)}, attrs=attrs)
    with tempfile.TemporaryDirectory() as folder:
        save_result(data, Path(folder) / "a.h5")
        again = load_result(Path(folder) / "a.h5")
    assert again["reconstruction"].values.tobytes() == image.tobytes()
    np.testing.assert_equal(again.attrs, attrs)


def test_more_attributes_than_hdf5_headers_hold(tmp_path: Path) -> None:
    many = a_result().assign_attrs(long=list(range(20000)), text="x" * 100000)
    save_result(many, tmp_path / "a.h5")
    assert load_result(tmp_path / "a.h5").attrs["long"] == list(range(20000))


# Outputs that cannot be


@pytest.mark.parametrize("suffix", RESULTS)
def test_existing_outputs_are_kept(tmp_path: Path, suffix: str) -> None:
    for existing in result_outputs(tmp_path / f"a{suffix}"):
        existing.write_bytes(b"mine")
        with pytest.raises(OutputError, match=r"exists|is a folder"):
            save_result(a_result(), tmp_path / f"a{suffix}")
        assert existing.read_bytes() == b"mine"
        assert list(tmp_path.iterdir()) == [existing]
        existing.unlink()


@pytest.mark.parametrize("suffix", RESULTS)
def test_overwrite_replaces_all(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    save_result(a_result().assign_attrs(seed=1), path)
    changed = a_result()
    changed["reconstruction"] = changed["reconstruction"] * 2
    save_result(changed, path, overwrite=True)
    again = load_result(path)
    np.testing.assert_array_equal(again["reconstruction"].values, changed["reconstruction"].values)
    assert again.attrs["seed"] == 5
    assert sorted(tmp_path.iterdir()) == sorted(result_outputs(path))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".cfl"])
def test_no_standard_deviation_of_an_earlier_result(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    save_result(a_result(), path)
    save_result(a_result().drop_vars("std"), path, overwrite=True)
    assert "std" not in load_result(path)
    assert not [p for p in tmp_path.iterdir() if "_std" in p.name]


@pytest.mark.parametrize("suffix", [".zarr", ".h5"])
def test_a_folder_of_the_user_is_never_replaced(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / f"a{suffix}"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="is a folder"):
        save_result(a_result(), folder, overwrite=True)
    assert (folder / "thesis.txt").read_text() == "mine"
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("name", ["a", "a.png", ".nii", "a.h5.txt"])
def test_unknown_suffix(tmp_path: Path, name: str) -> None:
    for function in (save_result, save_kspace):
        with pytest.raises(OutputError, match="suffix"):
            function(a_result(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        save_result(a_result(), tmp_path / "no" / "a.h5")
    with pytest.raises(OutputError, match="does not exist"):
        check_outputs([tmp_path / "no" / "a.h5"])


def test_folder_that_is_not_writable(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write anywhere")
    with pytest.raises(OutputError, match="not writable"):
        check_outputs([folder / "a.h5"])


@pytest.mark.parametrize("suffix", RESULTS)
@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_is_left_of_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, overwrite: bool
) -> None:
    """The disk is full when the last file, the JSON, is written."""
    path = tmp_path / f"a{suffix}"
    if overwrite:
        save_result(a_result().assign_attrs(seed=1), path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def full(*_: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(save, "sidecar", full)
    with pytest.raises(OutputError, match="No space left"):
        save_result(a_result(), path, overwrite=overwrite)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_nothing_is_left_when_renaming_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.replace
    done: list[Any] = []

    def second_fails(source: Any, target: Any) -> None:
        if done:
            raise PermissionError(13, "Permission denied")
        done.append(target)
        rename(source, target)

    monkeypatch.setattr(os, "replace", second_fails)
    with pytest.raises(OutputError, match="Permission denied"):
        save_result(a_result(), tmp_path / "a.nii.gz")
    assert done
    assert not list(tmp_path.iterdir())


def test_an_interrupt_passes_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(save, "sidecar", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_result(a_result(), tmp_path / "a.zarr")
    assert not list(tmp_path.iterdir())


def test_main_output_appears_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that its presence means that all is there."""
    order: list[str] = []
    rename = os.replace

    def noted(source: Any, target: Any) -> None:
        if Path(target).parent == tmp_path:
            order.append(Path(target).name)
        rename(source, target)

    monkeypatch.setattr(os, "replace", noted)
    save_result(a_result(), tmp_path / "a.nii.gz")
    assert order[-1] == "a.nii.gz"
    assert set(order) == {"a.nii.gz", "a_std.nii.gz", "a.json"}


# Data sets that cannot be saved, and files that are no results


def test_not_a_result(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reconstruction"):
        save_result(a_scan(), tmp_path / "a.h5")
    with pytest.raises(InputError, match="kspace"):
        save_kspace(a_result(), tmp_path / "a.h5")
    real = a_scan()
    real["kspace"] = real["kspace"].real
    with pytest.raises(InputError, match="not complex"):
        save_kspace(real, tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", WHOLE)
def test_results_and_scans_are_told_apart(tmp_path: Path, suffix: str) -> None:
    save_result(a_result(), tmp_path / f"r{suffix}")
    save_kspace(a_scan(), tmp_path / f"k{suffix}")
    with pytest.raises(InputError, match=f"r{suffix}"):
        open_kspace(tmp_path / f"r{suffix}")
    with pytest.raises(InputError, match=f"k{suffix}"):
        load_result(tmp_path / f"k{suffix}")


@pytest.mark.parametrize("suffix", [*RESULTS, ".png"])
def test_missing_result(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(InputError, match="missing"):
        load_result(tmp_path / f"missing{suffix}")
