"""The processes that train one model together.

Each has a number (rank). The first (rank 0) writes: checkpoints, the log, the model. What each
would decide by its own clock or its own signals, they agree on by ``maximum``: a stop, a
checkpoint, the time that the learning rate follows.

``joined`` finds the team that a launcher has started: ``sciddm train --devices``, torchrun or srun.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed

from sciddm.errors import InputError, SciddmError

__all__ = ["Team", "TeamError", "joined", "machine_devices"]

T = TypeVar("T")

#: Words of the errors that gloo and NCCL raise where another process is gone.
_LOST = (
    "gloo",
    "nccl",
    "connection closed",
    "connection reset",
    "broken pipe",
    "tcpstore",
)
_START_PATIENCE = timedelta(minutes=30)


class TeamError(SciddmError):
    """A process of a training ended, so that the others cannot go on."""


@dataclass(frozen=True)
class Team:
    """One process's view of all that train together.

    Attributes:
        rank: its number among all.
        ranks: of them.
        local_rank: its number on its machine, which is that of its GPU.
        local_ranks: processes of its machine.
    """

    rank: int = 0
    ranks: int = 1
    local_rank: int = 0
    local_ranks: int = 1

    @property
    def alone(self) -> bool:
        """Whether it is the only one."""
        return self.ranks == 1

    @property
    def writes(self) -> bool:
        """Whether it is the one that writes files."""
        return self.rank == 0

    @property
    def nodes(self) -> int:
        """Machines."""
        return self.ranks // self.local_ranks

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Within the block the processes can talk to each other.

        Raises:
            TeamError: another process ended within the block.
        """
        if self.alone:
            yield
            return
        gpu = torch.cuda.is_available()
        if gpu:
            torch.cuda.set_device(self.local_rank)
        try:
            distributed.init_process_group("nccl" if gpu else "gloo", timeout=_START_PATIENCE)
            # What is agreed on is numbers of the processor: a GPU would be waited for.
            _groups[self] = distributed.new_group(backend="gloo", timeout=_START_PATIENCE)
            yield
        except RuntimeError as error:
            text = str(error).lower()
            if not any(word in text for word in _LOST):
                raise
            raise TeamError(
                f"process {self.rank + 1} of {self.ranks} on {socket.gethostname()}: another "
                "process of this training has ended: start the training again; it goes on from "
                "its last checkpoint"
            ) from error
        else:
            distributed.destroy_process_group()
        finally:
            _groups.pop(self, None)

    def maximum(self, values: Sequence[float]) -> list[float]:
        """The largest of what all processes say, value by value."""
        if self.alone:
            return list(values)
        table = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(table, distributed.ReduceOp.MAX, group=_groups[self])
        return [float(value) for value in table]

    def total(self, values: Sequence[float]) -> list[float]:
        """The sum over all processes, value by value."""
        if self.alone:
            return list(values)
        table = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(table, group=_groups[self])
        return [float(value) for value in table]

    def gathered(self, value: T) -> list[T]:
        """What each process has, by rank."""
        if self.alone:
            return [value]
        values: list[Any] = [None] * self.ranks
        distributed.all_gather_object(values, value, group=_groups[self])
        return values

    def first(self, decide: Callable[[], T]) -> T:
        """What the first process decides; its SciddmError is raised by all."""
        if self.alone:
            return decide()
        answer: list[Any] = [None, None]
        if self.writes:
            try:
                answer[0] = decide()
            except SciddmError as error:
                answer[1] = f"{error}"
                distributed.broadcast_object_list(answer, group=_groups[self])
                raise
        distributed.broadcast_object_list(answer, group=_groups[self])
        if answer[1] is not None:
            raise InputError(answer[1])
        decision: T = answer[0]
        return decision


#: By team: the group in which it agrees.
_groups: dict[Team, Any] = {}


def machine_devices() -> int:
    """Processes that train on this machine if nothing else is said: one a GPU, or one."""
    return max(1, torch.cuda.device_count())


def joined(devices: int | None = None, nodes: int | None = None) -> Team | None:
    """The team that a launcher has put this process into; None where there is no launcher.

    Args:
        devices: processes a machine that are asked for; None for those of the launcher.
        nodes: machines, likewise.

    Raises:
        InputError: the launcher started another number.
    """
    name = "torchrun"
    if "RANK" not in os.environ and int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        name = "srun"
        os.environ.update(_variables_of_srun())
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return None
    ranks = int(os.environ["WORLD_SIZE"])
    local_ranks = int(os.environ.get("LOCAL_WORLD_SIZE", ranks))
    local_rank = int(os.environ.get("LOCAL_RANK", os.environ["RANK"]))
    team = Team(int(os.environ["RANK"]), ranks, local_rank, local_ranks)
    for flag, wanted, there in (("devices", devices, local_ranks), ("nodes", nodes, team.nodes)):
        if wanted not in (None, there):
            raise InputError(f"--{flag} {wanted}: {name} started {there}: leave --{flag} out")
    if torch.cuda.is_available() and local_ranks > torch.cuda.device_count():
        raise InputError(
            f"{local_ranks} processes on {socket.gethostname()}, which has "
            f"{torch.cuda.device_count()} GPUs: start one process a GPU"
        )
    return team


def _variables_of_srun() -> dict[str, str]:
    """torchrun's variables, from those of a SLURM step."""
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

    step, tasks = os.environ, int(os.environ["SLURM_STEP_NUM_TASKS"])
    nodes = int(step.get("SLURM_STEP_NUM_NODES", 1))
    if tasks % nodes:
        raise InputError(f"srun started {tasks} processes on {nodes} machines: --ntasks-per-node")
    first = SLURMEnvironment.resolve_root_node_address(step.get("SLURM_STEP_NODELIST", "127.0.0.1"))
    job = step.get("SLURM_JOB_ID", "0")
    return {
        "RANK": step["SLURM_PROCID"],
        "WORLD_SIZE": str(tasks),
        "LOCAL_RANK": step["SLURM_LOCALID"],
        "LOCAL_WORLD_SIZE": str(tasks // nodes),
        "GROUP_RANK": step.get("SLURM_NODEID", "0"),
        "MASTER_ADDR": step.get("MASTER_ADDR", first),
        # Two jobs of one machine have other ports.
        "MASTER_PORT": step.get("MASTER_PORT", str(15_000 + int(job[-4:]))),
    }
