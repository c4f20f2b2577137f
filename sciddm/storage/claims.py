"""Who writes which outputs of a folder, and what dead processes have left there.

A claim is a folder ``FOLDER/.sciddm/TOKEN`` with a file ``owner`` that its process keeps locked.
The operating system releases the lock when the process ends, however it ends: a claim whose lock
is free is a dead one. Where the file system has no locks, the owner's record decides: a process of
this host is dead when it is not there, or when another has its number; one of another host when
the record is older than a day.

Whoever makes a claim first finishes or takes back what dead processes have left (``switch``). Where
there are many claims, those of a large batch, it does so for claims of its own outputs only, and
``recover`` for all. The file ``names`` says which outputs each claim is for, so that many claims
need not be opened one by one; it is a copy of their ``owner`` files, made and read under the lock.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciddm.errors import OutputError, SciddmError
from sciddm.storage.switch import NEW, settle

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["HIDDEN", "BusyError", "Claim", "claim", "held_claim", "is_staging", "recover"]

#: Name of the folder in which claims lie.
HIDDEN = ".sciddm"
_LOCK, _OWNER, _NAMES = "lock", "owner", "names"
#: So many claims are looked at one by one.
_FEW = 16
_STALE_SECONDS = 24 * 3600.0
_NO_LOCKS = {
    getattr(errno, name)
    for name in ("ENOLCK", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EINVAL")
    if hasattr(errno, name)
}


class BusyError(OutputError):
    """Another process writes this output at this moment."""


@dataclass
class Claim:
    """The right to write some outputs of one folder.

    Attributes:
        place: folder of the claim.
        names: of the outputs.
    """

    place: Path
    names: set[str]
    _handle: int = -1
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def folder(self) -> Path:
        """Where the outputs lie."""
        return self.place.parent.parent

    @property
    def new(self) -> Path:
        """Where new outputs are written."""
        return self.place / NEW


#: Claims of this process that outlast one commit.
_HELD: list[Claim] = []


@contextmanager
def claim(targets: Sequence[str | Path]) -> Iterator[Claim]:
    """Keeps other processes from making the same outputs, from computing them to their commit.

    Commits within the block that write these targets belong to the claim.

    Args:
        targets: all outputs of an item, in one folder, which exists.

    Yields:
        The claim.

    Raises:
        BusyError: another process writes one of them; says which and since when.
        OutputError: the folder cannot be written, or what a dead process left cannot be settled.
    """
    taken = take(_folder_of(targets), {Path(t).name for t in targets})
    _HELD.append(taken)
    try:
        yield taken
    finally:
        _HELD.remove(taken)
        release(taken)


def recover(folder: str | Path) -> list[str]:
    """Finishes or takes back what dead processes have left in a folder.

    Args:
        folder: one that outputs lie in; it need not exist.

    Returns:
        One sentence for each switch that was finished or taken back.

    Raises:
        OutputError: the disk refuses.
    """
    hidden = Path(folder) / HIDDEN
    if not hidden.is_dir() or not os.access(hidden, os.W_OK | os.X_OK):
        return []
    with _list_of_claims(hidden):
        sentences, _ = _sweep(_places(hidden))
        return sentences


def take(folder: Path, names: Collection[str]) -> Claim:
    """Makes a claim; see ``claim``."""
    hidden = folder / HIDDEN
    try:
        with _list_of_claims(hidden) as locked:
            places = _places(hidden)
            copy = _read_names(hidden) if locked else {}
            known = copy if len(places) > _FEW else {}
            others = [p for p in places if set(known.get(p.name, names)) & set(names)]
            _, living = _sweep(others)
            for place, owner in living:
                both = sorted(set(owner.get("names", ())) & set(names))
                if both:
                    raise BusyError(
                        f"{folder / both[0]}: is being written by process {owner.get('pid')} on "
                        f"{owner.get('host')} ({place}): wait for it or stop it"
                    )
            made = _made(hidden / secrets.token_hex(6), set(names))
            there = {place.name for place in places}
            rest = {token: listed for token, listed in copy.items() if token in there}
            if locked:
                _write_names(hidden, {**rest, made.place.name: sorted(names)})
            return made
    except SciddmError:  # some of which are an OSError, too
        raise
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written to ({error.strerror})") from error


def _made(place: Path, names: set[str]) -> Claim:
    handle = -1
    try:
        (place / NEW).mkdir(parents=True)
        handle = os.open(place / _OWNER, os.O_RDWR | os.O_CREAT, 0o644)
        _lock(handle, wait=False)
        made = Claim(place, names, handle)
        _write_owner(made)
    except BaseException:
        if handle >= 0:
            os.close(handle)
        shutil.rmtree(place, ignore_errors=True)
        raise
    return made


def extend(made: Claim, names: Collection[str]) -> None:
    """Adds outputs to a claim; raises BusyError where another process writes them."""
    more = set(names) - made.names
    if not more:
        return
    extra = take(made.folder, more)
    try:
        made.names |= more
        _write_owner(made)
        hidden = made.place.parent
        with _list_of_claims(hidden):  # from here on its owner file is read
            listed = _read_names(hidden)
            listed.pop(made.place.name, None)
            _write_names(hidden, listed)
    finally:
        release(extra)


def release(made: Claim) -> None:
    """Gives a claim up and removes what lies in its folder."""
    # Where the disk refuses, the next start settles what is left.
    with contextlib.suppress(OSError, OutputError), _list_of_claims(made.place.parent):
        if made._handle >= 0:
            os.close(made._handle)
            made._handle = -1
        settle(made.place)


def held_claim(targets: Sequence[Path]) -> Claim | None:
    """The claim of this process that covers one of the targets."""
    folder, names = _folder_of(targets), {t.name for t in targets}
    for taken in _HELD:
        if taken.names & names and taken.folder.samefile(folder):
            return taken
    return None


def is_staging(folder: Path) -> bool:
    """Whether a folder lies in a claim, so that what is written there is committed later."""
    return any(part.parent.name == HIDDEN for part in folder.absolute().parents) or (
        folder.absolute().parent.name == HIDDEN
    )


def _folder_of(targets: Sequence[str | Path]) -> Path:
    folders = {Path(t).parent for t in targets}
    if len(folders) != 1:
        raise ValueError(f"outputs of one item lie in one folder, not in {sorted(folders)}")
    return folders.pop()


def _places(hidden: Path) -> list[Path]:
    """Folders of the claims."""
    with os.scandir(hidden) as entries:
        return [hidden / e.name for e in sorted(entries, key=lambda e: e.name) if e.is_dir()]


def _read_names(hidden: Path) -> dict[str, list[str]]:
    """Outputs by claim, as far as they are known without a look at each claim."""
    try:
        listed = json.loads((hidden / _NAMES).read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(listed, dict):
        return {}
    return {token: names for token, names in listed.items() if isinstance(names, list)}


def _write_names(hidden: Path, listed: dict[str, list[str]]) -> None:
    """Replaces the copy whole; what is not in it is looked at claim by claim."""
    beside = hidden / f"{_NAMES}.part"
    try:
        beside.write_text(json.dumps(listed))
        os.replace(beside, hidden / _NAMES)
    except OSError:  # a copy that is old may name too much, and lacks nothing but the new
        with contextlib.suppress(OSError):
            (hidden / _NAMES).unlink(missing_ok=True)


def _sweep(places: Sequence[Path]) -> tuple[list[str], list[tuple[Path, dict[str, Any]]]]:
    """Settles the claims of dead processes; (sentences, [(place, owner) of the living])."""
    sentences: list[str] = []
    living = []
    for place in places:
        owner = _owner(place)
        if _alive(place, owner):
            living.append((place, owner))
            continue
        told = settle(place)
        if told:
            sentences.append(told)
    return sentences, living


@contextmanager
def _list_of_claims(hidden: Path) -> Iterator[bool]:
    """Keeps the list of claims for oneself; the folder goes when it is empty.

    Yields:
        Whether others are kept out: some file systems have no locks.
    """
    while True:
        hidden.mkdir(exist_ok=True)
        try:
            handle = os.open(hidden / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # somebody has just removed the empty folder
            continue
        locked = bool(_lock(handle, wait=True))
        try:
            same = os.stat(hidden / _LOCK).st_ino == os.fstat(handle).st_ino
        except FileNotFoundError:
            same = False
        if same:
            break
        os.close(handle)
    try:
        yield locked
    finally:
        with contextlib.suppress(OSError):
            if set(os.listdir(hidden)) <= {_LOCK, _NAMES, f"{_NAMES}.part"}:
                for name in (f"{_NAMES}.part", _NAMES, _LOCK):  # the lock last
                    (hidden / name).unlink(missing_ok=True)
                os.rmdir(hidden)
        os.close(handle)


def _lock(handle: int, *, wait: bool) -> bool | None:
    """Locks an open file; False where another has it, None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        return False
    return True


def _alive(place: Path, owner: dict[str, Any]) -> bool:
    if any(taken.place.name == place.name for taken in _HELD):
        return True
    try:
        handle = os.open(place / _OWNER, os.O_RDWR)
    except FileNotFoundError:  # killed between two steps of `take`, which the list's lock covers
        return False
    except OSError:
        return True
    try:
        locked = _lock(handle, wait=False)
    finally:
        os.close(handle)
    if locked is not None:
        return not locked
    if owner.get("host") == socket.gethostname():
        pid = int(owner.get("pid", -1))
        return _is_there(pid) and _started(pid) == owner.get("started")
    return time.time() - (place / _OWNER).stat().st_mtime < _STALE_SECONDS


def _write_owner(made: Claim) -> None:
    pid = os.getpid()
    record = {
        "pid": pid,
        "host": socket.gethostname(),
        "started": _started(pid),
        "names": sorted(made.names),
    }
    (made.place / _OWNER).write_text(json.dumps(record))


def _owner(place: Path) -> dict[str, Any]:
    try:
        record = json.loads((place / _OWNER).read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _started(pid: int) -> int | None:
    """When a process began, in ticks since the start of the system; None where nobody says."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[19])
    except (OSError, ValueError, IndexError):
        return None
