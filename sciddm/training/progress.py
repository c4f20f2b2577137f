"""How far a training is, in one line: steps, losses, and the time until it ends."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from sciddm.training.module import TrainingModule

__all__ = ["TrainingProgress", "quiet_lightning", "remaining_seconds"]


def remaining_seconds(
    step: int, steps: int, first: int, elapsed: float, before: float, limit: float | None
) -> float | None:
    """Seconds until the last step, or until the time that the training may take.

    Args:
        step: how many steps are done.
        steps: how many there are at most.
        first: steps of earlier runs.
        elapsed, before: seconds of all runs, and of earlier ones.
        limit: seconds of all runs at most; None for no limit.

    Returns:
        The lesser of both; None before there is anything to tell from.
    """
    own = step - first
    left = [] if limit is None else [limit - elapsed]
    if own > 0:
        left.append((steps - step) * (elapsed - before) / own)
    return max(0.0, min(left)) if left else None


class TrainingProgress(ProgressBar):
    """A line that tells steps and losses; a finished one stays."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._first, self._before = 0, 0.0

    def __getstate__(self) -> dict[str, Any]:
        """A copy of the trainer, as averaging makes one, has no line on the terminal."""
        return {**self.__dict__, "_bar": None, "_task": None}

    def disable(self) -> None:
        """Lightning does it in all processes but one."""
        self._close()
        self._off = True

    def enable(self) -> None:
        """See ``disable``."""
        self._off = False

    _off = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._off or not isinstance(pl_module, TrainingModule):
            return
        self._first, self._before = trainer.global_step, pl_module.elapsed
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), transient=False
        )
        self._task = self._bar.add_task("training", total=1.0)
        self._bar.start()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if self._bar is None or self._task is None or not isinstance(pl_module, TrainingModule):
            return
        step, steps, limit = trainer.global_step, trainer.max_steps, pl_module.max_seconds
        elapsed = pl_module.elapsed
        left = remaining_seconds(step, steps, self._first, elapsed, self._before, limit)
        figures = trainer.callback_metrics
        losses = [
            f"{words} {float(figures[name]):.4g}"
            for name, words in (("loss", "loss"), ("val_loss", "validation"))
            if name in figures
        ]
        end = "" if left is None else f"{_clock(left)} left"
        done = step / steps if limit is None else max(step / steps, elapsed / limit)
        words = ", ".join([f"step {step}", *losses, *([end] if end else [])])
        self._bar.update(self._task, completed=min(1.0, done), description=words)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Without what Lightning says of devices and advertises, and what torch says of Lightning."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # A function of torch that Lightning's own code calls by its old name.
            warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)`")
            # The folder holds the claim and the checkpoints.
            warnings.filterwarnings("ignore", "Experiment logs directory")
            yield
    finally:
        log.setLevel(level)


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
