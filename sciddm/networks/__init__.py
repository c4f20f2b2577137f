"""Networks: own code for inference, MONAI's where it is strong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sciddm.networks.build import NETWORKS, build_network, network_class

if TYPE_CHECKING:
    from sciddm.networks.causal_dual_path import CausalDualPath
    from sciddm.networks.drunet import DRUNet
    from sciddm.networks.dual_path import DualPathNetwork
    from sciddm.networks.local_unet import LocalUNet
    from sciddm.networks.ncsnpp import NCSNpp
    from sciddm.networks.patch_autoencoder import PatchAutoencoder
    from sciddm.networks.plain_unet import PlainUNet
    from sciddm.networks.spectrogram import SpectrogramUNet
    from sciddm.networks.unet import UNet
    from sciddm.networks.unet_2d_model import LeveledUNet2D

__all__ = [
    "CausalDualPath",
    "DRUNet",
    "DualPathNetwork",
    "LeveledUNet2D",
    "LocalUNet",
    "NCSNpp",
    "PatchAutoencoder",
    "PlainUNet",
    "SpectrogramUNet",
    "UNet",
    "build_network",
]


def __getattr__(name: str) -> Any:
    if name in NETWORKS:
        return network_class(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
