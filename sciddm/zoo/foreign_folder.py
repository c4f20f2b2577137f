"""Networks trained with other packages, read from their files and made models of this one.

    a folder of diffusers     config.json and weights of a ``UNet2DModel``, or a pipeline's folder
                              with unet/ and scheduler/; the scheduler says what the network
                              predicts (DDPM, DDIM and their relatives, or EDM)
    .safetensors .pth .pt     weights of a DRUNet, by the names of their parameters

Weights are read as numbers only: nothing in a file is run.

A network of two channels is taken for complex images, real part and imaginary part, with values in
[-1, 1]: what an MRI prior sees, where bright tissue is near 1. Of any other network nobody but its
maker knows what its values mean: ``import_model`` is told.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import ModelError
from sciddm.networks import build_network
from sciddm.process import DDPM, EDM, DDPMCosine
from sciddm.zoo.archive import check_archive
from sciddm.zoo.budget import Budget
from sciddm.zoo.model_card import Card

__all__ = ["WEIGHT_FILES", "import_model", "is_foreign"]

_CLASS, _UNET = "_class_name", "UNet2DModel"
_WEIGHTS = "diffusion_pytorch_model.safetensors"
WEIGHT_FILES = (".safetensors", ".pth", ".pt")
_LONGEST = 2**20
_MOST, _ENTRIES = 2**16, 256
_TIMES, _SMALL = 4, 2**22
#: beta_schedule -> arguments of the schedule here.
_SCHEDULES: dict[str, dict[str, Any]] = {
    "linear": {"schedule": "ddpm", "power": 1.0},
    "scaled_linear": {"schedule": "ddpm", "power": 2.0},
    "squaredcos_cap_v2": {"schedule": "cosine"},
}
#: Parameters of attention as older versions named them.
_OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
#: DRUNet was trained up to 50 of 255.
_DRUNET_MAX = 50 / 255


def is_foreign(source: str | Path) -> bool:
    """Whether a path is a model of another package that ``import_model`` reads."""
    path = Path(source)
    try:
        if path.is_dir():
            return _unet_folder(path) is not None
        return path.suffix.lower() in WEIGHT_FILES and path.is_file()
    except OSError:
        return False


def import_model(
    source: str | Path,
    *,
    low: float | None = None,
    high: float | None = None,
    data_std: float | None = None,
) -> tuple[NetworkDenoiser, Card]:
    """A denoiser of somebody else's network, and a card that says where it comes from.

    Args:
        source: see the module.
        low, high: data values that the network knows as -1 and 1 (DRUNet: as 0 and 1), such as
            -1000 and 1000 HU. Of two channels, complex images, -1 and 1 if not given.
        data_std: standard deviation of the data about their mean, in data units; a quarter of
            high - low if not given.

    Raises:
        ModelError: not such a file or folder, damaged, of a kind that is not supported, or a range
            that is missing.
    """
    path = Path(source)
    if path.is_dir():
        folder = _unet_folder(path)
        if folder is None:
            raise ModelError(f"{path}: no {_UNET} of diffusers ({_WEIGHTS}, config.json): check it")
        try:
            config, sigmas, parametrization, kind = _diffusers(folder)
            channels = int(config["unet"].get("in_channels", 3))
        except ModelError:
            raise
        except Exception as error:  # numbers that are none, or none of a schedule
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ModelError(f"{folder}: its configuration is damaged ({reason[:200]})") from error
        weights, offset = folder / _WEIGHTS, (-1.0, 1.0)
        state = {_renamed(k): v for k, v in _state(weights).items()}
        state = {f"unet.{k}": v for k, v in state.items()}
    else:
        weights, offset, parametrization = path, (0.0, 1.0), "x0"
        state = _state(path)
        config, sigmas = _drunet(path, state), (1e-3, _DRUNET_MAX)
        kind, channels = "DRUNet", int(config["channels"])
    pair = channels == 2
    if low is None and high is None and pair:
        low, high = -1.0, 1.0
    if low is None or high is None:
        raise ModelError(
            f"{source}: a network of {channels} channel{'s' * (channels != 1)} does not say what "
            f"its values {offset[0]:g} and {offset[1]:g} are: `sciddm models import` it with --low "
            "and --high"
        )
    if not low < high:
        raise ModelError(f"{source}: --low {low:g} is not below --high {high:g}: swap them")
    if pair and low != -high:
        raise ModelError(f"{source}: of complex images 0 is the middle: give --low {-high:g}")
    unit = (high - low) / (offset[1] - offset[0])
    center = low - offset[0] * unit
    # Two real channels: of complex noise each carries half the variance.
    scale = unit * 2**0.5 if pair else unit
    spread = (high - low) / 4 if data_std is None else data_std
    network = _built(weights, config, state)
    try:
        model = NetworkDenoiser(
            network,
            EDM(sigmas[0] * scale, sigmas[1] * scale),
            parametrization,  # type: ignore[arg-type]
            data_std=0.5 * scale if parametrization == "edm" else spread,
            scale=scale,
            center=center,
            complex_data=pair,
            precision="auto",
        )
    except ValueError as error:
        raise ModelError(f"{source}: {error}") from error
    card = Card(
        name=_name(path),
        summary=f"{kind}, trained elsewhere; {channels} channels, values {low:g} to {high:g}.",
        limits="Nothing was measured: no metrics, no calibration, no score of distribution shift.",
        weights_sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
    )
    return model.float().eval().requires_grad_(False), card


def _unet_folder(path: Path) -> Path | None:
    """The folder with the network: the path itself, or its unet/."""
    for folder in (path, path / "unet"):
        config = folder / "config.json"
        if (folder / _WEIGHTS).is_file() and config.is_file():
            try:
                named = _json(config).get(_CLASS) == _UNET
            except ModelError:
                named = False
            if named:
                return folder
    return None


def _diffusers(folder: Path) -> tuple[dict[str, Any], tuple[float, float], str, str]:
    """Network, noise levels in its unit, parametrization and words of a diffusers folder."""
    config: dict[str, Any] = {"name": "LeveledUNet2D", "unet": _json(folder / "config.json")}
    places = (folder, folder / "scheduler", folder.parent / "scheduler")
    files = [p / "scheduler_config.json" for p in places]
    about = next((_json(p) for p in files if p.is_file()), None)
    if about is None:
        summary = "a diffusers UNet2DModel (no scheduler beside it: linear betas, predicts noise)"
        about = {}
    else:
        summary = f"a diffusers UNet2DModel with {about.get(_CLASS, 'a scheduler')}"
    if str(about.get(_CLASS, "")).startswith("EDM"):
        if (
            about.get("prediction_type", "epsilon") != "epsilon"
            or about.get("sigma_data", 0.5) != 0.5
        ):
            raise ModelError(
                f"{folder}: EDM networks are read with sigma_data 0.5 and no v: convert it"
            )
        sigmas = (float(about.get("sigma_min", 0.002)), float(about.get("sigma_max", 80.0)))
        return {**config, "schedule": "edm"}, sigmas, "edm", summary
    for key in ("trained_betas", "rescale_betas_zero_snr"):
        if about.get(key):
            raise ModelError(f"{folder}: the scheduler has {key}, which is not supported")
    kind = about.get("beta_schedule", "linear")
    if kind not in _SCHEDULES:
        raise ModelError(
            f"{folder}: beta_schedule {kind} is not supported: {', '.join(_SCHEDULES)}"
        )
    if "sigma_max" in about and "beta_start" not in about:
        raise ModelError(f"{folder}: {about.get(_CLASS)} is not supported: DDPM, DDIM or EDM")
    steps = int(about.get("num_train_timesteps", 1000))
    config |= {**_SCHEDULES[kind], "steps": steps}
    config["prediction"] = str(about.get("prediction_type", "epsilon"))
    process: DDPM = DDPMCosine(steps)
    if kind != "squaredcos_cap_v2":
        config["beta_min"] = float(about.get("beta_start", 1e-4))
        config["beta_max"] = float(about.get("beta_end", 0.02))
        process = DDPM(config["beta_min"], config["beta_max"], config["power"], steps)
    low, high = (float(process.sigma(t)) for t in (process.t_min, process.t_max))
    return config, (low, min(high, 1e3)), "x0", summary


def _drunet(path: Path, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The configuration of a DRUNet with these weights."""
    head, tail = state.get("m_head.weight"), state.get("m_tail.weight")
    downs = [state.get(f"m_down{i}.0.res.0.weight") for i in (1, 2, 3)]
    body = state.get("m_body.0.res.0.weight")
    if head is None or tail is None or body is None or any(d is None for d in downs):
        raise ModelError(
            f"{path}: its parameters are those of no network that is known (DRUNet): give a model "
            "folder, or a diffusers folder"
        )
    widths = [len(w) for w in (*downs, body) if w is not None]
    pattern = re.compile(r"m_body\.(\d+)\.")
    blocks = 1 + max(int(m[1]) for k in state if (m := pattern.match(k)))
    if head.shape[1] != tail.shape[0] + 1:
        raise ModelError(f"{path}: a DRUNet of {head.shape[1]} inputs is told no noise level")
    return {"name": "DRUNet", "channels": int(tail.shape[0]), "widths": widths, "blocks": blocks}


def _built(path: Path, config: dict[str, Any], state: dict[str, Tensor]) -> torch.nn.Module:
    _check_numbers(path, config)
    if any(v.is_floating_point() and not bool(v.isfinite().all()) for v in state.values()):
        raise ModelError(f"{path}: weights that are NaN or infinite: copy it again")
    try:
        with Budget(_TIMES * sum(v.numel() for v in state.values()) + _SMALL):
            network = build_network(config)
        network.load_state_dict(state)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except Exception as error:  # whatever networks make of a foreign configuration
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"{path}: {reason[:300]}") from error
    return network


def _state(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix.lower() == ".safetensors":
            return dict(load_file(path))
        check_archive(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except ModelError:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{path}: not readable weights ({error})") from error
    except Exception as error:  # of torch and pickle, with a paragraph of advice to run it anyway
        raise ModelError(
            f"{path}: holds more than weights, or is damaged: save its state dict"
        ) from error
    if isinstance(weights, Mapping) and isinstance(weights.get("state_dict"), Mapping):
        weights = weights["state_dict"]
    if not isinstance(weights, Mapping) or not all(isinstance(v, Tensor) for v in weights.values()):
        raise ModelError(f"{path}: holds more than weights: save its state dict")
    return {str(k): v for k, v in weights.items()}


def _renamed(key: str) -> str:
    parts = key.split(".")
    if len(parts) > 1 and parts[-2] in _OLD:
        parts[-2] = _OLD[parts[-2]]
    return ".".join(parts)


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LONGEST:
            raise ValueError("larger than 1 MB")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not readable ({error})") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: not a configuration: copy it again")
    return content


def _check_numbers(path: Path, value: object) -> None:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    too_large = isinstance(value, int) and not isinstance(value, bool) and abs(value) > _MOST
    if too_large or len(parts) > _ENTRIES:
        raise ModelError(f"{path}: asks for {str(value)[:40]}: no network has that size")
    for part in parts:
        _check_numbers(path, part)


def _name(path: Path) -> str:
    path = path.resolve()
    return path.parent.name if path.name == "unet" else path.stem if path.is_file() else path.name
