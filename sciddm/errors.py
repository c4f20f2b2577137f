"""Errors a user should see as one line; the command line answers them with exit code 2."""

from __future__ import annotations

__all__ = ["InputError", "ModelError", "OutputError", "SciddmError"]


class SciddmError(Exception):
    """Base of all errors whose message is written for the user."""


class InputError(SciddmError):
    """An input file, array or option is unusable; the message names it and the fix."""


class OutputError(SciddmError):
    """A target cannot be written, or exists and may not be overwritten."""


class ModelError(SciddmError):
    """A model is unknown, damaged, or does not fit the data."""
