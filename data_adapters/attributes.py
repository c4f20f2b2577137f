"""Attributes of a data set as JSON text, the one form that every file format can hold.

    JSON null   in a list or as an attribute's value: NaN; inside an object: None
    "Infinity", "-Infinity"   the infinities
    an attribute that is None   is left out

Arrays and tuples come back as lists, NumPy scalars as Python's. Strict JSON: any parser reads it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sciddm.data_adapters.commit.checksums import FILES

__all__ = ["decode", "encode", "plain", "read_sidecar", "sidecar"]

_INFINITE = {"Infinity": math.inf, "-Infinity": -math.inf}


def encode(attrs: Mapping[Any, Any], indent: int | None = None) -> str:
    """The attributes as JSON text."""
    kept = {str(k): _encoded(v) for k, v in attrs.items() if v is not None}
    return json.dumps(kept, allow_nan=False, indent=indent, ensure_ascii=False)


def decode(text: str | bytes) -> dict[str, Any]:
    """The attributes that `encode` made a text of.

    Raises:
        ValueError: not JSON, or not an object.
    """
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("attributes must be a JSON object")
    return {k: math.nan if v is None else _decoded(v) for k, v in content.items()}


def plain(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """The attributes that every format holds as they are: text, finite numbers, lists of those.

    Written beside the JSON text for people and programs that know nothing of sciddm.
    """
    found: dict[str, Any] = {}
    for key, value in attrs.items():
        simple = _encoded(value)
        if isinstance(simple, bool):
            simple = int(simple)
        if isinstance(simple, str | int | float):
            found[str(key)] = simple
        elif isinstance(simple, list) and simple and all(_is_number(v) for v in simple):
            found[str(key)] = [float(v) for v in simple]
    return found


def sidecar(attrs: Mapping[Any, Any], kind: str, version: str) -> str:
    """Text of the JSON file that lies beside an output.

    Args:
        attrs: of the data set.
        kind: "result" or "kspace".
        version: of the package, where the attributes do not state it.
    """
    return encode({"sciddm_version": version, **attrs, "sciddm_kind": kind}, indent=2) + "\n"


def read_sidecar(path: Path, kind: str) -> dict[str, Any]:
    """Attributes from the JSON file beside a data file; empty where there is none of ours."""
    try:
        content = decode(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # absent, or somebody else's file of the same name
        return {}
    content.pop(FILES, None)
    return content if content.pop("sciddm_kind", None) == kind else {}


def _encoded(value: Any) -> Any:
    if hasattr(value, "tolist"):  # NumPy arrays and scalars
        value = value.tolist()
    if isinstance(value, bool | str | int) or value is None:
        return value
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return value if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, Mapping):
        return {str(k): _encoded(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_encoded(v) for v in value]
    return str(value)


def _decoded(value: Any) -> Any:
    if isinstance(value, str):
        return _INFINITE.get(value, value)
    if isinstance(value, list):
        return [math.nan if v is None else _decoded(v) for v in value]
    if isinstance(value, dict):
        return {k: _decoded(v) for k, v in value.items()}
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
