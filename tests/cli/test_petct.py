"""`sciddm petct` from file to file, with a network that marks what takes up more than SUV 2.5."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from petct_files import distances, tracer, uptake_pipeline, write_ct, write_pet
from pydicom.uid import generate_uid

from sciddm.data_adapters.nifti import read_nifti
from sciddm.data_adapters.petct.images import open_ct_of, open_pet, save_volume
from sciddm.data_adapters.petct.rtstruct import read_rtstruct
from sciddm.data_adapters.petct.seg import read_seg
from sciddm.data_adapters.volume_files import read_volume
from sciddm.geometry.grid import Grid, grid_of
from sciddm.metrics.masks import dice

CENTRE, RADIUS = (14.0, 4.0, 130.0), 13.0
CT_SHAPE, PET_SHAPE = (20, 36, 40), (15, 18, 16)
PER_SUV = 370e6 * 2 ** (-3600 / 6586.2) / 70e3  # Bq/ml


def grid(shape, spacing, origin) -> Grid:
    """Of an axial series; the origin is in LPS."""
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    affine[:3, 3] = np.array([-1, -1, 1]) * origin
    return Grid(affine, shape)


CT = grid(CT_SHAPE, (3.0, 2.0, 1.5), (-40.0, -30.0, 100.0))
PET = grid(PET_SHAPE, (4.0, 4.0, 4.0), (-42.0, -32.0, 101.0))


def write_study(folder: Path, **pet) -> tuple[Path, Path]:
    """A ball of SUV 6 in 0.5: PET and CT as series in folders of their own."""
    hot = distances(PET, CENTRE) < RADIUS
    activity = np.where(hot, 6.0, 0.5) * PER_SUV
    place = {"origin": (-42.0, -32.0, 101.0), "spacing": (4.0, 4.0, 4.0)}
    write_pet(folder / "pet", np.rint(activity / 2), slope=2.0, **{**place, **pet})
    write_ct(folder / "ct", np.full(CT_SHAPE, 40.0))
    return folder / "pet", folder / "ct"


@pytest.fixture
def known(monkeypatch):
    """The command line uses this pipeline whatever model it is asked for."""
    from sciddm.pipelines.petct import requests

    pipeline = uptake_pipeline()
    monkeypatch.setattr(requests, "load_pipeline", lambda model: pipeline)
    return pipeline


def test_a_study_from_dicom_to_all_outputs(sciddm, known, tmp_path):
    pet, ct = write_study(tmp_path)
    out = tmp_path / "mask.nii.gz"
    words = ["petct", "segment", "--pet", pet, "--ct", ct, "-o", out, "--quality", "fast"]
    answer = sciddm(*words, "--rtstruct", "--report", "--json")
    assert answer.code == 0, answer.err
    [told] = json.loads(answer.out)["results"]
    mask = read_nifti(out)
    assert np.allclose(mask.attrs["affine"], CT.affine, atol=1e-4)
    assert dice(mask.values, distances(CT, CENTRE) < RADIUS) > 0.85
    assert np.array_equal(read_seg(tmp_path / "mask_seg.dcm", ct).values, mask.values)
    assert np.array_equal(read_rtstruct(tmp_path / "mask_rtstruct.dcm", ct), mask.values > 0)
    assert read_nifti(tmp_path / "mask_probability.nii.gz").values.max() > 0.9
    [lesion] = csv.DictReader((tmp_path / "mask_lesions.csv").open())
    assert float(lesion["suv_max"]) == pytest.approx(6.0, rel=1e-3)
    assert float(lesion["mtv_ml"]) == pytest.approx(mask.values.sum() * 9e-3, rel=1e-4)
    assert told["suv_max"] == pytest.approx(6.0, rel=1e-3)
    stored = json.loads((tmp_path / "mask.json").read_text())
    assert stored["suv_rule"] == "BQML"
    assert stored["uptake_min"] == pytest.approx(60)
    assert stored["command"].startswith(f"sciddm petct segment --pet {pet} -o {out} --ct {ct}")
    page = (tmp_path / "mask.html").read_text()
    assert "Lesion 1" in page
    for text in (page, (tmp_path / "mask.json").read_text(), answer.out):
        assert not re.search(r"\bDoe\b", text)  # names stay in the files they are in
    assert not list(tmp_path.glob(".*"))
    again = sciddm(*words)
    assert again.code == 2
    assert "exists already" in again.err


def test_nifti_of_both_and_the_threshold(sciddm, known, tmp_path):
    pet, _ = write_study(tmp_path)
    assert sciddm("petct", "suv", pet, "-o", tmp_path / "suv.nii.gz").code == 0
    stored = read_nifti(tmp_path / "suv.nii.gz")
    assert np.allclose(stored.values, open_pet(pet).values)
    assert stored.values.max() == pytest.approx(6.0, rel=1e-3)
    assert np.allclose(stored.attrs["affine"], PET.affine, atol=1e-4)
    hu = stored.copy(data=np.full(stored.shape, -1000.0, np.float32)).rename({"slice": "z"})
    save_volume(hu, tmp_path / "hu.nii.gz")
    sizes = []
    for threshold in (0.1, 0.9):
        out = tmp_path / f"m{threshold}.nii.gz"
        answer = sciddm(
            "petct", "segment", "--pet", tmp_path / "suv.nii.gz", "--ct", tmp_path / "hu.nii.gz",
            "-o", out, "--quality", "fast", "--threshold", threshold,
        )  # fmt: skip
        assert answer.code == 0, answer.err
        sizes.append(read_nifti(out).values.sum())
        assert not (tmp_path / f"m{threshold}_seg.dcm").exists()
    assert sizes[0] > sizes[1] > 0


def bad_inputs(folder: Path):
    """What is wrong -> how, and what is to be said."""
    pet, ct = folder / "pet", folder / "ct"

    def write(**options):
        write_study(folder, **options)

    def swap():
        write()
        return ct, pet

    def swap_nifti():
        write()
        values = np.full(CT_SHAPE, -900.0, np.float32)
        import xarray as xr

        attrs = {"affine": CT.affine.tolist()}
        save_volume(xr.DataArray(values, dims=("z", "y", "x"), attrs=attrs), folder / "hu.nii.gz")
        return folder / "hu.nii.gz", ct

    def one_slice():
        write()
        for file in sorted(pet.iterdir())[1:]:
            file.unlink()

    def missing_slice():
        write()
        sorted(ct.iterdir())[7].unlink()

    no_dose = {"RadiopharmaceuticalInformationSequence": tracer(RadionuclideTotalDose=None)}
    return {
        "no dose": (lambda: write(**no_dose), "RadionuclideTotalDose"),
        "other patient": (lambda: write(patient="P2"), "different patients"),
        "elsewhere": (lambda: write(origin=(900.0, 0.0, 0.0)), "mm apart"),
        "swapped": (swap, "modality is CT, not PT"),
        "swapped NIfTI": (swap_nifti, "are PET and CT swapped"),
        "one slice": (one_slice, "1 slice"),
        "missing slice": (missing_slice, "a slice is missing"),
        "not there": (lambda: (pet, ct), "no such file or folder"),
    }


@pytest.mark.parametrize("case", bad_inputs(Path()))
def test_bad_input_is_one_line_and_leaves_nothing(sciddm, known, tmp_path, case):
    make, message = bad_inputs(tmp_path)[case]
    pet, ct = make() or (tmp_path / "pet", tmp_path / "ct")
    out = tmp_path / "out"
    out.mkdir()
    answer = sciddm("petct", "segment", "--pet", pet, "--ct", ct, "-o", out / "m.nii.gz")
    assert answer.code == 2
    [line] = answer.error_lines
    assert message in line
    assert not list(out.iterdir())


def test_another_frame_of_reference_is_a_named_warning(sciddm, known, tmp_path):
    pet, ct = write_study(tmp_path, frame=generate_uid())
    out = tmp_path / "m.nii.gz"
    answer = sciddm("petct", "segment", "--pet", pet, "--ct", ct, "-o", out, "--quality", "fast")
    assert answer.code == 0
    assert "warning: pet: PET and CT have different frames of reference" in answer.err


def test_options_that_cannot_be(sciddm, known, tmp_path):
    pet, ct = write_study(tmp_path)
    both = ["petct", "segment", "--pet", pet, "--ct", ct]
    for words, message in (
        (["-o", tmp_path / "m.nii.gz", "--threshold", "1.5"], "--threshold 1.5"),
        (["-o", tmp_path / "m.nii.gz", "--weight-kg", "-3"], "--weight-kg -3"),
        (["-o", tmp_path / "m.dcm"], "masks and SUV are written to"),
    ):
        answer = sciddm(*both, *words)
        assert answer.code == 2
        assert message in answer.err
    assert not list(tmp_path.glob("m*"))


def test_a_model_that_segments_nothing_is_refused(sciddm, model, tmp_path):
    pet, ct = write_study(tmp_path)
    out = tmp_path / "m.nii.gz"
    answer = sciddm("petct", "segment", "--pet", pet, "--ct", ct, "-o", out, "--model", model)
    assert answer.code == 2
    assert "segments PET/CT" in answer.err
    assert not list(tmp_path.glob("m*"))


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_metaimage_and_nrrd_go_in_and_out(sciddm, known, tmp_path, suffix):
    """The mask of NIfTI, voxel for voxel, with probability and entropy beside it."""
    pet, ct = write_study(tmp_path)
    found = {}
    for end in (".nii", suffix):
        files = [tmp_path / end[1:] / f"{name}{end}" for name in ("pet", "ct", "mask")]
        files[0].parent.mkdir()
        save_volume(open_pet(pet), files[0])
        hu = open_ct_of(ct)
        hu[0] = -1000.0  # air, by which a CT is told from PET
        save_volume(hu, files[1])
        words = ["--pet", files[0], "--ct", files[1], "-o", files[2], "--quality", "fast"]
        answer = sciddm("petct", "segment", *words)
        assert answer.code == 0, answer.err
        found[end] = read_volume(files[2])
    assert np.array_equal(found[suffix], found[".nii"])
    assert found[suffix].max() == 1
    assert np.allclose(found[suffix].attrs["affine"], CT.affine, atol=1e-4)
    for name in ("mask_probability", "mask_entropy"):
        assert np.allclose(
            read_volume(tmp_path / suffix[1:] / f"{name}{suffix}"),
            read_volume(tmp_path / "nii" / f"{name}.nii"),
        )
    words = ["--reference", tmp_path / "nii" / "mask.nii", "--estimate", files[2]]
    assert sciddm("petct", "evaluate", *words).code == 0


def test_evaluate_tells_empty_masks_apart(sciddm, tmp_path):
    truth, found = tmp_path / "truth", tmp_path / "found"
    truth.mkdir()
    found.mkdir()
    lesion = (distances(CT, CENTRE) < RADIUS).astype(np.float32)
    import xarray as xr

    def put(path, values):
        attrs = {"affine": CT.affine.tolist()}
        save_volume(xr.DataArray(values, dims=("z", "y", "x"), attrs=attrs), path)

    for name, a, b in (
        ("one", lesion, lesion),
        ("two", lesion, 0 * lesion),
        ("three", 0 * lesion, 0 * lesion),
    ):
        put(truth / f"{name}.nii.gz", a)
        put(found / f"{name}.nii.gz", b)
    put(found / "one_probability.nii.gz", lesion / 2)
    answer = sciddm("petct", "evaluate", "--reference", truth, "--estimate", found, "--json")
    assert answer.code == 0, answer.err
    document = json.loads(answer.out)
    scores = {r["name"]: r for r in document["results"]}
    assert [scores[n]["dice"] for n in ("one", "two", "three")] == [1, 0, 1]
    assert scores["two"]["hd95_mm"] is None  # JSON has no infinity
    assert scores["three"]["hd95_mm"] == 0
    assert document["dsc_agg"] == pytest.approx(2 / 3)
    table = sciddm("petct", "evaluate", "--reference", truth, "--estimate", found)
    assert "inf" in table.out
    assert "dsc_agg over all: 0.667" in table.out
    shifted = grid_of(read_nifti(found / "one.nii.gz").rename({"slice": "z"})).affine.copy()
    shifted[0, 3] += 2
    attrs = {"affine": shifted.tolist()}
    save_volume(
        xr.DataArray(lesion, dims=("z", "y", "x"), attrs=attrs),
        found / "one.nii.gz",
        overwrite=True,
    )
    answer = sciddm("petct", "evaluate", "--reference", truth, "--estimate", found)
    assert answer.code == 1
    assert "does not lie on the grid" in answer.err


def test_demo(sciddm, known, tmp_path):
    answer = sciddm("demo", "petct", "-o", tmp_path / "demo", "--quality", "fast")
    assert answer.code == 0, answer.err
    assert "Dice with the truth" in answer.out
    names = {p.name for p in (tmp_path / "demo").iterdir()}
    assert {"ct", "pet.nii.gz", "true.nii.gz", "mask.nii.gz", "mask.html", "mask_seg.dcm"} <= names


def test_python_and_the_command_line_give_the_same(sciddm, known, tmp_path):
    """From volumes in memory and from files: mask, lesions and what is warned of."""
    import sciddm as package

    pet, ct = write_study(tmp_path)
    out = tmp_path / "m.nii.gz"
    words = ["--ct", ct, "-o", out, "--quality", "fast", "--roi", "-20,30,-20,30,100,160"]
    assert sciddm("petct", "segment", "--pet", pet, *words).code == 0
    options = {"quality": "fast", "roi": "-20,30,-20,30,100,160"}
    from_files = package.petct.segment(pet, ct=ct, **options)
    from_memory = package.petct.segment(open_pet(pet), ct=open_ct_of(ct), **options)
    for result in (from_files, from_memory):
        assert np.array_equal(result.estimate, read_nifti(out).values)
        assert result.data["lesion_suv_max"].values.tolist() == pytest.approx([6.0], rel=1e-3)
    assert from_files.warnings == from_memory.warnings == []
    flags = read_nifti(tmp_path / "m_flags.nii.gz")
    assert np.array_equal(flags.values, from_files.data["flags"])
    assert set(np.unique(flags.values)) == {0, 1}


def test_a_side_file_that_fails_costs_nothing(sciddm, known, tmp_path, monkeypatch):
    from sciddm.data_adapters.petct import result as written

    def fail(*args, **options):
        raise ValueError("'' is not a valid SpecificCharacterSet")

    monkeypatch.setattr(written, "save_seg", fail)
    pet, ct = write_study(tmp_path)
    out = tmp_path / "m.nii.gz"
    answer = sciddm("petct", "segment", "--pet", pet, "--ct", ct, "-o", out, "--quality", "fast")
    assert answer.code == 0, answer.err
    assert "m_seg.dcm could not be written" in answer.err
    assert not (tmp_path / "m_seg.dcm").exists()
    assert read_nifti(out).values.any()
    assert (tmp_path / "m_lesions.csv").exists()
    assert "could not be written" in (tmp_path / "m.json").read_text()


def test_a_field_of_view_that_is_too_large_is_named_on_every_channel(sciddm, known, tmp_path):
    known.representation = replace(known.representation, field_mm=(30.0, 30.0, 30.0))
    pet, ct = write_study(tmp_path)
    command = ("petct", "segment", "--pet", pet, "--ct", ct, "-o", tmp_path / "m.nii.gz")
    refused = sciddm(*command)
    assert refused.code == 2
    assert "larger than the crops" in refused.err
    assert "--roi" in refused.err
    done = sciddm(*command, "--anywhere", "--report", "--quality", "fast")
    assert done.code == 0, done.err
    document = json.loads((tmp_path / "m.json").read_text())
    page = (tmp_path / "m.html").read_text()
    for channel in (" ".join(done.err.split()), json.dumps(document["verdict"]), page):
        assert "larger than the crops" in channel
    assert document["verdict_familiar"] == "no"
