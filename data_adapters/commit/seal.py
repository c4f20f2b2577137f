"""A checksum within a file, for outputs that have no JSON beside them: k-space.

HDF5 and netCDF-4 files and Zarr stores hold, as the attribute ``sciddm_sha256``, the SHA-256 of all
their other attributes and arrays: names, types, shapes and values, in the order of the names. A
copy by another program, which packs the same values otherwise, has the same one.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciddm.data_adapters.isolation import isolated
from sciddm.data_adapters.patient_file import PatientFile

if TYPE_CHECKING:
    import h5py

__all__ = ["SEAL", "is_sealed", "seal", "sealed_state"]

SEAL = "sciddm_sha256"
_HDF5 = (".h5", ".nc")
_BLOCK = 2**20


def seal(path: Path) -> None:
    """Writes the checksum into a finished file or store."""
    if path.is_dir():
        metadata = path / "zarr.json"
        content = json.loads(metadata.read_text(encoding="utf-8"))
        content.setdefault("attributes", {})[SEAL] = _of_store(path)
        metadata.write_text(json.dumps(content, indent=2), encoding="utf-8")
        return
    import h5py

    with PatientFile(path, "r+b") as raw, h5py.File(raw, "r+") as file:
        file.attrs[SEAL] = _of_file(file)


def is_sealed(path: Path) -> bool:
    """Whether a path can hold its own checksum, by its name."""
    store = path.suffix == ".zarr" and (path / "zarr.json").is_file()
    return store or (path.suffix in _HDF5 and path.is_file())


@isolated
def sealed_state(path: Path) -> bool | None:
    """Whether a file holds what its checksum was made of; None where it has none.

    Raises:
        InputError: it cannot be read.
    """
    if path.is_dir():
        content = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
        stated = content.get("attributes", {}).get(SEAL)
        return None if stated is None else bool(stated == _of_store(path))
    import h5py

    from sciddm.data_adapters.hdf5 import open_hdf5

    if not h5py.is_hdf5(path):
        return None
    with open_hdf5(path) as file:
        stated = file.attrs.get(SEAL)
        return None if stated is None else bool(stated == _of_file(file))


def _of_file(file: h5py.File) -> str:
    import h5py

    found = hashlib.sha256()
    names: list[str] = []
    file.visit(names.append)
    for name in ["/", *sorted(names)]:
        node = file[name]
        _attributes(found, name, node)
        if isinstance(node, h5py.Dataset):
            found.update(f"{node.dtype.str} {node.shape}\n".encode())
            if node.shape is None or node.size == 0:
                continue
            # Row by row of the first axis: memory does not grow with the file.
            for index in range(node.shape[0]) if node.ndim else [()]:
                _values(found, node[index])
    return found.hexdigest()


def _attributes(found: Any, name: str, node: Any) -> None:
    found.update(f"\n{name}\n".encode("utf-8", "surrogateescape"))
    for key in sorted(k for k in node.attrs if k != SEAL):
        if key in ("REFERENCE_LIST", "DIMENSION_LIST"):  # places in this very file
            continue
        found.update(f"{key}\n".encode("utf-8", "surrogateescape"))
        _values(found, node.attrs[key])


def _values(found: Any, values: Any) -> None:
    import numpy as np

    array = np.asarray(values)
    if array.dtype.kind in "OSU":  # text, whose storage is not its content
        found.update(repr(array.tolist()).encode("utf-8", "surrogateescape"))
    else:
        found.update(np.ascontiguousarray(array).tobytes())


def _of_store(path: Path) -> str:
    """Of all files of a store by their paths; of its own metadata without the checksum."""
    found = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        name = file.relative_to(path).as_posix()
        found.update(f"\n{name}\n".encode("utf-8", "surrogateescape"))
        if name == "zarr.json":
            content = json.loads(file.read_text(encoding="utf-8"))
            content.get("attributes", {}).pop(SEAL, None)
            found.update(json.dumps(content, sort_keys=True).encode())
            continue
        with file.open("rb") as raw:
            while block := raw.read(_BLOCK):
                found.update(block)
    return found.hexdigest()
