"""Model cards: what a model was made from, how good it is, and where it fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sciddm.errors import ModelError
from sciddm.storage.special_files import check_regular
from sciddm.zoo.names import CARD

__all__ = ["Card", "read_card"]


class Card(BaseModel):
    """Everything a user should know before trusting a model.

    ``metrics`` are on the validation cases of ``split``, beside the baselines; ``coverage`` is
    the share of truths inside the posterior's intervals there. ``training`` is written by the
    training itself: steps, hours, hardware. ``calibration`` holds what makes the pipeline's
    intervals hold what they promise, by quality: {"level": 0.9, "fast": {"spread": 1.5, ...}};
    ``shift`` what the pipeline's score of distribution shift is on data like the training's.
    ``acceleration`` is the model's ``Plan``, which ``benchmarks.certify`` writes.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    summary: str = ""
    data: str = ""
    licence: str = ""
    split: str = ""
    recipe: str = ""
    training: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    coverage: dict[str, Any] = Field(default_factory=dict)
    calibration: dict[str, Any] = Field(default_factory=dict)
    shift: dict[str, Any] = Field(default_factory=dict)
    acceleration: dict[str, Any] = Field(default_factory=dict)
    limits: str = ""
    weights_sha256: str = ""


def read_card(folder: str | Path) -> Card:
    """The card of a model folder.

    Raises:
        ModelError: there is none, or it has keys a card does not have.
    """
    path = Path(folder) / CARD
    try:
        check_regular(path)
        return Card.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ModelError(f"{path}: {where}: {error.errors()[0]['msg']}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: no readable model card") from error
