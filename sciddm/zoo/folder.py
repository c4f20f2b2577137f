"""Model folders: ``config.json``, ``model.safetensors`` and ``card.json``.

The configuration holds everything that makes a denoiser from its weights, so a folder needs
nothing else. Weights are stored in fp16 and identified by the SHA-256 of the file.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import ModelError
from sciddm.networks import build_network
from sciddm.process import process_from_config

__all__ = ["CARD", "CONFIG", "WEIGHTS", "load_model", "save_model", "weights_hash"]

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "card.json"
_VERSION = 1


def save_model(denoiser: NetworkDenoiser, folder: str | Path, card: dict[str, Any]) -> None:
    """Writes a model folder; existing files in it are replaced."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    network: Any = denoiser.network
    config = {
        "format": _VERSION,
        "process": denoiser.process.config(),
        "network": {"name": type(network).__name__, **network.config},
        "denoiser": {
            "parametrization": denoiser.parametrization,
            "data_std": denoiser.data_std,
            "scale": denoiser.scale,
            "center": denoiser.center,
            "complex_data": denoiser.complex_data,
        },
    }
    tensors = {
        k: (v.half() if v.is_floating_point() else v).contiguous()
        for k, v in network.state_dict().items()
    }
    save_file(tensors, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    card = {**card, "weights_sha256": weights_hash(folder)}
    (folder / CARD).write_text(json.dumps(card, indent=2) + "\n")


def load_model(folder: str | Path) -> NetworkDenoiser:
    """The denoiser of a model folder: frozen, in evaluation mode, float32 weights.

    Raises:
        ModelError: a file is missing or damaged, or weights and configuration disagree.
    """
    folder = Path(folder)
    try:
        config = json.loads((folder / CONFIG).read_text())
        state = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{folder}: not a readable model folder ({error})") from error
    version = config.get("format") if isinstance(config, dict) else None
    if version != _VERSION:
        raise ModelError(f"{folder}: model format {version} is not supported")
    try:
        network = build_network(config["network"])
        network.load_state_dict(state)
        denoiser = NetworkDenoiser(
            network,
            process_from_config(config["process"]),
            precision="auto",
            **config["denoiser"],
        )
    except KeyError as error:
        raise ModelError(f"{folder}: {CONFIG} has no key {error}") from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{folder}: {' '.join(str(error).split())}") from error
    return denoiser.float().eval().requires_grad_(False)


def weights_hash(folder: str | Path) -> str:
    """SHA-256 of the weights file, which every result records."""
    return hashlib.sha256((Path(folder) / WEIGHTS).read_bytes()).hexdigest()


def is_model_folder(path: str | Path) -> bool:
    """Whether the folder holds a model."""
    return all((Path(path) / name).is_file() for name in (CONFIG, WEIGHTS))
