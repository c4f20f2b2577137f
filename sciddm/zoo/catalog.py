"""Which models there are, without loading any: bundled ones by name, folders, hub repositories."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from sciddm.errors import ModelError
from sciddm.zoo.model_card import Card, read_card
from sciddm.zoo.names import CARD, CONFIG, WEIGHTS, is_model_folder

__all__ = ["BUNDLED", "CHECKPOINT", "card", "find", "list_models"]

BUNDLED = Path(__file__).parent / "weights"
#: Suffix of the checkpoints of the published SGMSE+ and StoRM code.
CHECKPOINT = ".ckpt"


def list_models() -> list[Card]:
    """Cards of the bundled models, by name."""
    folders = sorted(BUNDLED.iterdir()) if BUNDLED.is_dir() else []
    return [read_card(folder) for folder in folders if is_model_folder(folder)]


def card(source: str | Path) -> Card:
    """The card of a model; see ``find`` for what ``source`` may be, or a checkpoint (.ckpt)."""
    if Path(source).suffix == CHECKPOINT:
        from sciddm.zoo.pretrained import from_pretrained  # needs torch

        return from_pretrained(source).card
    return read_card(find(source))


def find(source: str | Path) -> Path:
    """The folder of a model.

    Args:
        source: a bundled model's name, a folder, or a hub id ``owner/name`` (downloaded once, by
            huggingface-hub; only the three files of a model are fetched).
    """
    name = str(source)
    if is_model_folder(source):
        return Path(source)
    if "/" not in name and is_model_folder(BUNDLED / name):
        return BUNDLED / name
    if Path(source).exists():
        raise ModelError(f"{name}: not a model folder (it needs {CONFIG} and {WEIGHTS})")
    if name.count("/") == 1 and not name.startswith((".", "/")):
        return _download(name)
    names = [c.name for c in list_models()]
    close = get_close_matches(name, names, n=1)
    if close:
        raise ModelError(f"no model named {name!r}: did you mean {close[0]}?")
    known = ", ".join(names) or "none"
    raise ModelError(f"no model named {name!r}; bundled: {known}; or give a folder or a hub id")


def _download(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(repository, allow_patterns=[CONFIG, WEIGHTS, CARD])
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise ModelError(
            f"{repository}: neither a folder nor a reachable hub model ({first})"
        ) from error
    if not is_model_folder(folder):
        raise ModelError(f"{repository}: the hub repository holds no sciddm model")
    return Path(folder)
