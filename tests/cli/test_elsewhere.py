"""A file of another domain is recognised, and the message names the command that reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_helpers import undersampled_scan
from petct_files import write_ct

import sciddm as package
from sciddm.errors import InputError
from sciddm.pipelines.domains import load_domain


def cube(folder: Path) -> Path:
    """A header of ENVI and its values."""
    (folder / "a.hdr").write_text(
        "ENVI\nsamples = 4\nlines = 4\nbands = 3\nheader offset = 0\nfile type = ENVI Standard\n"
        "data type = 4\ninterleave = bsq\nbyte order = 0\n"
    )
    np.ones((3, 4, 4), np.float32).tofile(folder / "a.img")
    return folder / "a.hdr"


def sound(folder: Path) -> Path:
    soundfile.write(folder / "a.flac", np.zeros(800), 16000)
    return folder / "a.flac"


def images(folder: Path) -> Path:
    write_ct(folder / "series", np.zeros((3, 8, 8)))
    return folder / "series"


def kspace(folder: Path) -> Path:
    return undersampled_scan(folder / "k.h5")


def volume(folder: Path) -> Path:
    import nibabel as nib

    nib.save(nib.Nifti1Image(np.zeros((8, 8, 3), np.float32), np.eye(4)), folder / "x.nii.gz")
    return folder / "x.nii.gz"


OUT = {"ct": ".nii.gz", "mri": ".nii.gz", "hsi": ".hdr", "ultrasound": ".h5", "speech": ".wav"}
CASES = [
    ("ct denoise", cube, ["looks like Hyperspectral data, not CT", "`sciddm hsi denoise`"]),
    ("ct denoise", sound, ["looks like Speech data, not CT", "`sciddm speech enhance`"]),
    ("ct denoise", kspace, ["looks like MRI data, not CT", "`sciddm mri reconstruct`"]),
    ("hsi denoise", kspace, ["looks like MRI data, not Hyperspectral", "`sciddm mri reconstruct`"]),
    ("hsi denoise", images, ["looks like CT data, not Hyperspectral", "`sciddm ct denoise`"]),
    (
        "ultrasound dehaze",
        sound,
        ["looks like Speech data, not Ultrasound", "`sciddm speech enhance`"],
    ),
    ("speech enhance", kspace, ["looks like MRI data, not Speech", "`sciddm mri reconstruct`"]),
    ("mri reconstruct", images, ["needs raw k-space, not images", "ISMRMRD"]),
    ("mri reconstruct", volume, ["needs raw k-space, not images"]),
    ("mri reconstruct", sound, ["looks like Speech data, not MRI", "`sciddm speech enhance`"]),
    ("ct reconstruct", volume, ["`reconstruct` does not read such files", "`sciddm ct denoise`"]),
]


def _name(value: object) -> str:
    """The same in every process: no address of a function."""
    return getattr(value, "__name__", str(value))


@pytest.mark.parametrize(("words", "make", "said"), CASES, ids=_name)
def test_the_message_names_the_command_that_reads_it(sciddm, tmp_path, words, make, said):
    path = make(tmp_path)
    out = tmp_path / f"o{OUT[words.split()[0]]}"
    answer = sciddm(*words.split(), path, "-o", out)
    assert answer.code == 2
    [line] = answer.error_lines
    assert str(path) in line
    for part in said:
        assert part in line
    assert not out.exists()


def test_python_says_the_same(tmp_path):
    with pytest.raises(InputError, match="looks like Hyperspectral data"):
        package.ct.denoise(cube(tmp_path))


def test_a_damaged_file_of_the_own_domain_keeps_its_message(sciddm, tmp_path):
    path = tmp_path / "x.nii.gz"
    path.write_bytes(b"nothing")
    answer = sciddm("ct", "denoise", path, "-o", tmp_path / "o.nii.gz")
    assert answer.code == 2
    assert "looks like" not in answer.err


@pytest.mark.parametrize("words", [["ct", "denoise"], ["petct", "suv"], ["petct", "segment"]])
def test_one_file_is_not_told_to_leave_a_folder(sciddm, tmp_path, words):
    path = tmp_path / "notes.h5"
    path.write_bytes(b"hello")
    given = ["--pet", path, "--ct", path] if "segment" in words else [path]
    answer = sciddm(*words, *given, "-o", tmp_path / "o.nii.gz")
    assert answer.code == 2
    [line] = answer.error_lines
    assert "notes.h5: not a DICOM file: give a DICOM series (its folder), or a volume" in line
    # In a folder of slices it is the folder that has to be put right.
    folder = images(tmp_path)
    (folder / "z.dcm").write_bytes(b"hello")
    answer = sciddm("ct", "denoise", folder, "-o", tmp_path / "o.nii.gz")
    assert "z.dcm: not a DICOM file: remove it from the folder" in answer.err


def test_no_domain_claims_a_file_that_is_nobodys(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(InputError) as caught:
        package.ct.denoise(path)
    assert "data, not" not in str(caught.value)
    assert not load_domain("ct").recognises(path)
