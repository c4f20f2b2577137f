"""The Lightning module that trains any model: of one network, or of two."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from typing import Any, cast

import lightning
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import InputError
from sciddm.models import AnyModel, network_of
from sciddm.physics import Measurement
from sciddm.priors.autoencoder import Autoencoder, LatentDiffusion
from sciddm.priors.predictor import Predictor
from sciddm.priors.segmenter import Segmenter
from sciddm.process import Process
from sciddm.training.chains import Chains
from sciddm.training.recipe import NoiseSpec, Optimisation
from sciddm.training.stream import derived_seed

Measure = Callable[[dict[str, Tensor]], Measurement]

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


def training_loss(model: AnyModel, batch: dict[str, Tensor], noise: NoiseSpec) -> Tensor:
    """The model's loss per item (B,), at random times where it has any.

    Args:
        model: what is trained.
        batch: "x0" and, as the model needs them, "y" and "cond".
        noise: the law of the times.
    """
    x0, y = batch["x0"], batch.get("y")
    if isinstance(model, NetworkDenoiser):
        t = draw_times(model.process, noise, x0.shape[0]).to(x0.device)
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

    With ``patience`` the training ends when so many validations in turn gave no gain, and
    ``finished`` is the average at the best of them.

    A denoiser that is shown its own estimates is trained in ``Chains`` instead, on batches that
    ``measure`` makes measurements of.
    """

    def __init__(
        self,
        model: AnyModel,
        noise: NoiseSpec,
        optimisation: Optimisation,
        max_seconds: float | None,
        measure: Measure | None = None,
        on_start: Callable[[], None] = lambda: None,
        after_step: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__()
        self._on_start, self._after_step = on_start, after_step
        self.validation_loss = math.nan
        self.model = model
        self.measure = measure
        self.noise = noise
        self.optimisation = optimisation
        self.max_seconds = max_seconds
        self.ema = AveragedModel(model, multi_avg_fn=self._average)
        self._chains = self._new_chains()
        self._best: dict[str, Tensor] | None = None
        self._best_loss = math.inf
        self._without_gain = 0
        self._before = 0.0
        self._started = time.monotonic()

    @torch.no_grad()
    def _average(self, averages: Any, currents: Any, count: Any) -> None:
        n = float(count)
        decay = min(self.optimisation.ema_decay, (1 + n) / (10 + n))
        get_ema_multi_avg_fn(decay)(averages, currents, count)

    @property
    def averaged(self) -> AnyModel:
        """The model with the averaged weights."""
        return cast(AnyModel, self.ema.module)

    @property
    def finished(self) -> AnyModel:
        """The model that the training ends with: the average, with ``patience`` at its best."""
        if self._best is None:
            return self.averaged
        best = copy.deepcopy(self.averaged)
        network_of(best).load_state_dict(self._best)
        return best

    @property
    def finished_loss(self) -> float:
        """The validation loss of ``finished``; NaN without a validation."""
        return self.validation_loss if self._best is None else self._best_loss

    @property
    def elapsed(self) -> float:
        """Seconds of training, over all runs of it."""
        return self._before + time.monotonic() - self._started

    def on_train_start(self) -> None:
        self._on_start()
        self._started = time.monotonic()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        # What is random in a step depends on the step alone, so that a resumed training repeats it.
        torch.manual_seed(
            derived_seed(self.optimisation.seed, "step", self.global_step, self.global_rank)
        )
        model = self.model
        if self._chains is not None:
            assert isinstance(model, NetworkDenoiser)
            assert self.measure is not None
            loss = self._chains.step(model, self.measure, batch).mean()
        else:
            loss = training_loss(model, _as_dict(batch), self.noise).mean()
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        # The same noise and times in every validation, so that its curve shows the weights only.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(batch_idx)
            loss = self._validation_loss(_as_dict(batch))
        self.log("val_loss", loss.mean(), prog_bar=True, batch_size=len(loss))

    def on_validation_epoch_end(self) -> None:
        self.validation_loss = float(self.trainer.callback_metrics.get("val_loss", math.nan))
        if self.optimisation.patience is not None:
            self._compare(self.optimisation.patience)

    def _compare(self, patience: int) -> None:
        """Keeps the averaged weights where their validation is the best so far."""
        if self.validation_loss < self._best_loss:
            state = network_of(self.averaged).state_dict()
            self._best = {name: value.detach().clone() for name, value in state.items()}
            self._best_loss, self._without_gain = self.validation_loss, 0
            return
        self._without_gain += 1
        if self._without_gain >= patience:
            self.trainer.should_stop = True

    def _validation_loss(self, batch: dict[str, Tensor]) -> Tensor:
        model, chains = self.averaged, self._new_chains()
        if chains is None:
            return training_loss(model, batch, self.noise)
        assert isinstance(model, NetworkDenoiser)
        assert self.measure is not None
        return chains.through(model, self.measure, batch)

    def _new_chains(self) -> Chains | None:
        model = self.model
        if not isinstance(model, NetworkDenoiser) or not model.estimate_errors:
            return None
        return Chains(model, lambda n: draw_times(model.process, self.noise, n))

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.ema.update_parameters(self.model)
        if self.max_seconds is not None and self.elapsed >= self.max_seconds:
            self.trainer.should_stop = True
        # Here, not in a callback: those run before the average is updated.
        if not self._after_step():
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
        checkpoint["validation_loss"] = self.validation_loss
        checkpoint["best"] = {
            "weights": self._best,
            "loss": self._best_loss,
            "without_gain": self._without_gain,
        }
        checkpoint["chains"] = None if self._chains is None else self._chains.items

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._before = float(checkpoint["elapsed_seconds"])
        self.validation_loss = float(checkpoint.get("validation_loss", math.nan))
        best = checkpoint.get("best")  # checkpoints of earlier versions have none
        if best is not None:
            self._best, self._best_loss = best["weights"], float(best["loss"])
            self._without_gain = int(best["without_gain"])
        if self._chains is not None:
            self._chains.items = checkpoint.get("chains")
        self._started = time.monotonic()


def _as_dict(batch: Any) -> dict[str, Tensor]:
    return batch if isinstance(batch, dict) else {"x0": batch}
