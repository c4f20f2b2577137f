"""The files of a model folder."""

from __future__ import annotations

from pathlib import Path

__all__ = ["CARD", "CONFIG", "STATISTICS", "WEIGHTS", "is_model_folder"]

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "card.json"
STATISTICS = "solver.safetensors"


def is_model_folder(path: str | Path) -> bool:
    """Whether the folder holds a model."""
    return all((Path(path) / name).is_file() for name in (CONFIG, WEIGHTS))
