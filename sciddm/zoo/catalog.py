"""Which models there are, without loading any: bundled ones by name, folders, hub repositories."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path

from sciddm.errors import ModelError
from sciddm.zoo.hub import HUB, pull
from sciddm.zoo.model_card import Card, read_card
from sciddm.zoo.names import CONFIG, WEIGHTS, is_model_folder

__all__ = ["BUNDLED", "CHECKPOINT", "HUB", "card", "find", "list_models"]

BUNDLED = Path(__file__).parent / "weights"
#: Suffix of the checkpoints of the published SGMSE+ and StoRM code.
CHECKPOINT = ".ckpt"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")


def list_models() -> list[Card]:
    """Cards of the bundled models, by name."""
    folders = sorted(BUNDLED.iterdir()) if BUNDLED.is_dir() else []
    return [read_card(folder) for folder in folders if is_model_folder(folder)]


def card(source: str | Path) -> Card:
    """The card of a model; see ``find``, and ``from_pretrained`` for files of other packages."""
    if Path(source).suffix in (CHECKPOINT, ".safetensors", ".pth", ".pt") or _is_unet(source):
        from sciddm.zoo.pretrained import from_pretrained  # needs torch

        return from_pretrained(source).card
    return read_card(find(source))


def _is_unet(source: str | Path) -> bool:
    """Whether it looks like a folder of diffusers."""
    path = Path(source)
    return (path / "unet").is_dir() or (path / "diffusion_pytorch_model.safetensors").is_file()


def find(source: str | Path) -> Path:
    """The folder of a model.

    Args:
        source: a bundled model's name; a folder; or ``hub:owner/name``, a repository of the hub
            (downloaded once, by huggingface-hub; only the three files of a model are fetched). A
            folder of a bundled model's name is given as ``./NAME``: what lies in the current
            folder never replaces a bundled model, nor a model of the hub.

    Raises:
        ModelError: there is no such model.
    """
    name = str(source)
    if name.startswith(HUB):
        return pull(name)
    bundled = isinstance(source, str) and _NAME.fullmatch(name) is not None
    if bundled and is_model_folder(BUNDLED / name):
        return BUNDLED / name
    try:
        if is_model_folder(source):
            return Path(source)
        there = Path(source).exists()
    except (OSError, ValueError):  # a name that no folder can have
        there = False
    if there:
        raise ModelError(f"{name}: not a model folder (it needs {CONFIG} and {WEIGHTS})")
    if name.count("/") == 1 and not name.startswith((".", "/")):
        raise ModelError(f"{name}: no such folder; a repository of the hub is {HUB}{name}")
    names = [c.name for c in list_models()]
    close = get_close_matches(name, names, n=1)
    if close:
        raise ModelError(f"no model named {name!r}: did you mean {close[0]}?")
    known = ", ".join(names) or "none"
    raise ModelError(
        f"no model named {name!r}; bundled: {known}; or give a folder or {HUB}OWNER/NAME"
    )
