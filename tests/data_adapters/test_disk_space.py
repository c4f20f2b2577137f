"""A disk that refuses: an error of the writer, never a crash of its library."""

from __future__ import annotations

import errno
import subprocess
import sys

import netCDF4
import numpy as np
import pytest
import xarray as xr

from sciddm.data_adapters import disk_space
from sciddm.data_adapters.labelled import write_labelled

#: A limit on the size of files is a disk that is full from there on.
SCRIPT = """
import errno, resource, signal, sys
from pathlib import Path
import numpy as np, xarray as xr
from sciddm.data_adapters.hdf5 import write_hdf5
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
rng = np.random.default_rng(0)
data = xr.Dataset({"image": (("y", "x"), rng.standard_normal((100, 100)))})
try:
    write_hdf5(data, Path(sys.argv[1], "a.h5"), "result")
except OSError as error:
    print(errno.errorcode[error.errno])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on files is POSIX's")
def test_a_disk_that_is_full_is_an_error(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["EFBIG"]


def test_other_programs_can_add_to_a_netcdf_file(tmp_path):
    """The order of creation is kept, which netCDF asks for."""
    data = xr.Dataset({"image": (("y", "x"), np.arange(12.0).reshape(3, 4))})
    write_labelled(data, tmp_path / "a.nc", "nc", "result")
    with netCDF4.Dataset(tmp_path / "a.nc", "a") as file:
        file.createVariable("mask", "u1", ("y", "x"))[:] = 1
    with netCDF4.Dataset(tmp_path / "a.nc") as file:
        assert list(file.variables) == ["image", "mask"]


def test_netcdf_asks_for_room_first(tmp_path, monkeypatch):
    data = xr.Dataset({"image": (("y", "x"), np.arange(12.0).reshape(3, 4))})
    usage = disk_space.shutil.disk_usage(tmp_path)._replace(free=2**22)
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(OSError, match="space") as caught:
        write_labelled(data, tmp_path / "refused.nc", "nc", "result")
    assert caught.value.errno == errno.ENOSPC
    assert not (tmp_path / "refused.nc").exists()
