"""One option of a verb: what it means, what values it takes, and its flags."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin

from sciddm.errors import OptionError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = [
    "Device",
    "Model",
    "Option",
    "Quality",
    "Samples",
    "Seed",
    "bundled_models",
    "choices_of",
    "option",
    "two_numbers",
]


N = TypeVar("N", int, float)
T = TypeVar("T")


@dataclass(frozen=True)
class Option:
    """What is said of a field of a request: see ``option``.

    A type that several requests have is ``Width = Annotated[int, Option("...", ge=1)]``, and an
    option without a default ``width: Annotated[int, Option("...", ge=1)]``.

    Attributes:
        help: one sentence for the command line and the docstring.
        ge, gt, le, lt: bounds of a number, or of each of several.
        flags: on the command line; ``--name`` with dashes if empty.
        metavar: what stands for the value in the help.
        incidental: says how to run, not what to compute; not stored with the result.
        hidden: an older name of an option, left out of the help.
        complete: values that the shell completes.
        check: raises OptionError for a value that is not written as it should be.
    """

    help: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    flags: tuple[str, ...] = ()
    metavar: str | None = None
    incidental: bool = False
    hidden: bool = False
    complete: Callable[[], Iterable[str]] | None = None
    check: Callable[[Any], object] | None = None

    def problem(self, value: Any) -> str:
        """What is wrong with a value, empty if nothing is."""
        if isinstance(value, list | tuple):
            return next((text for text in map(self.problem, value) if text), "")
        if isinstance(value, bool) or not isinstance(value, int | float):
            return ""
        rules: tuple[tuple[float | None, Callable[[float], bool], str], ...] = (
            (self.ge, lambda bound: value >= bound, "at least"),
            (self.gt, lambda bound: value > bound, "more than"),
            (self.le, lambda bound: value <= bound, "at most"),
            (self.lt, lambda bound: value < bound, "less than"),
        )
        bounds = [(bound, holds, word) for bound, holds, word in rules if bound is not None]
        # NaN and the infinities satisfy no bound of a physical quantity.
        finite = value == value and abs(value) != float("inf")
        if all(holds(bound) for bound, holds, _ in bounds) and (finite or not bounds):
            return ""
        return f"take {' and '.join(f'{w} {b:g}' for b, _, w in bounds)}"

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        from pydantic_core import core_schema

        def within(value: Any) -> Any:
            problem = self.problem(value)
            if problem:
                raise ValueError(problem)
            if self.check is not None:
                self.check(value)
            return value

        return core_schema.no_info_after_validator_function(within, handler(source))


def option(default: T, help: str, **said: Any) -> T:
    """A field of a request with its default, as ``size: int = option(3, "help", ge=1)``.

    Args:
        default: of the option.
        help, said: see ``Option``.

    Returns:
        What pydantic makes a field of; to type checkers it is the default.
    """
    from pydantic import Field

    field: Any = Field(default)
    field.metadata.append(Option(help, **said))
    result: T = field
    return result


def choices_of(annotation: Any) -> tuple[str, ...]:
    """The values of a ``Literal``, or of one among the alternatives of a union; empty otherwise."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return tuple(str(value) for value in get_args(annotation))
    for part in get_args(annotation):
        if get_origin(part) is Literal:
            return tuple(str(value) for value in get_args(part))
    return ()


def two_numbers(
    option: str, text: str, separator: str, number: Callable[[str], N], like: str
) -> tuple[N, N]:
    """The numbers of an option that is written as two with a separator, such as 5-45.

    Args:
        option: its name.
        text: its value.
        separator: between the two.
        number: reads one of them: int or float.
        like: how it is written, for the message.

    Raises:
        OptionError: not two numbers.
    """
    try:
        first, second = (number(part) for part in text.split(separator))
    except ValueError:
        raise OptionError(option, f"{text} is given, take {like}") from None
    return first, second


def bundled_models() -> list[str]:
    """Names of the bundled models."""
    from sciddm import zoo

    return [card.name for card in zoo.list_models()]


#: Name of a bundled model, a model folder, or hub:OWNER/NAME.
Model = Annotated[str, Option("Model: name, folder or hub:OWNER/NAME.", complete=bundled_models)]
#: Speed level, the same word in every domain.
Quality = Annotated[
    Literal["fast", "balanced", "best"],
    Option("Speed and accuracy: fast is quickest, best is most accurate."),
]
#: Number of posterior samples, where two or more are needed.
Samples = Annotated[
    int | None, Option("Posterior samples; the quality decides if not given.", ge=2)
]
Seed = Annotated[int, Option("Seed of all random draws.", ge=0)]
#: Where networks and operators run; see ``sciddm.device``. It decides no draw.
Device = Annotated[
    str,
    Option(
        "Device for the computation: auto, cpu, cuda, cuda:N or mps.",
        incidental=True,
        complete=lambda: ("auto", "cpu", "cuda", "mps"),
    ),
]
