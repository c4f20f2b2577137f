"""Checkpoints of the published SGMSE+, Schroedinger bridge and StoRM code, read safely.

Such a file is a Lightning checkpoint: a pickle with weights (``dnn.*``, or ``denoiser_net.*`` and
``score_net.*``), their moving average (a list in the order of the weights), optimiser state, and
all hyper-parameters, among them the class of the data module. It is unpickled with
``weights_only``; allowed besides are the data module's name, which stands for an empty class, and
NumPy's numbers and ``argparse.Namespace``, which run nothing. Nothing of the published code is
needed.

The networks' outputs are brought into the core's conventions by a factor on their last layer,
which is linear. There a complex variable has unit variance and the score is of complex data; here
a network works on real channels, whose noise has s / sqrt(2)::

    score = -net      ->  score of a real channel = -2 net
    score = -z / s    ->  eps of a real channel = sqrt(2) z

References:
    Richter et al., Speech Enhancement and Dereverberation with Diffusion-Based Generative Models,
    2023 (SGMSE+; its networks give -score).
    Richter et al., Investigating Training Objectives for Generative Speech Enhancement, 2024
    (backbone v2; Schroedinger bridge with data prediction).
    Lemercier et al., StoRM, 2023.
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sciddm.denoiser import NetworkDenoiser, Parametrization
from sciddm.errors import ModelError
from sciddm.models import AnyModel
from sciddm.networks.ncsnpp import NCSNpp
from sciddm.priors.predictor import Predictor
from sciddm.priors.regeneration import StochasticRegeneration
from sciddm.process import OUVE, SBVE, Process
from sciddm.zoo.archive import check_archive

__all__ = ["file_hash", "read_checkpoint"]

#: The published shapes of NCSN++ by their names there; "ncsnpp" is another one in StoRM's code.
VARIANTS: dict[str, dict[str, Any]] = {
    "ncsnpp 65M": {},
    "ncsnpp_48k": {"pyramids": False, "attention": ()},
    "ncsnpp 28M": {"multipliers": (1, 2, 2, 2), "num_res_blocks": 1, "attention": ()},
    "ncsnpp12M": {
        "channels": 96,
        "multipliers": (1, 2, 2, 1),
        "num_res_blocks": 1,
        "attention": (),
    },
    "ncsnpp6M": {
        "channels": 96,
        "multipliers": (1, 1, 1, 1),
        "num_res_blocks": 1,
        "attention": (),
    },
}
_SGMSE_BACKBONES = ("ncsnpp", "ncsnpp_v2", "ncsnpp_48k")
_ALLOWED = (("sgmse.data_module", "SpecsDataModule"),)
# In the network's units: with this scale a real channel is what the published network sees.
_UNIT = 2**0.5
_SIGMA_DATA = 0.1


def read_checkpoint(path: str | Path) -> tuple[AnyModel, dict[str, Any]]:
    """The model of a checkpoint with its averaged weights, and its representation.

    Args:
        path: the ``.ckpt`` file.

    Returns:
        (model, representation): a NetworkDenoiser (SGMSE+, Schroedinger bridge), a Predictor
        (StoRM's discriminative networks) or a StochasticRegeneration (StoRM), frozen and in
        evaluation mode; the spectrogram's ``n_fft``, ``hop``, ``factor``, ``exponent`` and
        ``rate``.

    Raises:
        ModelError: the file is damaged, holds foreign objects, lacks a hyper-parameter, or its
            network or preconditioning is of a kind that is not known here.
    """
    path = Path(path)
    checkpoint = _unpickle(path)
    try:
        settings = checkpoint["hyper_parameters"]
        hyper = dict(vars(settings) if isinstance(settings, argparse.Namespace) else settings)
        state = _averaged(path, checkpoint)
        representation = _representation(hyper)
        model = _model(hyper, state)
    except KeyError as error:
        raise ModelError(f"{path}: the checkpoint has no {error}") from error
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}: {' '.join(str(error).split())}") from error
    return model.float().eval().requires_grad_(False), representation


def file_hash(path: str | Path) -> str:
    """SHA-256 of the file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpickle(path: Path) -> dict[str, Any]:
    check_archive(path)
    stubs: list[Any] = [type(name, (), {"__module__": module}) for module, name in _ALLOWED]
    try:
        with torch.serialization.safe_globals([*stubs, *_harmless()]):
            # Mapped, so that what is not needed (two thirds are optimiser state) is never read.
            checkpoint = torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
            )
    except pickle.UnpicklingError as error:
        # torch goes on with advice to programmers, which would make the file unsafe to read.
        name = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise ModelError(
            f"{path}: not read, because it is damaged or holds Python objects that a checkpoint "
            f"of SGMSE+ or StoRM does not need{f' ({name[1]})' if name else ''}"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{path}: not a readable checkpoint ({first})") from error
    if not isinstance(checkpoint, dict):
        raise ModelError(f"{path}: not a Lightning checkpoint")
    return checkpoint


def _harmless() -> list[Any]:
    """What hyper-parameters are made of besides Python's own types: numbers of NumPy and groups of
    options. None of it runs code of the file's."""
    import numpy as np

    multiarray = np._core.multiarray  # type: ignore[attr-defined]
    dtypes = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, bool)]
    scalar = multiarray.scalar
    # Files of NumPy before 2 call it by its old name.
    return [argparse.Namespace, scalar, (scalar, "numpy.core.multiarray.scalar"), np.dtype, *dtypes]


def _averaged(path: Path, checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The networks' weights by name, the moving average if the file has one."""
    state = {
        name: value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith(("dnn.", "denoiser_net.", "score_net."))
    }
    average = checkpoint.get("ema")
    if average is None:
        return state
    shadow = list(average["shadow_params"])
    shapes = [tuple(value.shape) for value in state.values()]
    if [tuple(value.shape) for value in shadow] != shapes:
        raise ModelError(
            f"{path}: the averaged weights ({len(shadow)}) are not those of its {len(state)} "
            "network parameters"
        )
    return dict(zip(state, shadow, strict=True))


def _representation(hyper: Mapping[str, Any]) -> dict[str, Any]:
    kind, window = hyper.get("transform_type", "exponent"), hyper.get("window", "hann")
    if kind != "exponent" or window != "hann":
        raise ValueError(f"its spectrogram ({kind}, window {window}) is not supported")
    full_band = hyper.get("backbone") == "ncsnpp_48k"
    return {
        "n_fft": int(hyper["n_fft"]),
        "hop": int(hyper["hop_length"]),
        "factor": float(hyper["spec_factor"]),
        "exponent": float(hyper["spec_abs_exponent"]),
        "rate": int(hyper.get("sr", 48_000 if full_band else 16_000)),
    }


def _model(hyper: Mapping[str, Any], state: Mapping[str, Tensor]) -> AnyModel:
    parts = {prefix: _part(state, prefix) for prefix in ("dnn.", "denoiser_net.", "score_net.")}
    if not parts["score_net."]:
        weights = parts["dnn."] or parts["denoiser_net."]
        if not weights:
            raise ValueError("it holds no network of SGMSE+ or StoRM")
        if weights["output_layer.weight"].shape[1] == 2:
            return _predictor(hyper, weights)
        return _diffusion(hyper, weights)
    if not parts["denoiser_net."]:
        raise ValueError("it holds a score network of StoRM without its predictor")
    # The stacked input is x_t, D(y), y (two channels each); the checkpoints' is x_t, y, D(y).
    select = {"both": [0, 1, 4, 5, 2, 3], "noisy": [0, 1, 4, 5], "post_denoiser": [0, 1, 2, 3]}
    condition = hyper["condition"]
    if condition not in select:
        raise ValueError(f"unknown condition {condition!r}")
    return StochasticRegeneration(
        _predictor(hyper, parts["denoiser_net."]),
        _diffusion(hyper, parts["score_net."], backbone="backbone_score", select=select[condition]),
        alpha=float(hyper.get("weighting_denoiser_to_score", 0.5)),
    )


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def _predictor(hyper: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Predictor:
    network = _network(
        weights, conditional=False, division="none", centered=bool(hyper.get("centered", False))
    )
    return Predictor(network, scale=_UNIT, output="direct", precision="auto")


def _diffusion(
    hyper: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    backbone: str = "backbone",
    select: list[int] | None = None,
) -> NetworkDenoiser:
    name = hyper[backbone]
    parametrization, gain, division = _output(hyper, name)
    # SGMSE's own networks take data as they are; StoRM's, which share a name, map them.
    sgmse = name in _SGMSE_BACKBONES and _variant(weights, True) in ("ncsnpp 65M", "ncsnpp_48k")
    network = _network(
        weights,
        conditional=True,
        division=division,
        centered=bool(hyper.get("centered", sgmse)),
        select=select,
    )
    with torch.no_grad():
        for value in network.output_layer.parameters():
            value.mul_(gain)
    return NetworkDenoiser(
        network,
        _process(hyper),
        parametrization,
        data_std=_SIGMA_DATA,
        scale=_UNIT,
        complex_data=True,
        precision="auto",
    )


def _output(hyper: Mapping[str, Any], backbone: str) -> tuple[Parametrization, float, str]:
    """(parametrization, factor of the last layer, division by t)."""
    if backbone != "ncsnpp_v2":
        divided = bool(hyper.get("scale_by_sigma", True))
        place = "after" if backbone == "ncsnpp_48k" else "before"
        return "score", -2.0, place if divided else "none"
    plain = {"c_in": "1", "c_out": "1", "c_skip": "0"}
    found = {key: str(hyper.get(key, value)) for key, value in plain.items()}
    if found != plain:
        raise ValueError(f"its preconditioning {found} is not supported, only {plain}")
    objective, scaling = hyper.get("loss_type"), hyper.get("network_scaling")
    match objective, scaling:
        case "data_prediction", None:
            return "x0", 1.0, "none"
        case "score_matching", None:
            return "score", 2.0, "none"
        case "score_matching", "1/t":
            return "score", 2.0, "after"
        case "score_matching", "1/sigma":
            return "eps", -(2**0.5), "none"
    raise ValueError(f"its objective {objective} with network scaling {scaling} is not supported")


def _process(hyper: Mapping[str, Any]) -> Process:
    name = str(hyper["sde"]).lower().removesuffix("sde")
    if name == "ouve":
        return OUVE(*(float(hyper[key]) for key in ("theta", "sigma_min", "sigma_max")))
    if name == "sbve":
        return SBVE(*(float(hyper[key]) for key in ("k", "c")))
    raise ValueError(f"its process {hyper['sde']!r} is not supported, only ouve and sbve")


def _variant(weights: Mapping[str, Tensor], conditional: bool) -> str:
    """The name in ``VARIANTS`` whose parameters have exactly these names and shapes."""
    found = {name: tuple(value.shape) for name, value in weights.items()}
    for name in VARIANTS:
        if _shapes(name, found["output_layer.weight"][1], conditional) == found:
            return name
    raise ValueError(
        f"a network with these {len(found)} parameters is none of: {', '.join(VARIANTS)}"
    )


def _shapes(variant: str, in_channels: int, conditional: bool) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        network = NCSNpp(in_channels, conditional=conditional, division="none", **VARIANTS[variant])
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def _network(weights: Mapping[str, Tensor], conditional: bool, **settings: Any) -> NCSNpp:
    variant = _variant(weights, conditional)
    in_channels = weights["output_layer.weight"].shape[1]
    with torch.device("meta"):  # the weights come from the file
        network = NCSNpp(in_channels, conditional=conditional, **VARIANTS[variant], **settings)
    network.to_empty(device="cpu")
    network.load_state_dict(dict(weights))
    return network
