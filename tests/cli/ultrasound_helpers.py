"""Priors and scans to dehaze in tests."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser, NetworkDenoiser
from sciddm.ledger import record
from sciddm.networks import build_network
from sciddm.process import EDM, Process, process_from_config
from sciddm.zoo import save_model

NETWORK = {
    "name": "LocalUNet",
    "in_channels": 1,
    "out_channels": 1,
    "channels": [8, 8],
    "blocks": [1, 1],
    "patch": 2,
}


class White(Denoiser):
    """The exact denoiser of white Gaussian noise, N(0, d^2): x / (1 + s^2 / d^2)."""

    def __init__(self, data_std: float, process: Process | None = None) -> None:
        super().__init__()
        self.process = process or EDM(0.005, 5.0)
        self.data_std = data_std

    def forward(self, x_t: Tensor, t, y=None, cond=None) -> Tensor:
        record(nfe=x_t.shape[0])
        s = self.process(t)[2]
        return x_t * self.data_std**2 / (self.data_std**2 + s**2)


def save_pair(folder: Path, data: str = "rf") -> Path:
    """Model folders `tissue` and `haze` with untrained networks of a few channels."""
    process = process_from_config({"name": "EDM", "sigma_min": 0.005, "sigma_max": 5.0})
    for part, std in (("tissue", 0.35), ("haze", 0.3)):
        torch.manual_seed(0)
        denoiser = NetworkDenoiser(build_network(NETWORK), process, data_std=std)
        card = {"name": f"tiny-{part}"}
        save_model(
            denoiser,
            folder / part,
            card=card,
            representation={"kind": f"us-{part}", "data": data, "mu": 255.0},
        )
    return folder
