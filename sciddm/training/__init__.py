"""Training: one Lightning module for every denoiser, recipes as validated YAML."""

from sciddm.training.recipe import Recipe, load_recipe
from sciddm.training.run import train

__all__ = ["Recipe", "load_recipe", "train"]
