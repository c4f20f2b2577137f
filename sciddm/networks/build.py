"""A network from its configuration, as recipes and model folders store it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from sciddm.networks.causal_dual_path import CausalDualPath
from sciddm.networks.dual_path import DualPathNetwork
from sciddm.networks.local_unet import LocalUNet
from sciddm.networks.ncsnpp import NCSNpp
from sciddm.networks.patch_autoencoder import PatchAutoencoder
from sciddm.networks.plain_unet import PlainUNet
from sciddm.networks.spectrogram import SpectrogramUNet
from sciddm.networks.unet import UNet

__all__ = ["NETWORKS", "build_network"]

NETWORKS: dict[str, type[nn.Module]] = {
    cls.__name__: cls
    for cls in (
        UNet,
        LocalUNet,
        SpectrogramUNet,
        PlainUNet,
        NCSNpp,
        PatchAutoencoder,
        DualPathNetwork,
        CausalDualPath,
    )
}


def build_network(config: Mapping[str, Any]) -> nn.Module:
    """``NETWORKS[config["name"]](**rest)``.

    Raises:
        ValueError: unknown name, or arguments the network does not take.
    """
    values = dict(config)
    name = str(values.pop("name", None))
    check_arguments(name, values)
    try:
        return NETWORKS[name](**values)
    except TypeError as error:
        raise ValueError(f"network {name}: {error}") from error


def check_arguments(name: str, values: Mapping[str, Any]) -> None:
    """Whether the network takes these arguments, without building it.

    Raises:
        ValueError: unknown network, an argument that it does not take, or one missing.
    """
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}; known: {', '.join(NETWORKS)}")
    known = inspect.signature(NETWORKS[name]).parameters
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"unknown key {', '.join(unknown)}; {name} takes: {', '.join(known)}")
    missing = [k for k, p in known.items() if p.default is p.empty and k not in values]
    if missing:
        raise ValueError(f"missing key {', '.join(missing)} of network {name}")
