"""Models from their configuration, as recipes and model folders hold it.

Which sections a configuration has says what it describes::

    process, network, denoiser               a NetworkDenoiser
    predictor                                a Predictor
    these four, and perhaps regeneration     a StochasticRegeneration
    autoencoder                              an Autoencoder
    autoencoder, and a denoiser's three      a LatentDiffusion
    segmenter                                a Segmenter
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from sciddm.denoiser import NetworkDenoiser
from sciddm.losses.mask_loss import MaskLoss
from sciddm.losses.spectral_loss import SpectralLoss
from sciddm.networks import build_network
from sciddm.precision import Precision
from sciddm.priors.autoencoder import Autoencoder, LatentDiffusion
from sciddm.priors.predictor import Predictor
from sciddm.priors.regeneration import StochasticRegeneration
from sciddm.priors.segmenter import Segmenter
from sciddm.process import process_from_config

__all__ = ["AnyModel", "build_model", "describe_model", "network_of"]

AnyModel = (
    NetworkDenoiser | Predictor | StochasticRegeneration | Autoencoder | LatentDiffusion | Segmenter
)

_DENOISER = ("process", "network", "denoiser")


def build_model(config: Mapping[str, Any], precision: Precision = "float32") -> AnyModel:
    """The model that ``config`` describes, with untrained networks.

    Raises:
        KeyError: a section is missing.
        TypeError, ValueError: a section has a key or value that its part does not take.
    """
    if config.get("segmenter"):
        settings = dict(config["segmenter"])
        network = build_network(settings.pop("network"))
        criterion = MaskLoss(**(settings.pop("criterion", None) or {}))
        return Segmenter(network, criterion, precision=precision, **settings)
    predictor = _predictor(config["predictor"], precision) if config.get("predictor") else None
    autoencoder = None
    if config.get("autoencoder"):
        network = build_network(config["autoencoder"]["network"])
        autoencoder = Autoencoder(network, precision=precision)
    first = predictor or autoencoder
    if first is not None and not any(config.get(key) for key in _DENOISER):
        return first
    settings = dict(config["denoiser"])
    if settings.get("criterion"):
        settings["criterion"] = MaskLoss(**settings["criterion"])
    denoiser = NetworkDenoiser(
        build_network(config["network"]),
        process_from_config(config["process"]),
        precision=precision,
        **settings,
    )
    if autoencoder is not None:
        return LatentDiffusion(autoencoder, denoiser)
    if predictor is None:
        return denoiser
    return StochasticRegeneration(predictor, denoiser, **(config.get("regeneration") or {}))


def describe_model(model: AnyModel) -> dict[str, Any]:
    """The configuration from which ``build_model`` makes the model again, without its weights."""
    if isinstance(model, Predictor):
        return {
            "predictor": {
                "network": _network(model.network),
                "criterion": model.criterion.config,
                "scale": model.scale,
                "output": model.output,
            }
        }
    if isinstance(model, StochasticRegeneration):
        settings = {"alpha": model.alpha, "target": model.target}
        parts = describe_model(model.denoiser) | describe_model(model.predictor)
        return parts | {"regeneration": settings}
    if isinstance(model, Segmenter):
        criterion = model.criterion.config
        return {"segmenter": {"network": _network(model.network), "criterion": criterion}}
    if isinstance(model, Autoencoder):
        return {"autoencoder": {"network": _network(model.network)}}
    if isinstance(model, LatentDiffusion):
        return describe_model(model.denoiser) | describe_model(model.autoencoder)
    about: dict[str, Any] = {
        "parametrization": model.parametrization,
        "data_std": model.data_std,
        "scale": model.scale,
        "center": model.center,
        "complex_data": model.complex_data,
    }
    if model.criterion is not None:
        about["criterion"] = model.criterion.config
    if model.estimate_errors:
        about["estimate_errors"] = list(model.estimate_errors)
    return {
        "process": model.process.config(),
        "network": _network(model.network),
        "denoiser": about,
    }


def network_of(model: AnyModel) -> nn.Module:
    """The module whose state is the model's weights: its one network, or the model of two."""
    if isinstance(model, StochasticRegeneration | LatentDiffusion):
        return model
    return model.network


def _predictor(config: Mapping[str, Any], precision: Precision) -> Predictor:
    settings = dict(config)
    network = build_network(settings.pop("network"))
    criterion = SpectralLoss(**(settings.pop("criterion", None) or {}))
    return Predictor(network, criterion, precision=precision, **settings)


def _network(network: nn.Module) -> dict[str, Any]:
    name = getattr(network, "own_name", type(network).__name__)
    return {"name": name, **network.config}  # type: ignore[dict-item]
