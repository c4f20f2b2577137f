"""The Lightning module that trains any model: of one network, or of two."""

from __future__ import annotations

import copy
import math
import time
import warnings
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
from sciddm.training.draws import ItemDraws, draw_times
from sciddm.training.immiscible import assigned
from sciddm.training.recipe import NoiseSpec, Optimisation, WeightingSpec
from sciddm.training.splitting import splitting_loss
from sciddm.training.stream import derived_seed, share
from sciddm.training.team import Team, TeamError
from sciddm.training.weighting import UncertaintyWeight, min_snr

Measure = Callable[[dict[str, Tensor]], Measurement]
Weight = Callable[[Tensor, Tensor], Tensor]

__all__ = ["TrainingModule", "draw_times", "training_loss"]


def training_loss(
    model: AnyModel,
    batch: dict[str, Tensor],
    noise: NoiseSpec,
    draws: ItemDraws | None = None,
    weight: Weight | None = None,
) -> Tensor:
    """The model's loss per item (B,), at random times where it has any.

    Args:
        model: what is trained.
        batch: "x0" and, as the model needs them, "y" and "cond".
        noise: the law of the times.
        draws: sources of times and noise; the global generator if not given.
        weight: (loss (B,), times (B,)) -> the loss of a denoiser that is minimised.
    """
    x0, y, cond = batch["x0"], batch.get("y"), batch.get("cond")
    if isinstance(model, LatentDiffusion):
        with torch.no_grad():
            x0, y, model = model.autoencoder.encode(x0), None, model.denoiser
    if isinstance(model, NetworkDenoiser):
        t, z = _times_and_noise(model.process, noise, x0, draws)
        loss = model.loss(x0, t, y, cond, assigned(x0, z) if noise.immiscible else z)
        return loss if weight is None else weight(loss, t)
    if isinstance(model, Autoencoder):
        return model.loss(x0)
    if isinstance(model, Segmenter):
        if cond is None:
            raise InputError("a Segmenter is trained with cond, which the data lack")
        return model.loss(x0, cond)
    if y is None:
        raise InputError(f"a {type(model).__name__} is trained with y, which the data lack")
    if isinstance(model, Predictor):
        return model.loss(x0, y)
    t, z = _times_and_noise(model.process, noise, x0, draws)
    return model.loss(x0, t, y, z)


def _times_and_noise(
    process: Process, noise: NoiseSpec, x0: Tensor, draws: ItemDraws | None
) -> tuple[Tensor, Tensor]:
    """A time and the noise of each item."""
    if draws is None:
        return draw_times(process, noise, len(x0)).to(x0.device), torch.randn_like(x0)
    return draws.times(process, noise).to(x0.device), draws.noise(x0)


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

    A predictor whose data hold no truth is trained on a held-out part of each measurement
    (``splitting``).

    A batch is (places, items): see ``SeededItems``. Where several processes train, each has a part
    of it. They have the same weights, so that each computes the same average; it has no gradients.

    Args:
        model: what is trained.
        noise: the law of its times.
        optimisation: of the recipe; its ``batch_size`` is that of all processes together.
        max_seconds: limit of ``elapsed``; None for none.
        measure: see above.
        team: the processes.
        on_start: called when the training begins.
        stop_number: asked after each step: the number of the signal that asks for a stop, or 0.
        save_due: asked after each step: whether a checkpoint is due.
        save: saves one; called by all processes.
        weighting: of noise levels in the loss that is minimised. That of validation is the model's
            own, which stays comparable.
    """

    def __init__(
        self,
        model: AnyModel,
        noise: NoiseSpec,
        optimisation: Optimisation,
        max_seconds: float | None,
        measure: Measure | None = None,
        team: Team | None = None,
        *,
        on_start: Callable[[], None] = lambda: None,
        stop_number: Callable[[], int] = lambda: 0,
        save_due: Callable[[], bool] = lambda: False,
        save: Callable[[], None] = lambda: None,
        weighting: WeightingSpec | None = None,
    ) -> None:
        super().__init__()
        self.weighting = weighting or WeightingSpec()
        self.uncertainty = UncertaintyWeight() if self.weighting.kind == "uncertainty" else None
        self.team = team or Team()
        self._on_start, self._stop_number = on_start, stop_number
        self._save_due, self._save = save_due, save
        #: Number of the signal that made the processes stop; 0 for none.
        self.stopped_by = 0
        self.validation_loss = math.nan
        self.model = model
        self.measure = measure
        self.noise = noise
        self.optimisation = optimisation
        self.max_seconds = max_seconds
        self.ema = AveragedModel(model, multi_avg_fn=self._average).requires_grad_(False)
        self._chains = self._new_chains("chain")
        self._best: dict[str, Tensor] | None = None
        self._best_loss = math.inf
        self._without_gain = 0
        self._before = 0.0
        self._started = time.monotonic()
        self._agreed = 0.0
        self._validation = [0.0, 0.0]

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
        """Seconds of training, over all runs of it; of several processes, what they agreed on."""
        return self._own_elapsed if self.team.alone else self._agreed

    @property
    def _own_elapsed(self) -> float:
        return self._before + time.monotonic() - self._started

    def on_train_start(self) -> None:
        self._on_start()
        self._started = time.monotonic()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        places, items = batch
        seed, model = self.optimisation.seed, self.model
        # What is random in a step depends on the step alone, so that a resumed training repeats it.
        torch.manual_seed(derived_seed(seed, "step", self.global_step, self.team.rank))
        if self._chains is not None:
            assert isinstance(model, NetworkDenoiser)
            assert self.measure is not None
            named = {**_as_dict(items), "place": places}
            loss = self._chains.step(model, self.measure, named).mean()
        else:
            draws = ItemDraws(seed, places.tolist(), "noise")
            loss = self._loss(model, _as_dict(items), draws, self._weight()).mean()
        # Gradients are averaged over the processes, whose parts of the batch may differ in size.
        loss = loss * (len(places) * self.team.ranks / self.optimisation.batch_size)
        self.log("loss", loss, prog_bar=True, batch_size=len(places), sync_dist=not self.team.alone)
        return loss

    def _weight(self) -> Weight | None:
        model, kind = self.model, self.weighting.kind
        if kind == "own":
            return None
        assert isinstance(model, NetworkDenoiser)
        if kind == "min-snr":
            return lambda loss, t: loss * min_snr(model, t, self.weighting.gamma)
        learned = self.uncertainty
        assert learned is not None
        return lambda loss, t: learned(loss, torch.as_tensor(model.process.sigma(t)).log())

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        # The same noise and times in every validation, so that its curve shows the weights only.
        numbers, items = batch
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(batch_idx)
            loss = self._validation_loss(_as_dict(items), numbers)
        self._validation[0] += float(loss.double().sum())
        self._validation[1] += len(loss)

    def on_validation_epoch_end(self) -> None:
        total, count = self.team.total(self._validation)
        self._validation = [0.0, 0.0]
        self.validation_loss = total / count if count else math.nan
        self.log("val_loss", self.validation_loss, prog_bar=True, sync_dist=not self.team.alone)
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

    def _validation_loss(self, batch: dict[str, Tensor], numbers: Tensor) -> Tensor:
        model, chains = self.averaged, self._new_chains("validation chain")
        if chains is None:
            return self._loss(model, batch, ItemDraws(0, numbers.tolist(), "validation"))
        assert isinstance(model, NetworkDenoiser)
        assert self.measure is not None
        return chains.through(model, self.measure, {**batch, "place": numbers})

    def _loss(
        self,
        model: AnyModel,
        batch: dict[str, Tensor],
        draws: ItemDraws,
        weight: Weight | None = None,
    ) -> Tensor:
        """The loss per item; of a predictor without a truth, that of the held-out measurement."""
        if isinstance(model, Predictor) and self.measure is not None and "x0" not in batch:
            return splitting_loss(model, batch["y"], self.measure(batch))
        return training_loss(model, batch, self.noise, draws, weight)

    def _new_chains(self, purpose: str) -> Chains | None:
        model = self.model
        if not isinstance(model, NetworkDenoiser) or not model.estimate_errors:
            return None
        seed = derived_seed(self.optimisation.seed, purpose)
        return Chains(model, lambda draws: draws.times(model.process, self.noise), seed)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.ema.update_parameters(self.model)
        # Here, not in a callback: those run before the average is updated.
        due = self.team.writes and self._save_due()
        elapsed, number, due_now = self.team.maximum(
            [self._own_elapsed, float(self._stop_number()), float(due)]
        )
        self._agreed, self.stopped_by = elapsed, int(number)
        if due_now:
            self._save()
        if self.stopped_by or (self.max_seconds is not None and elapsed >= self.max_seconds):
            self.trainer.should_stop = True

    def configure_optimizers(self) -> Any:
        o = self.optimisation
        weights = [p for p in self.model.parameters() if p.requires_grad]
        weights += [] if self.uncertainty is None else list(self.uncertainty.parameters())
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
        checkpoint["chains"] = None if self._chains is None else self._gathered(self._chains.items)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._before = self._agreed = float(checkpoint["elapsed_seconds"])
        self.validation_loss = float(checkpoint.get("validation_loss", math.nan))
        best = checkpoint.get("best")  # checkpoints of earlier versions have none
        if best is not None:
            self._best, self._best_loss = best["weights"], float(best["loss"])
            self._without_gain = int(best["without_gain"])
        if self._chains is not None:
            self._chains.items = self._part_of(checkpoint.get("chains"))
        self._started = time.monotonic()

    def check_averages(self) -> None:
        """Compares the averaged weights of all processes.

        Raises:
            TeamError: they differ, so that the processes have not trained one model.
        """
        sums = [float(value.double().sum()) for value in self.averaged.state_dict().values()]
        if any(other != sums for other in self.team.gathered(sums)):
            raise TeamError("the processes of this training ended with different weights")

    def _gathered(self, items: dict[str, Tensor] | None) -> dict[str, Tensor] | None:
        """The items on their way of all processes."""
        if self.team.alone or items is None:
            return items
        parts = self.team.gathered({name: value.cpu() for name, value in items.items()})
        return {name: torch.cat([part[name] for part in parts]) for name in items}

    def _part_of(self, items: dict[str, Tensor] | None) -> dict[str, Tensor] | None:
        """Of the items of all processes those that this one goes on with."""
        if items is None:
            return None
        if "place" not in items:
            warnings.warn(
                "a checkpoint of an earlier version: new items take the places of those on their "
                "way through the chains",
                stacklevel=2,
            )
            return None
        if self.team.alone:
            return items
        size = self.optimisation.batch_size
        part = share(size, self.team.rank, self.team.ranks)
        column = items["place"] % size
        mine = (column >= part.start) & (column < part.stop)
        return {name: value[mine] for name, value in items.items()}


def _as_dict(batch: Any) -> dict[str, Tensor]:
    return batch if isinstance(batch, dict) else {"x0": batch}
