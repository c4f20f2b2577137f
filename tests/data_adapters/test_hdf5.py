"""Text in HDF5 files: what is declared and what is written may differ."""

from __future__ import annotations

import h5py
import pytest

from sciddm.data_adapters.hdf5 import read_text


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("declared", ["ascii", "utf-8"])
def test_text_is_read_whatever_its_declared_encoding(tmp_path, encoding, declared):
    path = tmp_path / "header.h5"
    with h5py.File(path, "w") as file:
        kind = h5py.string_dtype(declared)
        file.create_dataset("xml", data="<name>Müller</name>".encode(encoding), dtype=kind)
    with h5py.File(path) as file:
        assert read_text(file, "xml", path) == "<name>Müller</name>"
