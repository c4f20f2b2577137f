"""Models: cards, bundled weights, folders and hub repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciddm.lazy import attach

if TYPE_CHECKING:
    from sciddm.zoo.catalog import card, find, list_models
    from sciddm.zoo.folder import load_model, save_model
    from sciddm.zoo.model_card import Card
    from sciddm.zoo.pretrained import Model, from_pretrained

__all__ = [
    "Card",
    "Model",
    "card",
    "find",
    "from_pretrained",
    "list_models",
    "load_model",
    "save_model",
]

# Cards can be read without torch.
_MODULES = {
    "Card": "sciddm.zoo.model_card",
    **dict.fromkeys(("card", "find", "list_models"), "sciddm.zoo.catalog"),
    **dict.fromkeys(("load_model", "save_model"), "sciddm.zoo.folder"),
    **dict.fromkeys(("Model", "from_pretrained"), "sciddm.zoo.pretrained"),
}
__getattr__, __dir__ = attach(__name__, _MODULES)
