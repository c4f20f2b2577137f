"""sciddm: diffusion models for people who measure things."""

__version__ = "0.1.0"
