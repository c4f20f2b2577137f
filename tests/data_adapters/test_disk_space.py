"""A disk that refuses: an error of the writer, never a crash of its library."""

from __future__ import annotations

import errno
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from sciddm.data_adapters import disk_space
from sciddm.data_adapters.labelled import read_labelled, write_labelled

#: A limit on the size of files is a disk that is full from there on.
SCRIPT = """
import errno, resource, signal, sys
from pathlib import Path
import numpy as np, xarray as xr
from sciddm.data_adapters.hdf5 import write_hdf5
from sciddm.data_adapters.labelled import write_labelled
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
rng = np.random.default_rng(0)
data = xr.Dataset({"image": (("y", "x"), rng.standard_normal((100, 100)))})
for name in ("a.h5", "a.nc"):
    try:
        path = Path(sys.argv[1], name)
        write_hdf5(data, path, "result") if name == "a.h5" else write_labelled(
            data, path, "nc", "result"
        )
    except OSError as error:
        print(name, errno.errorcode[error.errno])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on files is POSIX's")
def test_a_disk_that_is_full_is_an_error(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["a.h5", "EFBIG", "a.nc", "EFBIG"]


def test_what_memory_does_not_hold_needs_space(tmp_path, monkeypatch):
    data = xr.Dataset({"image": (("y", "x"), np.arange(12.0).reshape(3, 4))})
    monkeypatch.setattr(disk_space, "_IN_MEMORY", 8)
    write_labelled(data, tmp_path / "large.nc", "nc", "result")
    xr.testing.assert_identical(
        read_labelled(tmp_path / "large.nc", "nc", "result").drop_attrs(), data
    )
    usage = disk_space.shutil.disk_usage(tmp_path)._replace(free=50)
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(OSError, match="space") as caught:
        write_labelled(data, tmp_path / "refused.nc", "nc", "result")
    assert caught.value.errno == errno.ENOSPC
    assert not (tmp_path / "refused.nc").exists()
