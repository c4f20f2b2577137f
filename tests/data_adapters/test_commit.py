"""Commits: old outputs or new ones, whole, whatever happens; and nobody else in between."""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from sciddm.data_adapters import save_kspace
from sciddm.data_adapters.commit import BusyError, claim, commit, recover, verify
from sciddm.errors import InputError, OutputError

_EVENTS = frozenset({"open", "os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "fsync"})
#: What happens at the n-th step that changes the disk: set in children only.
_fault: Callable[[], None] | None = None


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    writes = event != "open" or (isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"))
    if _fault is not None and event in _EVENTS and writes:
        _fault()


sys.addaudithook(_hook)


def item(folder: Path, text: str, overwrite: bool = True) -> None:
    """An item of a file, a store, a folder of slices and a JSON; the first run has a std too."""
    std = folder / "a_std.bin"
    targets = [folder / "a.json", folder / "series", folder / "a.zarr", folder / "a.bin"]
    if text == "old":
        targets.insert(0, std)
    remove = [] if text == "old" else [std]
    folders = {folder / "series": ".dcm"}
    with commit(targets, overwrite, folders=folders, remove=remove) as at:
        for target in targets:
            if target.suffix == ".json":
                at[target].write_text(json.dumps({"sciddm_version": "1", "text": text}))
            elif target.suffix == ".bin":
                at[target].write_text(text)
            else:
                at[target].mkdir(exist_ok=True)
                for name in ("1.dcm", "2.dcm") if target.name == "series" else ("zarr.json",):
                    (at[target] / name).write_text(text)


def state(folder: Path) -> dict[str, str]:
    """Contents by relative path, without the digests."""
    held = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        text = path.read_text()
        if path.name == "a.json":
            text = json.loads(text)["text"]
        held[path.relative_to(folder).as_posix()] = text
    return held


OLD = {
    "a.bin": "old",
    "a.json": "old",
    "a.zarr/zarr.json": "old",
    "a_std.bin": "old",
    "series/1.dcm": "old",
    "series/2.dcm": "old",
}
NEW = {k: "new" for k in OLD if k != "a_std.bin"}


def in_child(work: Callable[[], None]) -> int:
    """The exit code of a forked child."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except OutputError:
            code = 3
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture(autouse=True)
def _fsync_is_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """fsync is told to the hook, as the other calls are; the tests do not wait for the disk."""
    monkeypatch.setattr(os, "fsync", lambda handle: sys.audit("fsync", handle))


def at_step(number: int, act: Callable[[], None]) -> None:
    global _fault
    left = number

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            act()

    _fault = count


@pytest.mark.parametrize("before", [True, False])
def test_a_kill_at_any_step_leaves_the_old_or_the_new(tmp_path: Path, before: bool) -> None:
    seen = set()
    for number in range(1, 500, 1 if before else 3):
        folder = tmp_path / str(number)
        folder.mkdir()
        if before:
            item(folder, "old")

        def work(folder: Path = folder, number: int = number) -> None:
            at_step(number, lambda: os._exit(9))
            item(folder, "new")

        code = in_child(work)
        recover(folder)
        held = state(folder)
        assert held in ((OLD if before else {}), NEW), number
        assert not (folder / ".sciddm").exists(), number
        if held:
            assert {c.state for c in verify([folder / "a.bin"])} == {"whole"}
        seen.add(str(held))
        if code == 0:
            break
    assert code == 0
    assert number > 30
    assert len(seen) == 2


def test_a_disk_that_refuses_any_step_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    for number in range(1, 500, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        item(folder, "old")

        def work(folder: Path = folder, number: int = number) -> None:
            def refuse() -> None:
                code = (errno.ENOSPC, errno.EIO)[number // 2 % 2]
                raise OSError(code, os.strerror(code))

            at_step(number, refuse)
            item(folder, "new")

        exit_code = in_child(work)
        assert exit_code in (0, 3), number
        recover(folder)
        assert state(folder) == (OLD if exit_code == 3 else NEW), number
        assert not (folder / ".sciddm").exists(), number
        if exit_code == 0 and number > 70:
            break


def test_a_second_kill_while_the_first_is_settled(tmp_path: Path) -> None:
    """The switch is finished by whoever comes third."""
    for number in range(1, 60):
        folder = tmp_path / str(number)
        folder.mkdir()
        item(folder, "old")

        def half(folder: Path = folder) -> None:
            replace, calls = os.replace, []

            def fourth(source: str, target: str) -> None:
                calls.append(target)
                if len(calls) == 4:  # after the journal and two outputs
                    os._exit(9)
                replace(source, target)

            os.replace = fourth
            item(folder, "new")

        def settle(folder: Path = folder, number: int = number) -> None:
            at_step(number, lambda: os._exit(9))
            recover(folder)

        assert in_child(half) == 9
        code = in_child(settle)
        recover(folder)
        assert state(folder) == NEW, number
        assert not (folder / ".sciddm").exists()
        if code == 0:
            break
    assert number > 5


def test_another_process_that_writes_the_same_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    ready, done = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        with claim([target, tmp_path / "a.json"]):
            os.write(ready[1], b"1")
            os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    try:
        with pytest.raises(BusyError, match=f"process {pid} "), claim([target]):
            pass
        with pytest.raises(BusyError), commit([target], True) as at:
            at[target].write_text("x")
        with commit([tmp_path / "b.bin"], False) as at:  # another item of the folder
            at[tmp_path / "b.bin"].write_text("b")
        assert recover(tmp_path) == []
    finally:
        os.write(done[1], b"1")
        os.waitpid(pid, 0)
    with commit([target], False) as at:
        at[target].write_text("mine")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bin", "b.bin"]


def test_a_dead_process_holds_nothing_back(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"

    def die() -> None:
        with claim([target]), commit([target], False) as at:
            at[target].write_text("half")
            os._exit(9)

    assert in_child(die) == 9
    assert (tmp_path / ".sciddm").is_dir()
    with commit([target], False) as at:
        at[target].write_text("whole")
    assert target.read_text() == "whole"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_without_locks_the_record_of_the_owner_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    target = tmp_path / "a.bin"
    with claim([target]):
        place = next(p for p in (tmp_path / ".sciddm").iterdir() if p.is_dir())
        record = json.loads((place / "owner").read_text())
        monkeypatch.setattr("sciddm.storage.claims._HELD", [])
        with pytest.raises(BusyError):  # alive: this very process
            commit([target], True).__enter__()
        for change in ({"started": 1}, {"pid": 2**22 + 1}):  # the number is another's, or nobody's
            (place / "owner").write_text(json.dumps(record | change))
            assert recover(tmp_path) == []
            assert not place.exists()
            place.mkdir(parents=True)
        (place / "owner").write_text(json.dumps(record | {"host": "elsewhere"}))
        with pytest.raises(BusyError):
            commit([target], True).__enter__()
        os.utime(place / "owner", (0, 0))
        recover(tmp_path)
        assert not place.exists()
        monkeypatch.undo()


def test_a_claim_covers_the_commits_within_it(tmp_path: Path) -> None:
    target, page = tmp_path / "a.bin", tmp_path / "a.html"
    with claim([target]):
        for text in ("one", "two"):
            with commit([target], True) as at:
                at[target].write_text(text)
        with commit([page, target], True) as at:  # a further output is claimed then
            at[target].write_text("three")
            at[page].write_text("page")
            with pytest.raises(BusyError), _in_thread(page):
                pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bin", "a.html"]
    assert target.read_text() == "three"


@contextmanager
def _in_thread(target: Path) -> Iterator[None]:
    """A claim that another thread of this process tries to make."""
    raised: list[BaseException] = []

    def attempt() -> None:
        try:
            with claim([target]):
                pass
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    yield


def test_a_commit_within_a_commit_belongs_to_it(tmp_path: Path) -> None:
    outer, beside, page = (tmp_path / f"a{suffix}" for suffix in (".bin", ".json", ".html"))

    def write(fails: bool) -> None:
        with commit([page, beside, outer], False) as at:
            with commit([at[beside], at[outer]], False) as within:
                assert within[at[outer]].name == "a.bin"
                within[at[outer]].write_text("data")
                within[at[beside]].write_text("{}")
            assert at[outer].read_text() == "data"
            if fails:
                raise ValueError("no page")

    with pytest.raises(OutputError, match="no page"):
        write(fails=True)
    assert not list(tmp_path.iterdir())
    write(fails=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bin", "a.json"]


def test_names_as_long_as_the_disk_permits(tmp_path: Path) -> None:
    target = tmp_path / ("ä" * 125 + ".bin")
    with commit([target], False) as at:
        at[target].write_text("x")
    assert target.read_text() == "x"
    long = tmp_path / ("ä" * 126 + ".bin")
    with pytest.raises(OutputError, match="longer than 255 bytes"), commit([long], False):
        pass


def test_space_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"needs \d+ MB"):
        commit([tmp_path / "a.bin"], False, nbytes=2**60).__enter__()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.bin", "a.zarr/zarr.json", "series/2.dcm"])
def test_verify_sees_every_change(tmp_path: Path, name: str) -> None:
    item(tmp_path, "old")
    assert {c.state for c in verify([tmp_path])} == {"whole"}
    assert len(verify([tmp_path / "a.json"])) == 4
    (tmp_path / name).write_text("0ld")
    changed = [c.path.name for c in verify([tmp_path / "a.bin"]) if c.state == "changed"]
    assert changed == [name.split("/")[0]]
    (tmp_path / name).unlink()
    states = {c.state for c in verify([tmp_path / "a.json"])}
    assert states == {"whole", "changed" if "/" in name else "missing"}
    with pytest.raises(InputError, match="no output of sciddm"):
        verify([tmp_path / "b.bin"])


@pytest.mark.parametrize("name", ["a.h5", "a.nc", "a.zarr"])
def test_kspace_holds_its_own_checksum(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    rng = np.random.default_rng(0)
    kspace = (rng.standard_normal((1, 2, 8, 8)) * (1 + 1j)).astype(np.complex64)
    attrs = {"voxel_size_mm": [5.0, 1.0, 1.0], "image_shape": [8, 8], "note": "a"}
    scan = xr.Dataset({"kspace": (("slice", "coil", "ky", "kx"), kspace)}, attrs=attrs)
    save_kspace(scan, path)
    assert [(c.path, c.state) for c in verify([path])] == [(path, "whole")]
    assert [c.state for c in verify([tmp_path])] == ["whole"]
    if name == "a.zarr":
        chunk = max((p for p in path.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
        content = bytearray(chunk.read_bytes())
        content[len(content) // 2] ^= 1
        chunk.write_bytes(content)
    else:
        with h5py.File(path, "r+") as file:
            names: list[str] = []
            file.visit(names.append)
            first = next(n for n in sorted(names) if "kspace" in n)
            file[first][0, 0, 3, 4] = 9
    assert [c.state for c in verify([path])] == ["changed"]
    if name != "a.zarr":
        path.write_bytes(path.read_bytes()[:500])
        assert [c.state for c in verify([path])] == ["changed"]


@pytest.mark.parametrize("copy", ["as it is", "gone", "garbage"])
def test_among_many_claims_the_same_outputs_are_refused(tmp_path: Path, copy: str) -> None:
    """A batch on many workers: each looks at the names of the others, not at each of them."""
    names = tmp_path / ".sciddm" / "names"
    with ExitStack() as stack:
        for k in range(40):
            stack.enter_context(claim([tmp_path / f"item{k}.bin", tmp_path / f"item{k}.json"]))
        if copy == "gone":
            names.unlink()
        if copy == "garbage":
            names.write_text('{"x": ')
        with pytest.raises(BusyError, match=r"item7\.json: is being written"):
            stack.enter_context(claim([tmp_path / "item7.json"]))
        with claim([tmp_path / "free.bin"]), commit([tmp_path / "free.bin"], False) as at:
            at[tmp_path / "free.bin"].write_text("whole")
        # An output that a claim gets later counts, too.
        late = tmp_path / "late.html"
        with commit([late, tmp_path / "item3.bin"], False) as at:
            at[late].write_text("page")
            at[tmp_path / "item3.bin"].write_text("data")
            with pytest.raises(BusyError, match=r"late\.html"), _in_thread(late):
                pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["free.bin", "item3.bin", "late.html"]


def test_among_many_claims_only_those_of_the_same_outputs_are_opened(tmp_path: Path) -> None:
    opened: list[str] = []

    def count(event: str, arguments: tuple[object, ...]) -> None:
        if counting and event == "open" and str(arguments[0]).endswith("owner"):
            opened.append(str(arguments[0]))

    counting = False
    sys.addaudithook(count)
    with ExitStack() as stack:
        for k in range(40):
            stack.enter_context(claim([tmp_path / f"item{k}.bin"]))
        counting = True
        stack.enter_context(claim([tmp_path / "own.bin"]))
        counting = False
    assert len(opened) <= 3  # its own


def test_among_many_claims_a_dead_one_of_the_same_outputs_is_settled(tmp_path: Path) -> None:
    def die() -> None:
        lost = claim([tmp_path / "a.bin"])
        lost.__enter__()
        os._exit(9)

    with ExitStack() as stack:
        for k in range(40):
            stack.enter_context(claim([tmp_path / f"item{k}.bin"]))
        assert in_child(die) == 9
        places = {p.name for p in (tmp_path / ".sciddm").iterdir() if p.is_dir()}
        assert len(places) == 41
        with commit([tmp_path / "a.bin"], False) as at:
            at[tmp_path / "a.bin"].write_text("whole")
        assert len([p for p in (tmp_path / ".sciddm").iterdir() if p.is_dir()]) == 40
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]
