"""Errors a user should see as one line; the command line answers them with exit code 2."""

from __future__ import annotations

__all__ = ["InputError", "ModelError", "OptionError", "OutputError", "SciddmError"]


class SciddmError(Exception):
    """Base of all errors whose message is written for the user."""


class InputError(SciddmError, ValueError):
    """An input file, array or option is unusable; the message names it and the fix."""


class OptionError(InputError):
    """An option has a value that cannot be used.

    Args:
        option: name of the parameter in Python; the command line says its flag.
        problem: what is wrong and what to give, without the name.
    """

    def __init__(self, option: str, problem: str) -> None:
        super().__init__(f"{option}: {problem}")
        self.option, self.problem = option, problem


class OutputError(SciddmError, OSError):
    """A target cannot be written, or exists and may not be overwritten."""


class ModelError(SciddmError, ValueError):
    """A model is unknown, damaged, or does not fit the data."""
