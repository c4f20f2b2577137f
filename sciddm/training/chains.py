"""Training of a denoiser that is shown its own estimates, as chains of sampling show them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from sciddm.denoiser import NetworkDenoiser
from sciddm.guidance import Informed
from sciddm.physics import Measurement
from sciddm.process import Process, expand
from sciddm.training.draws import ItemDraws

__all__ = ["Chains", "chain_loss"]

# Evaluations of each item at noise levels that say something.
_LATER = 2
# Natural logarithm of the largest factor between two noise levels of a chain.
_LONGEST_STEP = 1.6
# Error below which its square counts; data are near 1.
_ROUND = 3e-3

Batch = dict[str, Tensor]


def chain_loss(
    denoiser: NetworkDenoiser,
    measurement: Measurement,
    x0: Tensor,
    x_t: Tensor,
    t: Tensor,
    estimate: Tensor,
    error: Tensor,
) -> tuple[Tensor, Tensor]:
    """The error of one evaluation of ``Informed``, data consistency included.

        mean over the pixels of (|c' - x0|^2 + 0.003^2)^(1/2)

    with c' the estimate that the evaluation finds. Its minimiser is the median of x0, which for a
    posterior as symmetric as most are is its mean. The squared error is that of the few pixels
    with the most of it; a faint pattern in what is dark, which is as much of the image, it leaves
    for very long, and items measured badly decide alone.

    Args:
        denoiser: the network.
        measurement: of x0.
        x0: truth (B, C, ...), in data units.
        x_t, t: state of each item and its time (B,).
        estimate: c, which is not differentiated.
        error: what its error is taken for (B,).

    Returns:
        c', differentiable, and the loss per item (B,).
    """
    # ``Informed`` with one error for each item of the batch.
    found = Informed(denoiser, measurement, [error], estimate)(x_t, t)
    off = found - x0
    square = off.real.square() + off.imag.square() if off.is_complex() else off.square()
    return found, (square + _ROUND**2).sqrt().flatten(1).mean(1)


class Chains:
    """Items on their way through the evaluations of a chain, each at another one.

    The first evaluations, one for each of the denoiser's ``estimate_errors``, are at t_max, the
    others at falling noise levels. In every step new items enter with the estimate they begin
    with, all are evaluated once, and each goes on with what was found: every evaluation is
    differentiated, and none is made only to see what the next one would be shown. Estimates are by
    as many steps older than the weights as their item has come.

    What is random depends on the seed, on the item's ``place`` (B,) and on how far it has come.

    Args:
        denoiser: what is trained; ``estimate_errors`` are its own.
        draw: times of the first of the later evaluations, one an item.
        seed: of the training.
    """

    def __init__(
        self, denoiser: NetworkDenoiser, draw: Callable[[ItemDraws], Tensor], seed: int = 0
    ) -> None:
        self.process = denoiser.process
        self.errors = torch.tensor(denoiser.estimate_errors, dtype=torch.float64)
        self.evaluations = len(self.errors) + _LATER
        self._draw, self.seed = draw, seed
        #: Those on their way, by name; what a checkpoint keeps.
        self.items: Batch | None = None

    def step(
        self, denoiser: NetworkDenoiser, measure: Callable[[Batch], Measurement], batch: Batch
    ) -> Tensor:
        """The loss per item of all on the way, (evaluations * B,), and moves them on.

        Args:
            denoiser: the network with its present weights.
            measure: the measurement of a batch.
            batch: new items: x0, ``start``, ``place`` and whatever ``measure`` asks for.
        """
        items = self._enter(batch)
        error = self.errors.to(items["t"].device)[items["done"].clamp(max=len(self.errors) - 1)]
        found, loss = chain_loss(
            denoiser,
            measure(items),
            items["x0"],
            items["x"],
            items["t"],
            items["estimate"],
            error,
        )
        self._move_on(items, found.detach())
        return loss

    def through(
        self, denoiser: NetworkDenoiser, measure: Callable[[Batch], Measurement], batch: Batch
    ) -> Tensor:
        """The mean loss per item (B,) of all evaluations of the batch's own chains."""
        self.items = self._begun(batch)
        losses = []
        for _ in range(self.evaluations):
            assert self.items is not None
            nothing = {k: v[:0] for k, v in batch.items()}
            losses.append(self.step(denoiser, measure, nothing))
        return torch.stack(losses).mean(0)

    def _enter(self, batch: Batch) -> Batch:
        """All items of this step, the new ones last."""
        if self.items is None:
            # Batches of one size from the first step on: the first items stand at every place.
            places = [self._begun(batch) for _ in range(self.evaluations)]
            for place, items in enumerate(places):
                for _ in range(place):
                    self._next_level(items)
            return {k: torch.cat([items[k] for items in places]) for k in places[0]}
        new = self._begun(batch)
        # Those of a checkpoint lie in the processor's memory.
        return {k: torch.cat([v.to(new[k].device), new[k]]) for k, v in self.items.items()}

    def _begun(self, batch: Batch) -> Batch:
        x0 = batch["x0"]
        t = torch.full((len(x0),), self.process.t_max, dtype=torch.float64, device=x0.device)
        draws = self._draws(batch["place"].tolist(), [0] * len(x0))
        x = self.process.add_noise(x0, t, None, draws.noise(x0))
        done = torch.zeros(len(x0), dtype=torch.long, device=x0.device)
        return {**batch, "estimate": batch["start"], "x": x, "t": t, "done": done}

    def _move_on(self, items: Batch, found: Tensor) -> None:
        items["estimate"] = found
        self._next_level(items)
        left = items["done"] < self.evaluations
        self.items = {k: v[left] for k, v in items.items()}

    def _next_level(self, items: Batch) -> None:
        """The state of each item that its next evaluation is of."""
        items["done"] = items["done"] + 1
        process, t, later = self.process, items["t"], items["done"] - len(self.errors)
        draws = self._draws(items["place"].tolist(), items["done"].tolist())
        shorter = (-draws.uniform() * _LONGEST_STEP).exp().to(t)
        levels = self._draw(draws).to(t)
        falling = process.times(process.sigma(t) * shorter).clamp(min=process.t_min)
        new = torch.where(later == 0, torch.minimum(levels, t), torch.where(later > 0, falling, t))
        items["x"] = _less_noise(process, items["x0"], items["x"], t, new, draws)
        items["t"] = new

    def _draws(self, places: Iterable[int], done: Iterable[int]) -> ItemDraws:
        """Numbers of one round, which an item is in once."""
        rounds = [f"{count}/{place}" for place, count in zip(places, done, strict=True)]
        return ItemDraws(self.seed, rounds, "chain")


def _less_noise(
    process: Process, x0: Tensor, x: Tensor, t: Tensor, earlier: Tensor, draws: ItemDraws
) -> Tensor:
    """A draw of the state at an ``earlier`` time (B,), given that at ``t`` and the image.

    With w = x / a: w' = x0 + q (w - x0) + sigma' sqrt(1 - q) z, q = (sigma' / sigma)^2.
    """
    a, _, s = process(t)
    a_then, _, s_then = process(earlier)
    q = (s_then / a_then / (s / a)) ** 2
    added = s_then / a_then * (1 - q).clamp(min=0).sqrt()
    w = x0 + expand(q, x0) * (x / expand(a, x) - x0) + expand(added, x0) * draws.noise(x0)
    return expand(a_then, x0) * w
