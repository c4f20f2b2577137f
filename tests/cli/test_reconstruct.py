"""What `sciddm mri` reads, writes and says, with a pipeline that needs no model."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from cli_helpers import (
    FakePipeline,
    Sciddm,
    everything,
    object_kspace,
    undersampled_scan,
    write_scan,
)

from sciddm.data_adapters import load_result, open_kspace
from sciddm.metrics.volume import psnr_volume


def test_one_scan(
    sciddm: Sciddm,
    fake: FakePipeline,
    scan: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "300")  # long names are not folded
    target = tmp_path / "image.nii.gz"
    answer = sciddm("mri", "reconstruct", scan, "-o", target, "--seed", 3, "--noise-std", 0.02)
    assert answer.code == 0, answer.err
    assert everything(tmp_path) == {
        "in",
        "in/scan.h5",
        "image.nii.gz",
        "image_std.nii.gz",
        "image.json",
    }
    image = nib.load(target)
    assert image.header.get_zooms()[:2] == pytest.approx((2.0, 2.0))
    expected = load_result(target)["reconstruction"].values
    assert image.get_fdata().max() == pytest.approx(expected.max(), rel=1e-6)
    assert (fake.calls[0]["seed"], fake.calls[0]["noise_std"]) == (3, 0.02)
    for told in ("32 x 32", "13", "1.02 x noise", str(target)):
        assert told in answer.out


def test_the_kept_command_makes_the_same_request(
    sciddm: Sciddm, fake: FakePipeline, scan: Path, tmp_path: Path
) -> None:
    full = write_scan(tmp_path / "full scan.h5")
    words = ["--undersample", "2", "--acs", "8", "--axis", "kx", "--quality", "fast"]
    first = tmp_path / "a.h5"
    assert sciddm("mri", "reconstruct", full, "-o", first, *words, "--report").code == 0
    kept = json.loads((tmp_path / "a.json").read_text())
    command = shlex.split(kept["command"])
    assert command[:3] == ["sciddm", "mri", "reconstruct"]
    assert "--report" not in command
    again = [w.replace("a.h5", "b.h5") for w in command[1:]]
    assert sciddm(*again).code == 0
    assert json.loads((tmp_path / "b.json").read_text())["request"] == kept["request"]
    one, two = fake.calls
    assert one["quality"] == two["quality"] == "fast"
    np.testing.assert_array_equal(one["scan"]["kspace"], two["scan"]["kspace"])


def test_undersampling_brings_a_reference_and_its_quality(
    sciddm: Sciddm, fake: FakePipeline, tmp_path: Path
) -> None:
    k = object_kspace(coils=1)
    full = write_scan(tmp_path / "full.h5", k)
    target = tmp_path / "image.nc"
    answer = sciddm("mri", "reconstruct", full, "-o", target, "-R", 2, "--acs", 8, "--json")
    assert answer.code == 0, answer.err
    axes = (-2, -1)
    image = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(k, axes=axes), norm="ortho"), axes=axes)
    result = load_result(target)
    np.testing.assert_allclose(result["reference"], np.abs(image[:, 0]), atol=1e-5)
    told = json.loads(answer.out)["results"][0]
    expected = psnr_volume(result["reconstruction"].values, result["reference"].values)
    assert told["psnr_volume_db"] == pytest.approx(expected, abs=1e-3)
    given = fake.calls[0]["scan"]
    assert int(given["mask"].isel(slice=0, ky=0).sum()) == 16
    assert (given["kspace"].values[0, 0][~given["mask"].values[0]] == 0).all()


def test_json_is_one_document_and_nothing_else(
    sciddm: Sciddm, fake: FakePipeline, scan: Path, tmp_path: Path
) -> None:
    answer = sciddm("mri", "reconstruct", scan, "-o", tmp_path / "a.nii", "--json")
    told = json.loads(answer.out)
    assert (told["done"], told["failed"]) == (1, 0)
    [result] = told["results"]
    assert result["input"] == str(scan)
    assert result["outputs"] == [str(tmp_path / n) for n in ("a.nii", "a_std.nii", "a.json")]
    assert result["consistency"] == 1.02
    assert result["warnings"] == []


def test_a_contradiction_is_said_plainly(
    sciddm: Sciddm, fake: FakePipeline, tmp_path: Path
) -> None:
    bad = undersampled_scan(tmp_path / "bad.h5")
    answer = sciddm("mri", "reconstruct", bad, "-o", tmp_path / "a.nii.gz", "--report")
    assert answer.code == 0
    assert "warning: bad.h5: The image contradicts the data" in answer.err
    assert 'class="remarks contradiction"' in (tmp_path / "a.html").read_text()


def test_a_damaged_scan_among_several_and_resuming(
    sciddm: Sciddm, fake: FakePipeline, tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a.h5", "c.h5"):
        undersampled_scan(folder / name)
    (folder / "b.h5").write_bytes((folder / "a.h5").read_bytes()[:3000])
    answer = sciddm("mri", "reconstruct", folder, "-o", out)
    assert answer.code == 1
    assert len(answer.error_lines) == 1
    assert "b.h5" in answer.error_lines[0]
    assert "Traceback" not in answer.err
    assert "failed" in answer.out
    made = {f"{n}{end}" for n in "ac" for end in (".nii.gz", "_std.nii.gz", ".json")}
    assert everything(out) == made
    before = {name: (out / name).stat().st_mtime_ns for name in made}

    undersampled_scan(folder / "b.h5")
    (out / "c_std.nii.gz").unlink()  # as if it had been stopped there
    answer = sciddm("mri", "reconstruct", folder, "-o", out, "--json")
    assert answer.code == 0, answer.err
    status = [r["status"] for r in json.loads(answer.out)["results"]]
    assert status == ["skipped", "done", "done"]
    assert "a.h5: done already" in answer.err
    assert (out / "a.nii.gz").stat().st_mtime_ns == before["a.nii.gz"]
    assert (out / "c.nii.gz").stat().st_mtime_ns != before["c.nii.gz"]
    assert len(fake.calls) == 4

    answer = sciddm("mri", "reconstruct", folder, "-o", out, "--overwrite")
    assert answer.code == 0
    assert len(fake.calls) == 7


def test_resuming_with_other_options_is_said(
    sciddm: Sciddm, fake: FakePipeline, scan: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert sciddm("mri", "reconstruct", scan.parent, "-o", out).code == 0
    answer = sciddm("mri", "reconstruct", scan.parent, "-o", out, "--seed", 5)
    assert answer.code == 0
    assert "made with another seed" in answer.err
    assert len(fake.calls) == 1


def test_a_batch_leaves_other_peoples_files_alone(
    sciddm: Sciddm, fake: FakePipeline, scan: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "scan.nii.gz").write_text("mine")
    answer = sciddm("mri", "reconstruct", scan.parent, "-o", out)
    assert answer.code == 1
    assert "not ours" in answer.err
    assert everything(out) == {"scan.nii.gz"}
    assert (out / "scan.nii.gz").read_text() == "mine"


@pytest.mark.parametrize("there", ["a.nii.gz", "a_std.nii.gz", "a.json", "a.html"])
def test_existing_output_is_refused_before_anything_is_read(
    sciddm: Sciddm, fake: FakePipeline, tmp_path: Path, there: str
) -> None:
    (tmp_path / there).write_text("mine")
    answer = sciddm("mri", "reconstruct", "no.h5", "-o", tmp_path / "a.nii.gz", "--report")
    assert answer.code == 2
    assert len(answer.error_lines) == 1
    assert there in answer.err
    assert "--overwrite" in answer.err
    assert everything(tmp_path) == {there}
    assert (tmp_path / there).read_text() == "mine"


def test_overwrite_replaces(sciddm: Sciddm, fake: FakePipeline, scan: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.nii.gz"
    target.write_text("old")
    assert sciddm("mri", "reconstruct", scan, "-o", target, "--overwrite").code == 0
    assert nib.load(target).shape[:2] == (32, 32)


def test_samples_are_kept_where_there_is_a_place_for_them(
    sciddm: Sciddm, fake: FakePipeline, scan: Path, tmp_path: Path
) -> None:
    words = ["mri", "reconstruct", scan, "--samples", 3, "--keep-samples", "-o"]
    assert sciddm(*words, tmp_path / "a.h5").code == 0
    result = load_result(tmp_path / "a.h5")
    assert result["samples"].shape == (3, 1, 32, 32)
    for sample in result["samples"].values:  # of the pipeline that stands in, all are its image
        np.testing.assert_allclose(
            np.abs(sample), np.abs(result["reconstruction"].values), rtol=1e-6
        )
    answer = sciddm(*words, tmp_path / "a.nii.gz")
    assert answer.code == 2
    assert "no place for samples" in answer.err


def test_maps_of_one_slice_serve_all_and_reach_the_pipeline(
    sciddm: Sciddm, fake: FakePipeline, tmp_path: Path
) -> None:
    scan = write_scan(tmp_path / "scan.h5", np.repeat(object_kspace(), 2, axis=0))
    maps = np.full((3, 32, 32), 3**-0.5, np.complex64)
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        file["maps"] = maps
    words = ["--maps", tmp_path / "maps.h5"]
    answer = sciddm("mri", "reconstruct", scan, "-o", tmp_path / "a.nii.gz", *words)
    assert answer.code == 0, answer.err
    np.testing.assert_array_equal(fake.calls[0]["scan"]["maps"], np.stack([maps, maps]))


def test_undersample_keeps_the_samples_of_the_mask_and_no_others(
    sciddm: Sciddm, tmp_path: Path
) -> None:
    k = object_kspace()
    full = write_scan(tmp_path / "full.h5", k)
    target = tmp_path / "under.h5"
    words = ["-R", 4, "--acs", 6, "--mask", "equispaced", "--axis", "kx", "--seed", 2]
    answer = sciddm("mri", "undersample", full, "-o", target, *words)
    assert answer.code == 0, answer.err
    made = open_kspace(target)
    mask = np.broadcast_to(made["mask"].values, (1, 32, 32))
    assert mask.sum() == 8 * 32
    assert mask[0, 0, 13:19].all()
    np.testing.assert_array_equal(made["kspace"], np.where(mask[:, None], k, 0))
    assert made.attrs["voxel_size_mm"][1:] == pytest.approx([2.0, 2.0])
    assert "4.00" in answer.out


def test_a_full_scan_undersampled_with_the_same_seed_is_the_same(
    sciddm: Sciddm, fake: FakePipeline, tmp_path: Path
) -> None:
    """`undersample` then `reconstruct` is `reconstruct --undersample`."""
    full = write_scan(tmp_path / "full.h5")
    words = ["-R", 2, "--acs", 8, "--seed", 4]
    assert sciddm("mri", "undersample", full, "-o", tmp_path / "u.h5", *words).code == 0
    assert sciddm("mri", "reconstruct", tmp_path / "u.h5", "-o", tmp_path / "a.h5").code == 0
    assert sciddm("mri", "reconstruct", full, "-o", tmp_path / "b.h5", *words).code == 0
    one, two = fake.calls
    np.testing.assert_array_equal(one["scan"]["kspace"], two["scan"]["kspace"])


def test_an_acquisition_is_written_with_its_mask_and_can_be_reconstructed(
    sciddm, model: Path, tmp_path: Path
) -> None:
    full, taken, image = write_scan(tmp_path / "full.h5"), tmp_path / "a.h5", tmp_path / "i.nii.gz"
    answer = sciddm(
        *("mri", "acquire", full, "-o", taken, "--lines", 16, "--model", model, "--json")
    )
    assert answer.code == 0, answer.err
    with h5py.File(taken) as file:
        mask = np.broadcast_to(file["mask"][()], (1, 32, 32))[0]
    assert mask.all(1).sum() == 16
    assert mask.sum() == 16 * 32
    answer = sciddm("mri", "reconstruct", taken, "-o", image, "--model", model, "--quality", "fast")
    assert answer.code == 0, answer.err
    assert image.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--lines", "40"), "40 of 32 lines"),
        (("--lines", "8"), "of which 12"),
        (("--lines", "16", "--particles", "3"), "even number"),
        (("--lines", "16", "--criterion", "luck"), "luck"),
    ],
)
def test_acquisitions_that_cannot_be_made(
    sciddm, model: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    full, taken = write_scan(tmp_path / "full.h5"), tmp_path / "a.h5"
    answer = sciddm("mri", "acquire", full, "-o", taken, "--model", model, *words)
    assert answer.code == 2
    assert said in answer.err
    assert not taken.exists()
