"""The Lightning module that trains any denoiser."""

from __future__ import annotations

import math
import time
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from sciddm.denoiser import NetworkDenoiser
from sciddm.training.recipe import NoiseSpec, Optimisation

__all__ = ["DenoiserModule", "draw_times"]


def draw_times(denoiser: NetworkDenoiser, noise: NoiseSpec, n: int) -> Tensor:
    """n training times (float64): ln sigma normal and mapped to t, or t uniform."""
    process = denoiser.process
    if noise.law == "uniform":
        u = torch.rand(n, dtype=torch.float64)
        return process.t_min + u * (process.t_max - process.t_min)
    levels = (torch.randn(n, dtype=torch.float64) * noise.std + noise.mean).exp()
    return process.times(levels).clamp(process.t_min, process.t_max)


class DenoiserModule(lightning.LightningModule):
    """Minimises ``denoiser.loss`` at random times; keeps an exponential moving average (EMA).

    The EMA's decay warms up as min(decay, (1 + n) / (10 + n)), so that short trainings are not
    dominated by the initial weights. The learning rate follows a cosine to zero over the larger
    of the two elapsed fractions, of steps and of time, so that a training stopped by its time
    limit has also finished its decay. Elapsed time is stored in the checkpoint.
    """

    def __init__(
        self,
        denoiser: NetworkDenoiser,
        noise: NoiseSpec,
        optimisation: Optimisation,
        max_seconds: float | None,
    ) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.noise = noise
        self.optimisation = optimisation
        self.max_seconds = max_seconds
        self.ema = AveragedModel(denoiser.network, multi_avg_fn=self._average)
        self._before = 0.0
        self._started = time.monotonic()

    @torch.no_grad()
    def _average(self, averages: Any, currents: Any, count: Any) -> None:
        n = float(count)
        decay = min(self.optimisation.ema_decay, (1 + n) / (10 + n))
        torch._foreach_lerp_(averages, currents, 1 - decay)

    @property
    def elapsed(self) -> float:
        """Seconds of training, over all runs of it."""
        return self._before + time.monotonic() - self._started

    def on_train_start(self) -> None:
        self._started = time.monotonic()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self._loss(batch).mean()
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        # The same noise and times in every validation, so that its curve shows the network only.
        network, self.denoiser.network = self.denoiser.network, self.ema.module
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(batch_idx)
                loss = self._loss(batch)
        finally:
            self.denoiser.network = network
        self.log("val_loss", loss.mean(), prog_bar=True, batch_size=len(loss))

    def _loss(self, batch: Any) -> Tensor:
        batch = batch if isinstance(batch, dict) else {"x0": batch}
        x0 = batch["x0"]
        t = draw_times(self.denoiser, self.noise, x0.shape[0]).to(x0.device)
        return self.denoiser.loss(x0, t, batch.get("y"), batch.get("cond"))

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.ema.update_parameters(self.denoiser.network)
        if self.max_seconds is not None and self.elapsed >= self.max_seconds:
            self.trainer.should_stop = True

    def configure_optimizers(self) -> Any:
        o = self.optimisation
        optimizer = torch.optim.AdamW(
            self.denoiser.network.parameters(), lr=o.lr, weight_decay=o.weight_decay
        )
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
