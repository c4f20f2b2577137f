"""A network class of the user's own, by its dotted name, from a folder that the user trusts.

A model folder whose ``config.json`` names the network ``mynet.blocks:Net`` needs the file
``mynet/blocks.py``. It is looked for in the folder that the environment variable SCIDDM_NETWORKS
names, and nowhere else: to load such a model runs that code. Without the variable it is refused.

The class is made with the other entries of the configuration as keywords, and is called as
``(x (B, C, ...), level (B,), cond)`` with the level ln(sigma), or t if its attribute
``noise_level`` is "time".
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from sciddm.errors import ModelError

__all__ = ["VARIABLE", "is_own", "own_network"]

VARIABLE = "SCIDDM_NETWORKS"
_NAME = re.compile(r"(?P<module>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<cls>[A-Za-z_]\w*)")


def is_own(name: str) -> bool:
    """Whether a network's name is that of a class of the user's own."""
    return ":" in name


def own_network(name: str, values: Mapping[str, Any]) -> nn.Module:
    """The network, made of its class.

    Args:
        name: MODULE:CLASS.
        values: keywords.

    Raises:
        ModelError: no folder is trusted, there is no such class in it, or it does not take these.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ModelError(f"network {name!r}: a class of your own is named MODULE:CLASS")
    root = os.environ.get(VARIABLE, "")
    if not root:
        raise ModelError(
            f"the network {name} is code of its own: to run it, set {VARIABLE} to the folder with "
            f"{match['module'].partition('.')[0]}, if you trust it"
        )
    folder = Path(root).resolve()
    path = folder.joinpath(*match["module"].split(".")).with_suffix(".py")
    if not path.is_file() or folder not in path.resolve().parents:
        raise ModelError(f"{path}: no such file in the trusted folder: check {VARIABLE}")
    module_name = f"_sciddm_own.{match['module']}"
    module = sys.modules.get(module_name)
    if module is None or getattr(module, "__file__", None) != str(path):
        spec = importlib.util.spec_from_file_location(module_name, path)
        if spec is None or spec.loader is None:
            raise ModelError(f"{path}: cannot be run: check the file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            sys.modules.pop(module_name, None)
            raise ModelError(f"{path}: cannot be run ({error})") from error
    cls = getattr(module, match["cls"], None)
    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        raise ModelError(f"{path}: has no network {match['cls']}: check the name")
    try:
        network: nn.Module = cls(**values)
    except Exception as error:
        raise ModelError(f"network {name}: cannot be made ({error})") from error
    network.own_name = name  # type: ignore[assignment]
    network.config = dict(values)  # type: ignore[assignment]
    return network
