"""What Lightning writes while it trains, so that a disk that refuses is one sentence."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO

from sciddm.storage import refusals_told

__all__ = ["PlainCheckpoints", "TrainingLog"]


class PlainCheckpoints(TorchCheckpointIO):
    """Makes a checkpoint in memory, as Lightning does, and writes it to its path.

    Lightning writes it into the system's temporary folder first, where a kill leaves it. torch
    names what the disk refuses in words of its own.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, *_: Any, **__: Any) -> None:
        """Writes the checkpoint; `Checkpoints` flushes it and gives it its name."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        Path(path).write_bytes(content.getbuffer())


class TrainingLog(CSVLogger):
    """``metrics.csv`` in the run's folder.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._place = folder / "metrics.csv"
        super().__init__(folder, name="", version="")

    def log_metrics(self, *args: Any, **kwargs: Any) -> None:
        """As of any logger."""
        with refusals_told(self._place):
            super().log_metrics(*args, **kwargs)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """As of any logger."""
        with refusals_told(self._place):
            super().log_hyperparams(*args, **kwargs)

    def save(self) -> None:
        """As of any logger."""
        with refusals_told(self._place):
            super().save()
