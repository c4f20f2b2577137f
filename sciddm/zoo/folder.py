"""Model folders: ``config.json``, ``model.safetensors`` and ``card.json``.

The configuration holds everything that makes a model from its weights, so a folder needs nothing
else; its ``representation`` says how a pipeline turns measured data into what the model sees (the
settings of a spectrogram, say) and means nothing here. Weights are stored in fp16 and identified
by the SHA-256 of the file.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from sciddm.errors import ModelError
from sciddm.models import AnyModel, build_model, describe_model, network_of
from sciddm.storage.special_files import check_regular
from sciddm.zoo.budget import Budget
from sciddm.zoo.names import CARD, CONFIG, WEIGHTS, is_model_folder

__all__ = [
    "CARD",
    "CONFIG",
    "WEIGHTS",
    "is_model_folder",
    "load_model",
    "read_representation",
    "save_model",
    "weights_hash",
]

_VERSION = 1
_LONGEST = 2**20
_MOST = 2**16
_ENTRIES = 256
#: Elements that building a model may take: of its weights, with copies, and of small tables.
_TIMES, _SMALL = 4, 2**22


def save_model(
    model: AnyModel,
    folder: str | Path,
    card: dict[str, Any],
    representation: dict[str, Any] | None = None,
) -> None:
    """Writes a model folder; existing files in it are replaced."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {"format": _VERSION, **describe_model(model)}
    if representation:
        config["representation"] = representation
    tensors = {
        k: (v.half() if v.is_floating_point() else v).contiguous()
        for k, v in network_of(model).state_dict().items()
    }
    (folder / WEIGHTS).write_bytes(save(tensors))
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    card = {**card, "weights_sha256": weights_hash(folder)}
    (folder / CARD).write_text(json.dumps(card, indent=2) + "\n")


def load_model(folder: str | Path) -> AnyModel:
    """The model of a folder: frozen, in evaluation mode, float32 weights.

    Raises:
        ModelError: a file is missing or damaged, or weights and configuration disagree.
    """
    folder = Path(folder)
    config = _read_config(folder)
    try:
        state = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{folder}: not a readable model folder ({error})") from error
    broken = [k for k, v in state.items() if v.is_floating_point() and not v.isfinite().all()]
    if broken:
        raise ModelError(f"{folder}: weights that are NaN or infinite ({broken[0]}): copy it again")
    try:
        room = _TIMES * sum(v.numel() for v in state.values()) + _SMALL
        with Budget(room):
            model = build_model(config, precision="auto")
        network_of(model).load_state_dict(state)
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from error
    except KeyError as error:
        raise ModelError(f"{folder}: {CONFIG} has no key {error}") from error
    except Exception as error:  # whatever networks make of a foreign configuration
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"{folder}: {reason[:300]}") from error
    return model.float().eval().requires_grad_(False)


def read_representation(folder: str | Path) -> dict[str, Any]:
    """The ``representation`` of a model folder's configuration, {} if it has none."""
    stored = _read_config(Path(folder)).get("representation") or {}
    if not isinstance(stored, dict):
        raise ModelError(f"{folder}: the representation in {CONFIG} is no mapping: copy it again")
    return dict(stored)


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        for name in (CONFIG, WEIGHTS):
            check_regular(folder / name)
        if (folder / CONFIG).stat().st_size > _LONGEST:
            raise ValueError(f"{CONFIG} is larger than 1 MB")
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{folder}: not a readable model folder ({error})") from error
    _check_numbers(folder, config)
    version = config.get("format") if isinstance(config, dict) else None
    if version != _VERSION:
        raise ModelError(f"{folder}: model format {version} is not supported")
    out: dict[str, Any] = config
    return out


def _check_numbers(folder: Path, value: object) -> None:
    """Refuses sizes that no network has, at which building one would not end."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    too_large = isinstance(value, int) and not isinstance(value, bool) and abs(value) > _MOST
    if too_large or len(parts) > _ENTRIES:
        raise ModelError(f"{folder}: {CONFIG} asks for {str(value)[:40]}: no network has that size")
    for part in parts:
        _check_numbers(folder, part)


def weights_hash(folder: str | Path) -> str:
    """SHA-256 of the weights file, which every result records."""
    return hashlib.sha256((Path(folder) / WEIGHTS).read_bytes()).hexdigest()
