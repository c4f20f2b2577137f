"""Models: cards, bundled weights, folders and hub repositories."""

from sciddm.zoo.card import Card
from sciddm.zoo.folder import load_model, save_model
from sciddm.zoo.pretrained import Model, card, find, from_pretrained, list_models

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
