"""Finding and loading models: bundled ones by name, folders, hub repositories."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import ModelError
from sciddm.models import AnyModel
from sciddm.zoo.card import Card, read_card
from sciddm.zoo.folder import (
    CARD,
    CONFIG,
    WEIGHTS,
    is_model_folder,
    load_model,
    read_representation,
    weights_hash,
)
from sciddm.zoo.official_sgmse import file_hash, read_checkpoint

__all__ = ["Model", "card", "find", "from_pretrained", "list_models"]

CHECKPOINT = ".ckpt"
BUNDLED = Path(__file__).parent / "weights"


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


def list_models() -> list[Card]:
    """Cards of the bundled models, by name."""
    folders = sorted(BUNDLED.iterdir()) if BUNDLED.is_dir() else []
    return [read_card(folder) for folder in folders if is_model_folder(folder)]


def card(source: str | Path) -> Card:
    """The card of a model; see ``find`` for what ``source`` may be."""
    if Path(source).suffix == CHECKPOINT:
        return _from_checkpoint(Path(source)).card
    return read_card(find(source))


def from_pretrained(source: str | Path) -> Model:
    """A model ready to use: frozen, evaluation mode.

    Args:
        source: as for ``find``, or a checkpoint (.ckpt) of the published SGMSE+ or StoRM code.

    Raises:
        ModelError: there is no such model, its files are damaged, or its weights are not those
            its card names.
    """
    if Path(source).suffix == CHECKPOINT:
        return _from_checkpoint(Path(source))
    folder = find(source)
    model = Model(
        load_model(folder), read_card(folder), weights_hash(folder), read_representation(folder)
    )
    if model.card.weights_sha256 and model.card.weights_sha256 != model.weights_sha256:
        raise ModelError(f"{folder}: the weights are not those of the model card (hash differs)")
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


def find(source: str | Path) -> Path:
    """The folder of a model.

    Args:
        source: a bundled model's name, a folder, or a hub id ``owner/name`` (downloaded once, by
            huggingface-hub; only the three files of a model are fetched).
    """
    name = str(source)
    if is_model_folder(source):
        return Path(source)
    if "/" not in name and is_model_folder(BUNDLED / name):
        return BUNDLED / name
    if Path(source).exists():
        raise ModelError(f"{name}: not a model folder (it needs {CONFIG} and {WEIGHTS})")
    if name.count("/") == 1 and not name.startswith((".", "/")):
        return _download(name)
    known = ", ".join(c.name for c in list_models()) or "none"
    raise ModelError(f"no model named {name!r}; bundled: {known}; or give a folder or a hub id")


def _download(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(repository, allow_patterns=[CONFIG, WEIGHTS, CARD])
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise ModelError(
            f"{repository}: neither a folder nor a reachable hub model ({first})"
        ) from error
    if not is_model_folder(folder):
        raise ModelError(f"{repository}: the hub repository holds no sciddm model")
    return Path(folder)
