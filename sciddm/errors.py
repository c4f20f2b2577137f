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
        problem: what is wrong and what to give, without name and value.
        value: that was given, where it is short.
    """

    def __init__(self, option: str, problem: str, value: object = "") -> None:
        self.option, self.problem, self.value = option, problem, f"{value}"
        super().__init__(self.about(option))

    def about(self, name: str) -> str:
        """The message with the option under another name, such as its flag."""
        return f"{name} {self.value}: {self.problem}" if self.value else f"{name}: {self.problem}"


class OutputError(SciddmError, OSError):
    """A target cannot be written, or exists and may not be overwritten."""


class ModelError(SciddmError, ValueError):
    """A model is unknown, damaged, or does not fit the data."""
