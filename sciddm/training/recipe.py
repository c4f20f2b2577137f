"""Recipes: everything a training needs, as YAML checked before anything starts.

A recipe names the model (the sections of ``sciddm.models``), the
data (a class by its import path, with its arguments) and the optimisation. Values can be
overridden on the command line as ``optimisation.lr=1e-4``.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from torch.utils.data import Dataset

from sciddm.denoiser import Parametrization
from sciddm.errors import InputError
from sciddm.networks.build import check_arguments
from sciddm.process import process_from_config
from sciddm.storage.special_files import check_regular
from sciddm.zoo.model_card import Card

__all__ = [
    "AutoencoderSpec",
    "DataSpec",
    "DenoiserSpec",
    "ExpectationSpec",
    "MaskLossSpec",
    "NoiseSpec",
    "Optimisation",
    "PredictorSpec",
    "Recipe",
    "RegenerationSpec",
    "SegmenterSpec",
    "SpectralLossSpec",
    "WeightingSpec",
    "find_recipe",
    "load_recipe",
]


#: Recipes that come with the package.
RECIPES = Path(__file__).parents[1] / "recipes"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSpec(_Strict):
    """A dataset class by import path; ``train`` and ``validate`` are its keyword arguments.

    The dataset yields clean data x0 (C, ...), or a dict with ``x0`` and optionally ``y``,
    ``cond``. If it has a ``representation`` (a dict), the model folder keeps it for the pipeline.
    If the denoiser has ``estimate_errors``, the class has a ``measurement`` (batch -> Measurement
    of x0) and the dict a ``start``, the estimate that chains begin with (``guidance.Informed``).
    """

    dataset: str
    arguments: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _accepts_arguments(self) -> DataSpec:
        parameters = inspect.signature(self.load()).parameters
        unknown = sorted(set(self.arguments) - set(parameters))
        if unknown:
            known = ", ".join(p for p in parameters if p not in ("self", "split", "length", "seed"))
            raise ValueError(f"unknown key {', '.join(unknown)}; {self.dataset} takes: {known}")
        return self

    def load(self) -> Any:
        """The class itself, which is one of data: a recipe calls nothing else."""
        module, _, name = self.dataset.rpartition(".")
        try:
            named = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError, TypeError) as error:
            raise ValueError(f"no dataset class {self.dataset!r}: {error}") from error
        if not (isinstance(named, type) and issubclass(named, Dataset)):
            raise ValueError(f"{self.dataset!r} is no class of torch.utils.data.Dataset")
        return named


class MaskLossSpec(_Strict):
    """Arguments of MaskLoss."""

    dice: float = Field(default=1.0, ge=0)
    bce: float = Field(default=1.0, ge=0)
    mse: float = Field(default=1.0, ge=0)


class DenoiserSpec(_Strict):
    """Arguments of NetworkDenoiser."""

    parametrization: Parametrization = "edm"
    data_std: float = Field(gt=0)
    scale: float = Field(default=1.0, gt=0)
    center: float = 0.0
    complex_data: bool = False
    criterion: MaskLossSpec | None = None
    estimate_errors: list[Annotated[float, Field(gt=0)]] = Field(default_factory=list)


class SpectralLossSpec(_Strict):
    """Arguments of SpectralLoss; its scale is the predictor's."""

    complex: float = Field(default=1.0, ge=0)
    magnitude: float = Field(default=1.0, ge=0)
    snr: float = Field(default=0.0, ge=0)
    power: float = Field(default=1.0, gt=0)
    loudness: float = Field(default=0.0, ge=0)
    rate: float = Field(default=16_000.0, gt=0)
    frame_rate: float = Field(default=125.0, gt=0)
    segmental: float = Field(default=0.0, ge=0)
    segment: int = Field(default=32, gt=0)
    quiet: float = Field(default=1e-6, gt=0)


class PredictorSpec(_Strict):
    """A Predictor: its network, what it minimises, the scale of its data."""

    network: dict[str, Any]
    criterion: SpectralLossSpec = SpectralLossSpec()
    scale: float = Field(default=1.0, gt=0)
    output: Literal["mask", "direct"] = "mask"

    @field_validator("network")
    @classmethod
    def _network_takes_arguments(cls, values: dict[str, Any]) -> dict[str, Any]:
        return _checked_network(values)


class RegenerationSpec(_Strict):
    """How a StochasticRegeneration is trained; see there."""

    alpha: float = Field(default=0.5, ge=0, lt=1)
    target: Literal["output", "data"] = "output"


class AutoencoderSpec(_Strict):
    """An Autoencoder: its network, which has ``encode`` and ``decode``."""

    network: dict[str, Any]

    @field_validator("network")
    @classmethod
    def _network_takes_arguments(cls, values: dict[str, Any]) -> dict[str, Any]:
        return _checked_network(values)


class SegmenterSpec(_Strict):
    """A Segmenter: its network and what it minimises."""

    network: dict[str, Any]
    criterion: MaskLossSpec = MaskLossSpec()

    @field_validator("network")
    @classmethod
    def _network_takes_arguments(cls, values: dict[str, Any]) -> dict[str, Any]:
        return _checked_network(values)


class NoiseSpec(_Strict):
    """The law of the training times: ln sigma normal, or t uniform on the process's range.

    ``start`` is the share of items at t_max, where every sampler begins: a sampler of n steps
    spends 1 / n of its evaluations there, a uniform law none. ``immiscible`` assigns the noise of a
    batch to the images it is near (``training.immiscible``), for bridges alone: guidance needs a
    prior whose noise is independent.
    """

    law: Literal["lognormal", "uniform"] = "lognormal"
    mean: float = -1.2
    std: float = Field(default=1.2, gt=0)
    start: float = Field(default=0.0, ge=0, le=1)
    immiscible: bool = False


class WeightingSpec(_Strict):
    """Which noise levels count how much in the loss; see ``training.weighting``."""

    kind: Literal["own", "min-snr", "uncertainty"] = "own"
    gamma: float = Field(default=5.0, gt=0)


class ExpectationSpec(_Strict):
    """Training on measurements alone, in rounds of draws and training (``training.expectation``).

    The data set yields measurements: dicts of tensors, of which its ``measurement`` makes a
    ``Measurement``. The steps and the time of the optimisation are those of all rounds together.
    """

    rounds: int = Field(default=8, ge=1)
    gaussian_rounds: int = Field(
        default=10, ge=1, description="of the Gaussian prior that the first draws are of"
    )
    draw_steps: int = Field(default=32, ge=2, description="noise levels of a draw")
    krylov: int = Field(default=3, ge=1, description="conjugate gradient steps of MMPS")
    sigma_max: float | None = Field(default=None, gt=0, description="first noise level of a draw")
    sigma_min: float | None = Field(default=None, gt=0, description="last noise level of a draw")
    batch_size: int = Field(default=16, ge=1, description="measurements that are drawn at once")
    patch: int | None = Field(default=None, ge=8, description="side of the crops in training")
    mirror: list[int] = Field(
        default_factory=list, description="axes along which half of the images are mirrored"
    )


class Optimisation(_Strict):
    """AdamW with linear warm-up and a cosine to zero over whichever ends first, steps or time."""

    lr: float = Field(default=5e-4, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    batch_size: int = Field(default=16, ge=1)
    steps: int = Field(default=100_000, ge=1)
    max_time: str | None = Field(
        default=None, description="2h, 90min or HH:MM:SS of training, all runs of it"
    )
    warmup_steps: int = Field(default=200, ge=0)
    gradient_clip: float = Field(default=1.0, gt=0)
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    patience: int | None = Field(
        default=None,
        ge=1,
        description="validations without a gain after which the training ends, with the weights "
        "of the best one",
    )
    precision: Literal["auto", "32", "bf16-mixed", "16-mixed"] = Field(
        default="auto", description="auto: bf16-mixed where the processor has it, else 32"
    )
    workers: int = Field(default=0, ge=0)
    compile: bool = Field(default=False, description="torch.compile; needs a C++ compiler")
    checkpoint_minutes: float = Field(default=5.0, gt=0)
    seed: int = 0


class Recipe(_Strict):
    """One trained model."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    summary: str
    process: dict[str, float | str] | None = None
    network: dict[str, Any] | None = None
    denoiser: DenoiserSpec | None = None
    predictor: PredictorSpec | None = None
    regeneration: RegenerationSpec | None = None
    autoencoder: AutoencoderSpec | None = None
    segmenter: SegmenterSpec | None = None
    noise: NoiseSpec = NoiseSpec()
    weighting: WeightingSpec = WeightingSpec()
    data: DataSpec
    expectation: ExpectationSpec | None = None
    optimisation: Optimisation = Optimisation()
    start_from: str | None = Field(
        default=None,
        description="weights that training begins with: name, folder, hub:OWNER/NAME",
    )
    card: dict[str, Any] = Field(default_factory=dict)

    @field_validator("process")
    @classmethod
    def _process_exists(
        cls, values: dict[str, float | str] | None
    ) -> dict[str, float | str] | None:
        if values is not None:
            process_from_config(values)
        return values

    @field_validator("network")
    @classmethod
    def _network_takes_arguments(cls, values: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if values is None else _checked_network(values)

    @field_validator("card")
    @classmethod
    def _is_part_of_a_card(cls, values: dict[str, Any]) -> dict[str, Any]:
        try:
            Card.model_validate({"name": "", **values})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ValueError(f"card.{where}: {first['msg']}") from error
        return values

    @model_validator(mode="after")
    def _is_a_model(self) -> Recipe:
        needed = ("process", "network", "denoiser")
        missing = [key for key in needed if getattr(self, key) is None]
        first = self.predictor or self.autoencoder or self.segmenter
        if missing and (first is None or len(missing) < len(needed)):
            raise ValueError(f"missing key {', '.join(missing)}")
        if self.predictor is not None and self.autoencoder is not None:
            raise ValueError("a model has a predictor or an autoencoder, not both")
        if self.segmenter is not None and any(
            getattr(self, key) is not None for key in (*needed, "predictor", "autoencoder")
        ):
            raise ValueError("a segmenter has no other part")
        if self.regeneration is not None and (missing or self.predictor is None):
            raise ValueError("regeneration needs a predictor, and a denoiser with its process")
        self._levels_can_be_learned()
        seeing = self.denoiser is not None and bool(self.denoiser.estimate_errors)
        if seeing and not hasattr(self.data.load(), "measurement"):
            raise ValueError(f"estimate_errors need measurements, which {self.data.dataset} lacks")
        if self.expectation is not None:
            if missing or first is not None or seeing:
                raise ValueError("expectation trains a denoiser alone, without estimate_errors")
            if not hasattr(self.data.load(), "measurement"):
                raise ValueError(f"expectation needs measurements, which {self.data.dataset} lacks")
        return self

    def _levels_can_be_learned(self) -> None:
        plain = self.denoiser is not None and self.regeneration is None
        plain = plain and self.autoencoder is None and not self.denoiser.estimate_errors  # type: ignore[union-attr]
        if self.weighting.kind != "own" and not plain:
            raise ValueError("weighting is for a denoiser that is trained by itself")
        if self.weighting.kind == "min-snr" and self.denoiser is not None:
            kinds = ("x0", "eps", "v", "score", "edm")
            if self.denoiser.parametrization not in kinds:
                raise ValueError(f"min-snr weights the parametrizations {', '.join(kinds)}")
        if self.noise.immiscible:
            if not plain or self.process is None:
                raise ValueError("noise.immiscible is for a denoiser that is trained by itself")
            if not process_from_config(self.process).has_endpoint:
                raise ValueError(
                    "noise.immiscible: this model is a prior, and guidance needs one whose noise "
                    "is independent of the image: take a bridge, or leave it out"
                )

    def sections(self) -> dict[str, Any]:
        """The sections that ``sciddm.models.build_model`` takes."""
        keys = {"process", "network", "denoiser", "predictor", "regeneration"}
        keys |= {"autoencoder", "segmenter"}
        values = self.model_dump(include=keys, exclude_none=True)
        if "predictor" in values:
            values["predictor"]["criterion"]["scale"] = values["predictor"]["scale"]
        return values


def _checked_network(values: dict[str, Any]) -> dict[str, Any]:
    arguments = dict(values)
    check_arguments(str(arguments.pop("name", None)), arguments)
    return values


class _Loader(yaml.SafeLoader):
    """YAML of plain values; without aliases, which can stand for any amount of memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not permitted: write the value out")
        return super().compose_node(parent, index)


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads and checks a recipe.

    Args:
        path: the YAML file, or the name of a bundled one, such as mri-brain.
        overrides: ``dotted.key=value`` strings; values are read as YAML.

    Raises:
        InputError: the file is missing or no YAML, or a key is unknown or of the wrong type; the
            message names the file and the key.
    """
    path = find_recipe(path)
    check_regular(path)
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: not valid YAML ({reason})") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: a recipe is a mapping of keys, see recipes/ for examples")
    for override in overrides:
        _override(values, override)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "recipe"
        if first["type"] == "extra_forbidden":
            raise InputError(f"{path}: unknown key {where}") from error
        reason = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{path}: {where}: {reason}") from error


def find_recipe(path: str | Path) -> Path:
    """The file of a recipe: itself, or the bundled one of that name.

    Raises:
        InputError: neither.
    """
    if Path(path).exists() or Path(path).suffix:
        return Path(path)
    bundled = {p.stem: p for p in sorted(RECIPES.glob("*.yaml"))}
    if str(path) in bundled:
        return bundled[str(path)]
    close = get_close_matches(str(path), bundled, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there is {', '.join(bundled)}"
    raise InputError(f"{path}: no such file and no recipe of that name: {hint}")


def _override(values: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    if not sign:
        raise InputError(f"override {override!r} is not of the form key=value")
    *parents, last = key.split(".")
    node = values
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise InputError(f"override {override!r}: {parent} has no keys")
    # YAML reads 1e-4 as a string; pydantic turns numeric strings into the field's type.
    try:
        node[last] = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"override {override!r}: the value is not valid YAML") from error
