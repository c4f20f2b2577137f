"""The Lightning module that trains any model: of one network, or of two."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, cast

import lightning
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from sciddm.autoencoder import Autoencoder, LatentDiffusion
from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import InputError
from sciddm.guidance import informed_loss
from sciddm.models import AnyModel
from sciddm.physics import Measurement
from sciddm.predictor import Predictor
from sciddm.process import Process
from sciddm.segmenter import Segmenter
from sciddm.training.recipe import NoiseSpec, Optimisation

Measure = Callable[[dict[str, Tensor]], Measurement]

# How often a step trains the first, second and third evaluation of an informed denoiser. The first
# is what all others stand on; a later one costs an evaluation more.
_ROUNDS = (0.45, 0.35, 0.2)

__all__ = ["TrainingModule", "draw_times", "training_loss"]


def draw_times(process: Process, noise: NoiseSpec, n: int) -> Tensor:
    """n training times (float64): ln sigma normal and mapped to t, or t uniform; some at t_max."""
    if noise.law == "uniform":
        u = torch.rand(n, dtype=torch.float64)
        times = process.t_min + u * (process.t_max - process.t_min)
    else:
        levels = (torch.randn(n, dtype=torch.float64) * noise.std + noise.mean).exp()
        times = process.times(levels).clamp(process.t_min, process.t_max)
    if noise.start:
        times[torch.rand(n) < noise.start] = process.t_max
    return times


def training_loss(
    model: AnyModel, batch: dict[str, Tensor], noise: NoiseSpec, measure: Measure | None = None
) -> Tensor:
    """The model's loss per item (B,), at random times where it has any.

    Args:
        model: what is trained.
        batch: "x0" and, as the model needs them, "y" and "cond", or "start", an estimate that an
            informed denoiser begins with.
        noise: the law of the times.
        measure: the batch's measurement, for a denoiser that is to see it (``Informed``).
    """
    x0, y = batch["x0"], batch.get("y")
    if isinstance(model, NetworkDenoiser):
        t = draw_times(model.process, noise, x0.shape[0]).to(x0.device)
        if measure is not None:
            rounds = int(torch.multinomial(torch.tensor(_ROUNDS), 1))
            return informed_loss(model, measure(batch), x0, t, rounds, batch.get("start"))
        return model.loss(x0, t, y, batch.get("cond"))
    if isinstance(model, LatentDiffusion):
        t = draw_times(model.process, noise, x0.shape[0]).to(x0.device)
        return model.loss(x0, t, batch.get("cond"))
    if isinstance(model, Autoencoder):
        return model.loss(x0)
    if isinstance(model, Segmenter):
        if "cond" not in batch:
            raise InputError("a Segmenter is trained with cond, which the data lack")
        return model.loss(x0, batch["cond"])
    if y is None:
        raise InputError(f"a {type(model).__name__} is trained with y, which the data lack")
    if isinstance(model, Predictor):
        return model.loss(x0, y)
    return model.loss(x0, draw_times(model.process, noise, x0.shape[0]).to(x0.device), y)


class TrainingModule(lightning.LightningModule):
    """Minimises ``training_loss``; keeps an exponential moving average (EMA) of the weights.

    The EMA's decay warms up as min(decay, (1 + n) / (10 + n)), so that short trainings are not
    dominated by the initial weights. The learning rate follows a cosine to zero over the larger
    of the two elapsed fractions, of steps and of time, so that a training stopped by its time
    limit has also finished its decay. Elapsed time is stored in the checkpoint.
    """

    def __init__(
        self,
        model: AnyModel,
        noise: NoiseSpec,
        optimisation: Optimisation,
        max_seconds: float | None,
        measure: Measure | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.measure = measure
        self.noise = noise
        self.optimisation = optimisation
        self.max_seconds = max_seconds
        self.ema = AveragedModel(model, multi_avg_fn=self._average)
        self._before = 0.0
        self._started = time.monotonic()

    @torch.no_grad()
    def _average(self, averages: Any, currents: Any, count: Any) -> None:
        n = float(count)
        decay = min(self.optimisation.ema_decay, (1 + n) / (10 + n))
        torch._foreach_lerp_(averages, currents, 1 - decay)

    @property
    def averaged(self) -> AnyModel:
        """The model with the averaged weights."""
        return cast(AnyModel, self.ema.module)

    @property
    def elapsed(self) -> float:
        """Seconds of training, over all runs of it."""
        return self._before + time.monotonic() - self._started

    def on_train_start(self) -> None:
        self._started = time.monotonic()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self._loss(self.model, batch).mean()
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        # The same noise and times in every validation, so that its curve shows the weights only.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(batch_idx)
            loss = self._loss(self.averaged, batch)
        self.log("val_loss", loss.mean(), prog_bar=True, batch_size=len(loss))

    def _loss(self, model: AnyModel, batch: Any) -> Tensor:
        batch = batch if isinstance(batch, dict) else {"x0": batch}
        return training_loss(model, batch, self.noise, self.measure)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.ema.update_parameters(self.model)
        if self.max_seconds is not None and self.elapsed >= self.max_seconds:
            self.trainer.should_stop = True

    def configure_optimizers(self) -> Any:
        o = self.optimisation
        weights = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=o.lr, weight_decay=o.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._lr_factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _lr_factor(self, step: int) -> float:
        done = step / self.optimisation.steps
        if self.max_seconds is not None:
            done = max(done, self.elapsed / self.max_seconds)
        warm = min(1.0, (step + 1) / max(1, self.optimisation.warmup_steps))
        return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["elapsed_seconds"] = self.elapsed

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._before = float(checkpoint["elapsed_seconds"])
        self._started = time.monotonic()
