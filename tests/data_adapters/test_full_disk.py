"""A disk that fills up: an error of every writer, never a crash or a part of a file."""

from __future__ import annotations

import errno
import json
import subprocess
import sys

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

from sciddm.data_adapters.labelled import write_labelled
from sciddm.data_adapters.patient_file import PatientFile

SCRIPT = "tests.data_adapters.full_disk_writers"


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on files is POSIX's")
def test_every_writer_says_that_the_disk_is_full_and_leaves_the_older_output(tmp_path):
    from tests.data_adapters.full_disk_writers import WRITERS

    command = [sys.executable, "-m", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    answers = dict(json.loads(line) for line in done.stdout.splitlines())
    assert done.returncode == 0, done.stderr[-2000:]
    assert answers == {name: {} for name in WRITERS}


def test_other_programs_can_add_to_a_netcdf_file(tmp_path):
    """The order of creation is kept, which netCDF asks for."""
    data = xr.Dataset({"image": (("y", "x"), np.arange(12.0).reshape(3, 4))})
    write_labelled(data, tmp_path / "a.nc", "nc", "result")
    with netCDF4.Dataset(tmp_path / "a.nc", "a") as file:
        file.createVariable("mask", "u1", ("y", "x"))[:] = 1
    with netCDF4.Dataset(tmp_path / "a.nc") as file:
        assert list(file.variables) == ["image", "mask"]


class _Refusing:
    """A disk with room for some bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, content):
        if self.room <= 0:
            raise OSError(errno.EIO, "refused")
        size = min(self.room, len(content))
        self.room -= size
        return self.file.write(bytes(content[:size]))

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("room", [0, 100, 1000, 5000, 9000])
def test_hdf5_closes_in_peace_and_the_error_comes_after(tmp_path, room):
    raw = PatientFile(tmp_path / "a.h5", "w+b")
    raw._file = _Refusing(raw._file, room)
    with h5py.File(raw, "w") as file:
        file["numbers"] = np.arange(1000.0)
        np.testing.assert_array_equal(file["numbers"][:], np.arange(1000.0))
    with pytest.raises(OSError, match="refused") as caught:
        raw.close()
    assert caught.value.errno == errno.EIO


def test_what_the_disk_refused_is_read_back(tmp_path):
    raw = PatientFile(tmp_path / "a", "w+b")
    raw._file = _Refusing(raw._file, 3)
    raw.write(b"abcdef")
    raw.seek(10)
    raw.write(b"xy")
    raw.seek(1)
    assert raw.read(11) == b"bcdef\0\0\0\0xy"
    with pytest.raises(OSError, match="refused"):
        raw.write(bytes(2**24 + 1))  # no cache holds so much: refused at once
    with pytest.raises(OSError, match="refused"):
        raw.close()
