"""Loading models: bundled ones by name, folders, hub repositories, published checkpoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciddm.acceleration import Plan
from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import ModelError
from sciddm.models import AnyModel
from sciddm.zoo.catalog import CHECKPOINT, find
from sciddm.zoo.folder import load_model, read_representation, weights_hash
from sciddm.zoo.foreign_folder import import_model, is_foreign
from sciddm.zoo.model_card import Card, read_card
from sciddm.zoo.official_sgmse import file_hash, read_checkpoint

__all__ = ["Model", "from_pretrained"]


@dataclass(frozen=True)
class Model:
    """A model with its identity.

    ``representation`` is what its pipeline needs to prepare data for it; see ``folder``.
    """

    model: AnyModel
    card: Card
    weights_sha256: str
    representation: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The card's name."""
        return self.card.name

    @property
    def denoiser(self) -> NetworkDenoiser:
        """The model, where it is a denoiser and nothing else.

        Raises:
            ModelError: it is of another kind.
        """
        if not isinstance(self.model, NetworkDenoiser):
            kind = type(self.model).__name__
            raise ModelError(f"model {self.name!r} is a {kind}, where a denoiser is needed")
        return self.model


def from_pretrained(source: str | Path) -> Model:
    """A model ready to use: frozen, evaluation mode.

    Args:
        source: as for ``find``; a checkpoint (.ckpt) of the published SGMSE+ or StoRM code; or a
            network of another package, see ``foreign_folder``.

    Raises:
        ModelError: there is no such model, its files are damaged, or its weights are not those
            its card names.
    """
    if Path(source).suffix == CHECKPOINT:
        return _from_checkpoint(Path(source))
    if is_foreign(source):
        imported, about = import_model(source)
        return Model(imported, about, about.weights_sha256)
    folder = find(source)
    model = Model(
        load_model(folder), read_card(folder), weights_hash(folder), read_representation(folder)
    )
    if model.card.weights_sha256 and model.card.weights_sha256 != model.weights_sha256:
        raise ModelError(f"{folder}: the weights are not those of the model card (hash differs)")
    if isinstance(model.model, NetworkDenoiser):
        try:
            model.model.plan = Plan.from_card(model.card.acceleration)
        except ModelError as error:
            raise ModelError(f"{folder}: the card's {error}") from error
    return model


def _from_checkpoint(path: Path) -> Model:
    model, representation = read_checkpoint(path)
    weights = file_hash(path)
    about = Card(
        name=path.stem,
        summary=f"{type(model).__name__} from a checkpoint of the published code",
        weights_sha256=weights,
    )
    return Model(model, about, weights, representation)
