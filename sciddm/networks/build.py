"""A network from its configuration, as recipes and model folders store it."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from sciddm.networks.own_class import is_own, own_network

__all__ = ["NETWORKS", "build_network", "check_arguments", "network_class"]

#: Class -> its module; none is imported before it is asked for, since some bring large libraries.
NETWORKS = {
    "UNet": "unet",
    "LocalUNet": "local_unet",
    "SpectrogramUNet": "spectrogram",
    "PlainUNet": "plain_unet",
    "NCSNpp": "ncsnpp",
    "PatchAutoencoder": "patch_autoencoder",
    "DualPathNetwork": "dual_path",
    "CausalDualPath": "causal_dual_path",
    "FrameClassifier": "frame_classifier",
    "LeveledUNet2D": "unet_2d_model",
    "DRUNet": "drunet",
}


def network_class(name: str) -> type[nn.Module]:
    """The class of a network.

    Raises:
        ValueError: unknown name.
    """
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}; known: {', '.join(NETWORKS)}")
    module = importlib.import_module(f"sciddm.networks.{NETWORKS[name]}")
    found: type[nn.Module] = getattr(module, name)
    return found


def build_network(config: Mapping[str, Any]) -> nn.Module:
    """``network_class(config["name"])(**rest)``; a name MODULE:CLASS is one of the user's own.

    Raises:
        ValueError: unknown name, or arguments the network does not take.
        ModelError: see ``own_class.own_network``.
    """
    values = dict(config)
    name = str(values.pop("name", None))
    if is_own(name):
        return own_network(name, values)
    check_arguments(name, values)
    try:
        return network_class(name)(**values)
    except TypeError as error:
        raise ValueError(f"network {name}: {error}") from error


def check_arguments(name: str, values: Mapping[str, Any]) -> None:
    """Whether the network takes these arguments, without building it.

    Raises:
        ValueError: unknown network, an argument that it does not take, or one missing.
    """
    known = inspect.signature(network_class(name)).parameters
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"unknown key {', '.join(unknown)}; {name} takes: {', '.join(known)}")
    missing = [k for k, p in known.items() if p.default is p.empty and k not in values]
    if missing:
        raise ValueError(f"missing key {', '.join(missing)} of network {name}")
