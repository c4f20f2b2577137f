"""Another sampler, guidance or number of steps than a pipeline's own.

Names are those of the registry (``sciddm.methods``). A pipeline that is given none runs as it was
calibrated; with any of them nobody compared its intervals with the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from sciddm.errors import OptionError
from sciddm.methods import POSTERIOR_SAMPLERS, SOLVERS, Run
from sciddm.sampling import Step
from sciddm.uncertainty.verdict import Finding

__all__ = ["LINEAR", "OWN", "MethodChoice"]

#: What samplers may need of an operator, for pipelines of any linear one.
LINEAR = ("any A", "linear A")


@dataclass(frozen=True)
class MethodChoice:
    """What is asked for; None is the pipeline's own.

    Attributes:
        sampler: a key of ``SOLVERS``.
        guidance: a key of ``POSTERIOR_SAMPLERS``.
        steps: noise levels after the first.
    """

    sampler: str | None = None
    guidance: str | None = None
    steps: int | None = None

    @property
    def own(self) -> bool:
        """Whether all is the pipeline's own."""
        return self == OWN

    @property
    def words(self) -> str:
        """What was chosen, in words."""
        options = {"sampler": self.sampler, "guidance": self.guidance, "steps": self.steps}
        return ", ".join(f"{name} {value}" for name, value in options.items() if value is not None)

    def check(self, needs: Sequence[str] = (), why: str = "", *, stochastic: bool = False) -> None:
        """Whether a pipeline takes it.

        Args:
            needs: which entries of the registry its operator satisfies, by their ``needs``; none
                for a pipeline without guidance.
            why: in that case, the reason.
            stochastic: chains start at the data, so that only a solver that adds noise draws
                anything but one image.

        Raises:
            OptionError: an unknown name, or one that does not fit.
        """
        if self.sampler is not None and self.sampler not in SOLVERS:
            raise OptionError("sampler", f"take one of {', '.join(SOLVERS)}", self.sampler)
        noisy = [name for name, solver in SOLVERS.items() if solver.stochastic]
        if stochastic and self.sampler is not None and self.sampler not in noisy:
            raise OptionError(
                "sampler",
                f"adds no noise, and chains start at the data here: take {' or '.join(noisy)}",
                self.sampler,
            )
        if self.guidance is None:
            return
        fits = [name for name, entry in POSTERIOR_SAMPLERS.items() if entry.needs in needs]
        if not fits:
            raise OptionError("guidance", why or "this verb has no guidance", self.guidance)
        if self.guidance not in POSTERIOR_SAMPLERS:
            raise OptionError("guidance", f"take one of {', '.join(fits)}", self.guidance)
        entry = POSTERIOR_SAMPLERS[self.guidance]
        if self.guidance not in fits:
            raise OptionError(
                "guidance",
                f"needs {entry.needs}, which this measurement is not: take one of "
                f"{', '.join(fits)}",
                self.guidance,
            )
        if self.sampler is not None and not entry.takes_solver:
            free = [name for name in fits if POSTERIOR_SAMPLERS[name].takes_solver]
            raise OptionError(
                "sampler",
                f"{self.guidance} has steps of its own: leave it out, or take --guidance "
                f"{', '.join(free)}",
                self.sampler,
            )

    def refuse(self, why: str) -> None:
        """For a model that is not sampled from.

        Args:
            why: as a clause.

        Raises:
            OptionError: something was chosen.
        """
        for name in ("sampler", "guidance", "steps"):
            if getattr(self, name) is not None:
                raise OptionError(name, f"{why}: leave it out", getattr(self, name))

    def step(self, default: Callable[[], Step]) -> Step:
        """The solver's step."""
        return default() if self.sampler is None else SOLVERS[self.sampler].make()

    def draw(self, run: Run) -> Tensor:
        """Draws by the chosen guidance.

        Raises:
            OptionError: the method cannot be run on this measurement.
        """
        assert self.guidance is not None
        try:
            return POSTERIOR_SAMPLERS[self.guidance].draw(run).x0
        except ValueError as error:
            raise OptionError("guidance", f"{error}: take another", self.guidance) from error

    def stamp(self) -> dict[str, str]:
        """Attributes of a result that was made with it, in place of the pipeline's own."""
        found: dict[str, str] = {}
        if self.sampler is not None:
            found["sampler"] = SOLVERS[self.sampler].title
        if self.guidance is not None:
            found["guidance"] = POSTERIOR_SAMPLERS[self.guidance].title
            if self.sampler is None:
                found["sampler"] = "that of the guidance"
        return found

    def calibrated(self, finding: Finding) -> Finding:
        """The second verdict of a result that was made with it: never "yes".

        Args:
            finding: of the pipeline's own method.
        """
        if self.own or finding.answer == "no":
            return finding
        return Finding(
            sentence=f"The factor on the standard deviation was fitted to the method of the "
            f"quality, not to {self.words}."
        )


#: The pipeline's own method.
OWN = MethodChoice()
