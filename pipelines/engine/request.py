"""All options of a verb in one frozen, validated object.

The options of the command line, the parameters of the Python function, the request that is stored
with a result, and the printed command follow from its fields: an option is declared once.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from sciddm.errors import OptionError
from sciddm.pipelines.engine.option import Device, Option, choices_of, option

__all__ = [
    "Declared",
    "GuidanceRequest",
    "ImageRequest",
    "JudgedRequest",
    "NetworkRequest",
    "Request",
    "SamplerRequest",
]


class Declared(NamedTuple):
    """An option as it is declared.

    Attributes:
        annotation: its type, without the ``Option``.
        option: what is said of it.
        default: ``inspect.Parameter.empty`` where one must be given.
    """

    annotation: Any
    option: Option
    default: Any


class Request(BaseModel):
    """Base of all requests. The docstring of a subclass is the help text of its verb.

    Every field is ``name: type = option(default, "help", ...)``; see ``option``.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, validate_default=False
    )

    def check(self) -> None:
        """Raises OptionError for options that do not go together; overridden where some do not."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The request with these values and the defaults of all others.

        Raises:
            OptionError: an unknown option, a value of the wrong type or beyond its bounds, options
                that do not go together.
        """
        try:
            request = cls.model_validate(dict(values))
        except ValidationError as error:
            raise cls._readable(error) from None
        request.check()
        return request

    @classmethod
    def declared(cls) -> dict[str, Declared]:
        """All options by their names, in the order of declaration."""
        return dict(_declared(cls))

    @classmethod
    def signature(cls) -> list[inspect.Parameter]:
        """The options as keyword-only parameters."""
        return [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=d.default, annotation=d.annotation
            )
            for name, d in cls.declared().items()
        ]

    def values(self, *names: str, **renamed: str) -> dict[str, Any]:
        """Options as keywords for a function.

        Args:
            names: options that are parameters of the same name.
            renamed: from a parameter to the option that it takes.
        """
        renamed = {**dict(zip(names, names, strict=True)), **renamed}
        return {parameter: getattr(self, name) for parameter, name in renamed.items()}

    def without(self, *names: str) -> dict[str, Any]:
        """All options but these and those of the engine, as keywords for a function."""
        apart = set(names)
        for shared in (NetworkRequest, JudgedRequest, ImageRequest):
            if isinstance(self, shared):  # a verb may have an option of such a name for itself
                apart |= {*shared.model_fields}
        return self.values(*(name for name in self.declared() if name not in apart))

    def stored(self) -> dict[str, Any]:
        """The options that decide the result, as JSON can hold them."""
        return {
            name: _plain(getattr(self, name))
            for name, d in self.declared().items()
            if not d.option.incidental
        }

    @classmethod
    def _readable(cls, error: ValidationError) -> OptionError:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "option"
        known = cls.declared()
        if first["type"] == "extra_forbidden":
            return OptionError(name, f"there is no such option, only {', '.join(known)}")
        if first["type"] == "missing":
            return OptionError(name, f"is missing: {known[name].option.help}")
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, OptionError):
            return cause
        if isinstance(cause, ValueError):
            return OptionError(name, str(cause), _short(first["input"]))
        value = first["input"]
        choices = choices_of(known[name].annotation) if name in known else ()
        if choices:
            return OptionError(name, f"take one of {', '.join(choices)}", _short(value))
        problem = f"{first['msg'][0].lower()}{first['msg'][1:]}"
        return OptionError(name, problem, _short(value))


class NetworkRequest(Request):
    """Base of the requests of verbs that run networks: they have a device and
    a model whose card may have a plan of acceleration."""

    device: Device = "auto"
    accelerate: Literal["plan", "none"] = option(
        "plan", "Follow the model card's certified acceleration plan, or compute without it."
    )


def _is_there(path: Path) -> None:
    if not path.exists():
        raise OptionError("reference", f"{path}: no such file or folder: check the name")


class JudgedRequest(NetworkRequest):
    """Base of the requests of verbs whose result can be compared with a ground truth."""

    reference: Annotated[
        Path | None,
        Option(
            "Ground truth, as evaluate takes it: its metrics stand in the report and the JSON.",
            incidental=True,
            check=lambda path: path is None or _is_there(path),
        ),
    ] = None


class ImageRequest(JudgedRequest):
    """Base of the requests of verbs whose result is an image with calibrated errors.

    The mean of each labelled region and its interval are told with the result.
    """

    roi: Path | np.ndarray | None = option(
        None, "Mask of labelled regions on the grid of OUT, for the mean of each with its interval."
    )


class SamplerRequest(Request):
    """Base of the requests of verbs whose sampler can be chosen; the defaults are calibrated."""

    sampler: str | None = option(
        None, "Solver of the reverse diffusion, by its name in `sciddm methods list`."
    )
    steps: int | None = option(None, "Noise levels of a chain after the first.", ge=1, le=1000)


class GuidanceRequest(SamplerRequest):
    """Base of the requests of verbs that reconstruct from a linear measurement."""

    guidance: str | None = option(
        None, "Posterior sampler in place of the verb's own, by its name in `sciddm methods list`."
    )


_METHOD = ("sampler", "guidance", "steps")
_LAST = (*_METHOD, *ImageRequest.model_fields)


def _short(value: object) -> str:
    """A value as it is shown in a message; nothing of data and long texts."""
    if isinstance(value, bool | int | float | str | Path):
        text = f"{value:g}" if isinstance(value, float) else str(value)
        return text if len(text) <= 60 else ""
    return ""


@cache
def _declared(cls: type[Request]) -> tuple[tuple[str, Declared], ...]:
    hints = get_type_hints(cls, include_extras=True)
    found = []
    # What all have in common comes last.
    fields = sorted(cls.model_fields.items(), key=lambda f: f[0] in _LAST)
    for name, field in fields:
        annotation, extras = hints[name], list(field.metadata)
        if get_origin(annotation) is Annotated:
            annotation, *own = get_args(annotation)
            extras += own
        option = next((extra for extra in extras if isinstance(extra, Option)), None)
        if option is None:
            raise TypeError(f"{cls.__name__}.{name}: declare it as type = option(default, help)")
        default = inspect.Parameter.empty if field.is_required() else field.default
        found.append((name, Declared(annotation, option, default)))
    return tuple(found)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    # Data that were given in place of a file.
    return f"<{type(value).__name__}>"
