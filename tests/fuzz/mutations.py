"""Ways to damage an input: bytes of any file, and the structure of those whose format is known."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pydicom
import yaml

__all__ = ["mutate"]

Random = np.random.Generator
#: Values that stand in a place where another is expected.
_ODD: tuple[Any, ...] = (
    0, -1, 1, 2**31, 2**40, 2**63 - 1, -(2**63), 1.5, 1e308, -1e-308, float("nan"), float("inf"),
    "", "abc", "nan", "{a, b}", "\x1b[31m", "../../etc/passwd", "ä" * 300, b"\xff\xfe\x00",
    True, None, [], [0], [1, 2, 3], {}, {"a": 1}, [[[]]],
)  # fmt: skip


def mutate(folder: Path, main: str, random: Random) -> str:
    """Damages the input in a folder.

    Args:
        folder: holds the sample.
        main: name of what the reader is given.
        random: decides all.

    Returns:
        What was done, for the report.
    """
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    path = files[int(random.integers(len(files)))]
    structural = _STRUCTURAL.get(path.suffix)
    if h5py.is_hdf5(path):
        structural = _hdf5
    if structural is not None and random.random() < 0.5:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return f"{path.name}: {structural(path, random)}"
        except Exception:  # the library refuses to write such a thing: then bytes
            pass
    kinds = tuple(_BYTES)
    kind = kinds[int(random.integers(len(kinds)))]
    if kind == "removed":
        path.unlink()
        return f"{path.name}: removed"
    content = bytearray(path.read_bytes())
    _BYTES[kind](content, random)
    path.write_bytes(content)
    return f"{path.name}: bytes {kind}"


def _flip(content: bytearray, random: Random) -> None:
    for _ in range(int(random.integers(1, 5))):
        if content:
            content[_place(content, random)] ^= 1 << int(random.integers(8))


def _set(content: bytearray, random: Random) -> None:
    if content:
        content[_place(content, random)] = int(random.choice([0, 1, 127, 128, 255]))


def _cut(content: bytearray, random: Random) -> None:
    del content[_place(content, random) :]


def _drop(content: bytearray, random: Random) -> None:
    at = _place(content, random)
    del content[at : at + int(random.integers(1, 64))]


def _insert(content: bytearray, random: Random) -> None:
    at = _place(content, random)
    content[at:at] = random.bytes(int(random.integers(1, 64)))


def _zeros(content: bytearray, random: Random) -> None:
    at = _place(content, random)
    size = min(len(content) - at, int(random.integers(1, 512)))
    content[at : at + size] = bytes(size)


def _twice(content: bytearray, random: Random) -> None:
    at = _place(content, random)
    content[at:at] = content[at : at + int(random.integers(1, 512))]


def _number(content: bytearray, random: Random) -> None:
    at = _place(content, random)
    size = int(random.choice([2, 4, 8]))
    value = int(random.choice([0, 1, 2**15, 2**16 - 1]))
    if random.random() < 0.5:
        value = 2 ** (8 * size - 1) - 1
    content[at : at + size] = value.to_bytes(size, "little" if random.random() < 0.5 else "big")


def _place(content: bytearray, random: Random) -> int:
    """Headers are hit more often than data."""
    if len(content) < 2:
        return 0
    if random.random() < 0.5:
        return int(random.integers(min(len(content), 1024)))
    return int(random.integers(len(content)))


_BYTES: dict[str, Callable[[bytearray, Random], None]] = {
    "flipped": _flip,
    "set": _set,
    "cut": _cut,
    "dropped": _drop,
    "inserted": _insert,
    "zeroed": _zeros,
    "doubled": _twice,
    "number": _number,
    "removed": lambda content, random: None,
}


def _hdf5(path: Path, random: Random) -> str:
    """An attribute, a dataset or a link in place of another."""
    with h5py.File(path, "a") as file:
        names: list[str] = []
        file.visit(names.append)
        name = str(random.choice(names)) if names else "/"
        node = file[name]
        action = int(random.integers(8))
        if action == 0 and node.attrs:
            key = str(random.choice(list(node.attrs)))
            value = _ODD[int(random.integers(len(_ODD)))]
            node.attrs[key] = h5py.Empty("f4") if value is None else value
            return f"attribute {name}.{key} = {value!r}"
        if action == 1 and node.attrs:
            key = str(random.choice(list(node.attrs)))
            del node.attrs[key]
            return f"attribute {name}.{key} removed"
        del file[name]
        if action == 2:
            return f"{name} removed"
        if action == 3:
            file[name] = _ODD[int(random.integers(13))]
            return f"{name} is a number"
        if action == 4:
            file[name] = "text" if random.random() < 0.5 else h5py.Empty("f4")
            return f"{name} is text or empty"
        if action == 5:
            shape = tuple(int(n) for n in random.integers(0, 5, int(random.integers(1, 5))))
            kind = str(random.choice(["f4", "c8", "i8", "u1", "f2", "S3", "b1"]))
            file[name] = np.full(shape, np.nan if kind[0] in "fc" else 1).astype(kind)
            return f"{name} is {kind} {shape}"
        if action == 6:
            file.create_dataset(name, (2**20, 2**10, 2**10), "f4", chunks=(1, 64, 64))
            return f"{name} is huge"
        links = (
            h5py.SoftLink(f"/{name}"),
            h5py.SoftLink("/nothing"),
            h5py.ExternalLink("/etc/passwd", "/x"),
            h5py.ExternalLink(path.name, f"/{name}"),
        )
        file[name] = links[int(random.integers(len(links)))]
        return f"{name} is a link"


def _json(path: Path, random: Random) -> str:
    content = json.loads(path.read_text())
    told = _odd_value(content, random)
    path.write_text(json.dumps(content, default=str))
    return told


def _yaml(path: Path, random: Random) -> str:
    content = yaml.safe_load(path.read_text())
    told = _odd_value(content, random)
    path.write_text(yaml.safe_dump(content))
    return told


def _odd_value(content: Any, random: Random, where: str = "") -> str:
    """Replaces or removes one entry somewhere in nested mappings and lists."""
    keys = list(content) if isinstance(content, dict) else list(range(len(content)))
    if not keys:
        return "unchanged"
    key = keys[int(random.integers(len(keys)))]
    inner = content[key]
    if isinstance(inner, dict | list) and inner and random.random() < 0.7:
        return _odd_value(inner, random, f"{where}.{key}")
    if random.random() < 0.15:
        del content[key]
        return f"{where}.{key} removed"
    content[key] = _ODD[int(random.integers(len(_ODD)))]
    if isinstance(content[key], bytes):
        content[key] = "\udcff"
    return f"{where}.{key} = {content[key]!r}"


def _npz(path: Path, random: Random) -> str:
    with np.load(path) as file:
        arrays: dict[str, Any] = {k: file[k] for k in file.files}
    key = str(random.choice(list(arrays)))
    if random.random() < 0.2:
        del arrays[key]
    else:
        value = _ODD[int(random.integers(len(_ODD)))]
        try:
            arrays[key] = np.asarray(value)
        except ValueError:
            arrays[key] = np.zeros((0, 3))
    np.savez(path, **arrays)
    return f"{key} = {arrays.get(key, 'removed')!r}"[:80]


def _header(path: Path, random: Random) -> str:
    """A line of a text header."""
    lines = path.read_text(errors="replace").split("\n")
    at = int(random.integers(len(lines)))
    name = lines[at].split("=")[0]
    value = _ODD[int(random.integers(len(_ODD)))]
    lines[at] = f"{name}= {value}" if random.random() < 0.8 else ""
    path.write_text("\n".join(lines), errors="replace")
    return f"{name.strip()} = {value!r}"


def _dicom(path: Path, random: Random) -> str:
    d = pydicom.dcmread(path)
    elements = [e for e in d if e.keyword]
    element = elements[int(random.integers(len(elements)))]
    if random.random() < 0.4:
        del d[element.tag]
        told = f"{element.keyword} removed"
    else:
        texts = ("", "abc", "-1", "1e400", "nan", "1\\2\\3\\4\\5\\6\\7", "99999999999", "0")
        value = texts[int(random.integers(len(texts)))]
        numeric = element.VR in ("US", "UL", "SS", "FL", "FD")
        d[element.tag].value = int(random.choice([0, 1, 65535])) if numeric else value
        told = f"{element.keyword} = {d[element.tag].value!r}"
    d.save_as(path)
    return told


def _folder_twice(path: Path, random: Random) -> str:
    shutil.copy(path, path.with_name("copy" + path.suffix))
    return "copied"


_STRUCTURAL: dict[str, Callable[[Path, Random], str]] = {
    ".json": _json,
    ".yaml": _yaml,
    ".npz": _npz,
    ".hdr": _header,
    ".dcm": _dicom,
}
