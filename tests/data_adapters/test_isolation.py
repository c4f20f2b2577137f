"""What a worker does for its caller: arrays as they are, and one error for whatever goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import isolation_samples as samples
import netCDF4
import numpy as np
import pytest

from sciddm.data_adapters import open_cube
from sciddm.data_adapters.isolation import call
from sciddm.data_adapters.isolation.limits import Limits
from sciddm.errors import InputError


@pytest.fixture(autouse=True)
def _isolation(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SCIDDM_ISOLATION", "on")
    yield
    call._shut_down()


def test_arrays_come_back_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with pytest.warns(RuntimeWarning, match="the header says two things"):
        first = samples.read_whole(path, size=100_003)
    np.testing.assert_array_equal(first["large"], np.arange(100_003))
    np.testing.assert_array_equal(first["other"], np.arange(0, 100_003, 2))
    np.testing.assert_array_equal(first["small"], 1)
    first["large"][:] = -1  # the caller's own
    with pytest.warns(RuntimeWarning):
        second = samples.read_whole(path, size=100_003)
    assert second["large"][1] == 1
    assert (first["large"] == -1).all()
    assert first["pid"] == second["pid"] != os.getpid()


def test_a_module_that_is_loaded_after_a_small_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of one file is not that of the next one's libraries."""
    monkeypatch.setattr(call, "limits_for", lambda path: Limits(20, 60.0, 2**24))
    path = tmp_path / "a.txt"
    path.write_text("abc")
    assert samples.read_text(path) == "abc"
    # The caller must not load the module: it is the worker's to do.
    assert call._call("isolation_late", "size", (path,), {}, path) == 3


def test_methods_and_threads(tmp_path: Path) -> None:
    variable = samples.Variable(tmp_path / "a.h5")
    found: list[Any] = []
    threads = [threading.Thread(target=lambda k=k: found.append(variable[k])) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(v) for v, _ in found) == list(range(6))
    assert len({pid for _, pid in found}) == 1


def test_relative_names_are_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(name)
        monkeypatch.chdir(tmp_path / name)
        assert samples.read_text(Path("a")) == name


def test_an_error_is_that_of_the_reader(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no cube in it") as raised:
        samples.read_unusable(tmp_path / "a.h5")
    with pytest.raises(InputError, match="axes: give two"):
        samples.read_option(tmp_path / "a.h5")
    assert "read_unusable" in str(raised.value.__cause__)  # what --debug shows


@pytest.mark.parametrize("isolation", ["on", "off"])
def test_a_surprise_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    monkeypatch.setenv("SCIDDM_ISOLATION", isolation)
    with pytest.raises(InputError, match=r"a\.h5: damaged .*KeyError: 'never'"):
        samples.read_surprise(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (samples.read_crash, "crashes .SIGSEGV"),
        (samples.read_loop, "does not end within 1 s of processor time"),
        (lambda path: samples.read_bomb(path, 2**31), r"needs more memory than 1\.0 GiB"),
    ],
)
def test_what_ends_a_worker_ends_nothing_else(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[[Path], None],
    words: str,
) -> None:
    monkeypatch.setenv("SCIDDM_READ_SECONDS", "1")
    path = tmp_path / "a.h5"
    path.write_bytes(b"damaged")
    with pytest.raises(InputError, match=rf"a\.h5.*{words}"):
        read(path)
    with pytest.warns(RuntimeWarning):
        assert samples.read_whole(path)["pid"] != os.getpid()


def test_a_large_file_may_need_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with path.open("wb") as file:
        file.truncate(2**24)
    assert samples.read_room(path, 2**31) == 2**31
    path.write_bytes(b"")
    with pytest.raises(InputError, match="needs more memory"):
        samples.read_room(path, 2**31)


def test_a_reader_that_sleeps_is_ended_by_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sciddm.data_adapters.isolation.limits import Limits

    monkeypatch.setattr(call, "limits_for", lambda path: Limits(10, 0.3, 2**30))
    with pytest.raises(InputError, match="does not end within 0 s"):
        call._call("time", "sleep", (60,), {}, tmp_path / "a.h5")


def test_an_interruption_leaves_no_answer_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sciddm.data_adapters.isolation import worker

    def interrupted(link: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(worker, "receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            samples.read_bomb(tmp_path / "a.h5", 5)
    with pytest.warns(RuntimeWarning):
        assert "pid" in samples.read_whole(tmp_path / "a.h5")


def test_a_fork_starts_its_own(tmp_path: Path) -> None:
    variable = samples.Variable(tmp_path / "a.h5")
    _, mine = variable[0]
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _, theirs = variable[0]
        os.write(write, str(theirs).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert int(os.read(read, 20)) != mine
    assert variable[0][1] == mine


def test_the_worker_goes_with_its_caller(tmp_path: Path) -> None:
    """Even where the caller is killed."""
    code = textwrap.dedent(
        """
        import os, signal, sys
        sys.path.insert(0, sys.argv[1])
        import isolation_samples
        print(isolation_samples.Variable("a.h5")[0][1], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    here = str(Path(__file__).parent)
    ended = subprocess.run([sys.executable, "-c", code, here], capture_output=True, check=False)
    pid = int(ended.stdout)
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the worker is still there")


def dimension_id(file: h5py.File) -> None:
    file["band"].attrs["_Netcdf4Dimid"] = np.int64(2**40)


def text_as_dimensions(file: h5py.File) -> None:
    del file["cube"].attrs["DIMENSION_LIST"]
    file["cube"].attrs["DIMENSION_LIST"] = "band"


def empty_scale(file: h5py.File) -> None:
    attrs = dict(file["band"].attrs)
    del file["band"]
    file["band"] = h5py.Empty("f4")
    for name in ("CLASS", "NAME", "_Netcdf4Dimid"):
        if name in attrs:
            file["band"].attrs[name] = attrs[name]


@pytest.mark.parametrize("damage", [dimension_id, text_as_dimensions, empty_scale])
def test_netcdf_files_that_end_the_process_that_reads_them(
    tmp_path: Path, damage: Callable[[h5py.File], None]
) -> None:
    good, bad = tmp_path / "good.nc", tmp_path / "bad.nc"
    for path in (good, bad):
        with netCDF4.Dataset(path, "w") as file:
            for name, size in (("band", 3), ("y", 4), ("x", 5)):
                file.createDimension(name, size)
            file.createVariable("band", "f4", ("band",))[:] = (500, 600, 700)
            file.createVariable("cube", "f4", ("band", "y", "x"))[:] = 1
    with h5py.File(bad, "a") as file:
        damage(file)
    try:
        assert open_cube(bad)["cube"].compute().shape == (3, 4, 5)
    except InputError as error:
        assert "bad.nc" in str(error)  # noqa: PT017
    assert float(open_cube(good)["cube"].sum()) == 60


def as_command(code: str, folder: Path) -> list[Any]:
    """What a process says that may copy itself, as the command line's may."""
    start = """
        import fcntl, json, os, signal, sys, threading
        sys.path.insert(0, sys.argv[1])
        from sciddm.data_adapters.isolation import call, copy_caller, prepare
        copy_caller()
    """
    code = textwrap.dedent(start) + textwrap.dedent(code)
    here = str(Path(__file__).parent)
    words = [sys.executable, "-W", "error", "-c", code, here]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    said: list[Any] = json.loads(ended.stdout)
    return said


def test_a_command_reads_in_a_copy_of_itself(tmp_path: Path) -> None:
    """It has the caller's modules at once, and nothing else of the caller's."""
    said = as_command(
        """
        signal.signal(signal.SIGTERM, lambda *a: None)
        lock = open("lock", "w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        read, write = os.pipe()
        prepare(["isolation_samples"])
        import isolation_samples as samples
        first = samples.Variable("a.h5")[0]
        lock.close()
        with open("lock") as again:
            fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the copy does not hold it
        os.close(write)
        end = os.read(read, 1)  # nor the other end of the pipe
        try:
            samples.read_crash("a.h5")
        except Exception as error:
            crash = str(error)
        second = samples.Variable("a.h5")[0]
        os.kill(call._worker.pid, signal.SIGTERM)
        code = call._worker._process.wait(5)
        call._shut_down()
        print(json.dumps([os.getpid(), first[1], second[1], end.decode(), crash, code]))
        """,
        tmp_path,
    )
    caller, first, second, end, crash, code = said
    assert len({caller, first, second}) == 3
    assert end == ""
    assert "crashes (SIGSEGV)" in crash
    assert code == -signal.SIGTERM


@pytest.mark.parametrize(
    ("before", "copied"),
    [
        ("", True),
        ("sys.modules['torch'] = os", False),
        ("stop = threading.Event(); threading.Thread(target=stop.wait).start()", False),
    ],
)
def test_only_a_process_with_one_thread_is_copied(
    tmp_path: Path, before: str, copied: bool
) -> None:
    code = f"""
        {before}
        prepare(["isolation_samples"])
        kind = type(call._worker._process).__name__
        import isolation_samples as samples
        value = int(samples.Variable("a.h5")[3][0])
        call._shut_down()
        if "stop" in globals():
            stop.set()
        print(json.dumps([kind, value]))
    """
    assert as_command(code, tmp_path) == ["Forked" if copied else "Popen", 3]
