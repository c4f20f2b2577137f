"""A network from its configuration, as recipes and model folders store it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from sciddm.networks.unet import UNet

__all__ = ["NETWORKS", "build_network"]

NETWORKS: dict[str, type[nn.Module]] = {"UNet": UNet}


def build_network(config: Mapping[str, Any]) -> nn.Module:
    """``NETWORKS[config["name"]](**rest)``.

    Raises:
        ValueError: unknown name, or arguments the network does not take.
    """
    values = dict(config)
    name = values.pop("name", None)
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}; known: {', '.join(NETWORKS)}")
    try:
        return NETWORKS[name](**values)
    except TypeError as error:
        raise ValueError(f"network {name}: {error}") from error
