"""Attributes as JSON text: strict JSON, and the same attributes when read again."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sciddm.data_adapters.attributes import decode, encode, plain, read_sidecar, sidecar


def same(a: Any, b: Any) -> bool:
    """Equality with NaN equal to NaN."""
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and a == b


text = st.text(max_size=6)
simple = st.integers() | st.floats() | st.booleans() | text
values = simple | st.lists(simple | st.lists(st.floats(), max_size=3), max_size=3)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(text, values, max_size=4))
def test_attributes_survive(attrs: dict[str, Any]) -> None:
    text = encode(attrs)
    json.loads(text, parse_constant=lambda token: 1 / 0)  # NaN and Infinity are no JSON
    assert same(decode(text), attrs)


def test_numpy_and_paths_become_plain() -> None:
    attrs = {
        "affine": np.eye(2),
        "n": np.int64(3),
        "x": np.float32(0.5),
        "p": Path("a"),
        "none": None,
        "request": {"maps": None},
    }
    wanted = {
        "affine": [[1.0, 0.0], [0.0, 1.0]],
        "n": 3,
        "x": 0.5,
        "p": "a",
        "request": {"maps": None},
    }
    assert decode(encode(attrs)) == wanted


def test_plain_leaves_out_what_formats_cannot_hold() -> None:
    attrs = {"a": [1, 2.5], "b": True, "nested": [[1]], "nan": math.nan, "d": {"k": 1}, "s": "x"}
    assert plain(attrs) == {"a": [1.0, 2.5], "b": 1, "s": "x"}


def test_sidecar_of_another_kind_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(sidecar({"seed": 3}, "result", "1.2"))
    assert read_sidecar(path, "result") == {"seed": 3, "sciddm_version": "1.2"}
    assert read_sidecar(path, "kspace") == {}
    path.write_text('{"seed": 3}')
    assert read_sidecar(path, "result") == {}
    path.write_text("[1")
    assert read_sidecar(path, "result") == {}
