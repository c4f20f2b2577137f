"""Tools of the core's tests: exact laws of linear samplers, distances between sample sets.

A sampler on a Gaussian prior is an affine map of its start and of every noise it draws. Run once
on a batch in which each item gets a single unit impulse, it shows that whole map, and the mean
and covariance of its result follow without any sampling error.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sciddm.process import PROCESSES, Process

F64 = torch.float64
#: What the recipes of tests share: a network that trains in a moment.
TINY_RECIPE = {
    "process": {"name": "EDM", "sigma_min": 0.01, "sigma_max": 10.0},
    "network": {
        "name": "UNet",
        "in_channels": 1,
        "out_channels": 1,
        "channels": [4, 8],
        "num_res_blocks": 1,
        "norm_num_groups": 2,
    },
    "denoiser": {"parametrization": "edm", "data_std": 1.0},
}

Run = Callable[[Tensor, "Impulses"], Tensor]


def all_processes() -> list[Process]:
    return [cls() for cls in PROCESSES.values()]


class Impulses:
    """In place of ``Streams``: the j-th number ever drawn is 1 for item ``first + j``, else 0."""

    def __init__(self, first: int) -> None:
        self.next = first

    def at(self, step: int) -> Callable[[Tensor], Tensor]:
        def randn(like: Tensor) -> Tensor:
            out = torch.zeros(like.shape, dtype=like.dtype)
            flat = out.view(len(out), -1)
            for j in range(flat.shape[1]):
                if self.next < len(out):
                    flat[self.next, j] = 1.0
                self.next += 1
            return out

        return randn


def law(run: Run, mean: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
    """Exact mean and covariance of ``run(x, noise)`` for x ~ N(mean, root root^T).

    Args:
        run: affine in x (B, n) and in the noise that it draws.
        mean: (n,).
        root: (n, m).
    """
    counter = Impulses(1)
    run(mean[None], counter)
    n = root.shape[1]
    x = mean.repeat(n + counter.next, 1)
    x[1 : n + 1] += root.T
    out = run(x, Impulses(n + 1))
    response = out[1:] - out[0]
    return out[0], response.T @ response


def sliced_w2(x: Tensor, y: Tensor, directions: int = 64) -> float:
    """Sliced Wasserstein-2 distance of two sample sets (N, n), over fixed random directions."""
    generator = torch.Generator().manual_seed(17)
    d = torch.randn(x.shape[1], directions, dtype=x.dtype, generator=generator)
    d = d / d.norm(dim=0)
    apart = (x @ d).sort(dim=0).values - (y @ d).sort(dim=0).values
    return float(apart.square().mean().sqrt())


def random_mixture(
    components: int, n: int, seed: int, spread: float = 2.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, means and covariances of a mixture with full, unequal covariances."""
    g = torch.Generator().manual_seed(seed)
    weights = torch.rand(components, dtype=F64, generator=g) + 0.3
    means = spread * torch.randn(components, n, dtype=F64, generator=g)
    roots = 0.35 * torch.randn(components, n, n, dtype=F64, generator=g)
    eye = torch.eye(n, dtype=F64)
    return weights / weights.sum(), means, roots @ roots.mT / n + 0.02 * eye


def randn(*shape: int, seed: int = 0, dtype: torch.dtype = F64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))
