"""Outputs appear whole or not at all: the names by which adapters know `commit`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sciddm.data_adapters.commit import commit
from sciddm.data_adapters.commit.targets import check_folder, check_outputs, discard, is_zarr

__all__ = ["check_folder", "check_outputs", "discard", "is_zarr", "staged", "staged_folder"]


@contextmanager
def staged(targets: Sequence[Path], overwrite: bool) -> Iterator[dict[Path, Path]]:
    """`commit` of files and stores."""
    with commit(targets, overwrite) as at:
        yield at


@contextmanager
def staged_folder(target: Path, overwrite: bool, suffix: str) -> Iterator[Path]:
    """`commit` of one folder of files with a suffix, which is there already."""
    with commit([target], overwrite, folders={target: suffix}) as at:
        yield at[target]
