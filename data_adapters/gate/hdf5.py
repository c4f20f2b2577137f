"""HDF5: nothing from other folders, nothing that is missing.

An HDF5 file can name other files as the place of its data: external links, external storage, and
the sources of virtual datasets. The library would read any file of the machine through them, and
fills what is missing with zeros. Netcdf-4 files and MATLAB 7.3 files are HDF5.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py

from sciddm.data_adapters.gate.inside import inside
from sciddm.errors import InputError

__all__ = ["check_hdf5", "check_written"]

_UNLIMITED = h5py.h5f.UNLIMITED if hasattr(h5py.h5f, "UNLIMITED") else 2**64 - 1


def check_hdf5(file: h5py.File, path: Path) -> None:
    """Refuses a file that reads other files, unless they lie in its own folder.

    Args:
        file: the open file.
        path: its name, for messages and for what lies beside it.

    Raises:
        InputError: a link, an external storage or a virtual source outside of the folder, or one
            that is missing; says which.
    """
    for name, node in _nodes(file, path):
        created = node.id.get_create_plist()
        for number in range(created.get_external_count()):
            stored, start, size = created.get_external(number)
            named = stored.decode("utf-8", "surrogateescape")
            target = inside(path, named, f"{name}, external,")
            # The library looks for it in the current folder, not in the file's.
            if Path(named).resolve() != target:
                raise InputError(
                    f"{path}: {name} is stored in {named!r}, which is found from its folder "
                    f"only: run this in {target.parent}"
                )
            if size != _UNLIMITED and start + size > target.stat().st_size:
                raise InputError(
                    f"{path}: {name} is stored in {target.name}, which is too short: copy it again"
                )
        if created.get_layout() == h5py.h5d.VIRTUAL:
            _check_sources(path, name, created)


def check_written(node: h5py.Dataset, path: Path) -> None:
    """Refuses a dataset of which a part was never written; the library gives zeros there.

    Args:
        node: the dataset.
        path: of its file.

    Raises:
        InputError: says how many of its chunks are missing.
    """
    if node.chunks is None or node.shape is None or 0 in node.shape:
        return
    expected = 1
    for length, chunk in zip(node.shape, node.chunks, strict=True):
        expected *= -(-length // chunk)
    held = node.id.get_num_chunks()
    if held < expected:
        raise InputError(
            f"{path}: {held} of {expected} parts of {str(node.name).lstrip('/')} were written, the "
            "others would be read as 0: export it again"
        )


def _check_sources(path: Path, name: str, created: h5py.h5p.PropDCID) -> None:
    for number in range(created.get_virtual_count()):
        source = created.get_virtual_filename(number)
        dataset = created.get_virtual_dsetname(number)
        if source == ".":
            continue
        target = inside(path, source, f"{name}, virtual,")
        with h5py.File(target, "r") as other:
            check_hdf5(other, target)
            if dataset not in other:
                raise InputError(
                    f"{path}: {name} is a view of {dataset} in {target.name}, which has no such "
                    "dataset: copy it again"
                )


def _nodes(file: h5py.File, path: Path) -> Iterator[tuple[str, h5py.Dataset]]:
    """All datasets, each once, whatever links lead to it."""
    groups: list[tuple[str, h5py.Group]] = [("", file)]
    seen = {file.id.__hash__()}
    while groups:
        prefix, group = groups.pop()
        for key in group:
            name = f"{prefix}/{key}"
            link = group.get(key, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                target = inside(path, str(link.filename), f"the link {name}")
                with h5py.File(target, "r") as other:
                    check_hdf5(other, target)
            if not isinstance(link, h5py.HardLink):
                continue  # what a soft link leads to has a hard link too
            node = group.get(key)
            if not isinstance(node, h5py.Group | h5py.Dataset) or hash(node.id) in seen:
                continue
            seen.add(hash(node.id))
            if isinstance(node, h5py.Group):
                groups.append((name, node))
            elif isinstance(node, h5py.Dataset):
                yield name, node
