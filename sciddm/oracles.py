"""Priors whose denoiser and posterior are known exactly, for tests and for teaching.

Vectors x0 (B, n), float64. With u = x_t - b y and a Gaussian component N(m, S)::

    E[x0 | u] = m + K (u - a m),   K = a S (a^2 S + s^2 I)^-1
    Cov[x0 | u] = (I - a K) S

and for a measurement y = H x0 + n, Cov n = R, component k of a mixture becomes::

    P_k = (S_k^-1 + H^T R^-1 H)^-1,  m_k = P_k (S_k^-1 mu_k + H^T R^-1 y),
    w_k' ~ w_k N(y; H mu_k, H S_k H^T + R)
"""

from __future__ import annotations

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.ledger import record
from sciddm.process import Process, Scalar

__all__ = ["GaussianDenoiser", "MixtureDenoiser"]


class MixtureDenoiser(Denoiser):
    """The exact denoiser of a Gaussian mixture.

    Args:
        process: any process.
        weights: (K,), summing to 1.
        means: (K, n).
        covariances: (K, n, n), positive definite.
    """

    def __init__(
        self, process: Process, weights: Tensor, means: Tensor, covariances: Tensor
    ) -> None:
        super().__init__()
        self.process = process
        self.weights, self.means, self.covariances = weights, means, covariances
        _, cov = self.moments()
        self.data_std = float(cov.diagonal().mean() ** 0.5)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean (n,) and covariance (n, n) of the prior."""
        mean = self.weights @ self.means
        apart = self.means - mean
        spread = torch.einsum("k,ki,kj->ij", self.weights, apart, apart)
        return mean, torch.einsum("k,kij->ij", self.weights, self.covariances) + spread

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        record(nfe=x_t.shape[0])
        a, b, s = self.process(t)
        if not isinstance(a, Tensor) and a == 0:  # nothing of x0 is left, as at a bridge's end
            return self.moments()[0].expand_as(x_t)
        u = x_t - self.process.shift(b, y)
        # One time for all items, or one per item: (B, K, n, n) or (K, n, n).
        level = torch.as_tensor(a, dtype=u.dtype)[..., None, None]
        std = torch.as_tensor(s, dtype=u.dtype)
        if isinstance(a, Tensor) and a.ndim == 1:
            std = std[..., None, None]
        noise = std.square()[..., None] * torch.eye(u.shape[-1], dtype=u.dtype)
        total = level[..., None] ** 2 * self.covariances + noise
        apart = u[:, None] - level * self.means
        solved = torch.linalg.solve(total, apart[..., None])[..., 0]
        logits = self.weights.log() - 0.5 * (apart * solved).sum(-1) - 0.5 * torch.logdet(total)
        component = self.means + level * torch.einsum("kij,bkj->bki", self.covariances, solved)
        return torch.einsum("bk,bki->bi", logits.softmax(-1), component)

    def posterior(self, y: Tensor, H: Tensor, R: Tensor) -> MixtureDenoiser:
        """The exact posterior, again a mixture, given y = H x0 + n with Cov n = R.

        Args:
            y: data (m,).
            H: (m, n).
            R: (m, m).
        """
        precision = torch.linalg.inv(self.covariances)
        weight = H.T @ torch.linalg.inv(R)
        cov = torch.linalg.inv(precision + weight @ H)
        mean = torch.einsum(
            "kij,kj->ki", cov, torch.einsum("kij,kj->ki", precision, self.means) + weight @ y
        )
        predictive = torch.distributions.MultivariateNormal(
            self.means @ H.T, H @ self.covariances @ H.T + R
        )
        weights = (self.weights.log() + predictive.log_prob(y)).softmax(-1)
        return MixtureDenoiser(self.process, weights, mean, cov)

    def log_evidence(self, y: Tensor, H: Tensor, R: Tensor) -> Tensor:
        """log p(y) = log sum_k w_k N(y; H mu_k, H S_k H^T + R), in nats.

        Args:
            y: data (m,) or (B, m).
            H: (m, n).
            R: (m, m).

        Returns:
            () or (B,).
        """
        predictive = torch.distributions.MultivariateNormal(
            self.means @ H.T, H @ self.covariances @ H.T + R
        )
        out: Tensor = (self.weights.log() + predictive.log_prob(y[..., None, :])).logsumexp(-1)
        return out

    def log_density(self, x0: Tensor) -> Tensor:
        """log p(x0) of the prior, (B,) for (B, n), in nats."""
        components = torch.distributions.MultivariateNormal(self.means, self.covariances)
        out: Tensor = (self.weights.log() + components.log_prob(x0[..., None, :])).logsumexp(-1)
        return out

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n exact draws (n, dim)."""
        k = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        z = torch.randn(n, self.means.shape[1], dtype=self.means.dtype, generator=generator)
        root = torch.linalg.cholesky(self.covariances)
        return self.means[k] + torch.einsum("bij,bj->bi", root[k], z)


class GaussianDenoiser(MixtureDenoiser):
    """The exact denoiser of N(mean, covariance): a mixture of one."""

    def __init__(self, process: Process, mean: Tensor, covariance: Tensor) -> None:
        super().__init__(process, torch.ones(1, dtype=mean.dtype), mean[None], covariance[None])
