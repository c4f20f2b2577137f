"""Writing all outputs of an item as one commit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sciddm.data_adapters.commit.checksums import record
from sciddm.data_adapters.commit.targets import check_folder, check_outputs
from sciddm.errors import OutputError, SciddmError
from sciddm.storage import refusal, transaction

__all__ = ["commit"]

_TOO_LITTLE = 2**18


@contextmanager
def commit(
    targets: Sequence[Path],
    overwrite: bool,
    *,
    folders: Mapping[Path, str] | None = None,
    remove: Sequence[Path] = (),
    nbytes: int = 0,
) -> Iterator[dict[Path, Path]]:
    """Places to write to, which become the targets together when the block ends well.

    After a failure, a kill or a loss of power the old outputs are there as before, or the new ones
    are; never some of both, once the next start has settled what was left.

    Args:
        targets: files, stores and folders, all in one folder. They appear in this order: put the
            main output last, so that its presence means that the others are there.
        overwrite: existing ones may be replaced.
        folders: of the targets, those that are folders of files, each with the suffix of all of
            its files; an existing one is replaced only where it holds nothing else.
        remove: outputs of an earlier run that this one lacks; they go with the switch.
        nbytes: the space that is needed, as far as the caller knows.

    Yields:
        From each target to where it is written, under the target's own name. Of `folders` the
        folder is there already. An output that is not written is left out.

    Raises:
        BusyError: another process writes one of them.
        OutputError: one exists, cannot be written, or the disk is full.
    """
    folders = dict(folders or {})

    def check() -> None:
        check_outputs([t for t in targets if t not in folders], overwrite)
        for target, suffix in folders.items():
            check_folder(target, overwrite, suffix)

    check()
    main, full = targets[-1], False

    def ready(written: Mapping[str, Path]) -> None:
        check()  # somebody else may have been quicker
        record(written)

    try:
        _check_space(main, nbytes)
        with transaction(targets, remove=remove, folders=list(folders), before=ready) as at:
            try:
                yield at
            except Exception:
                # Some libraries do not say why they cannot write.
                full = shutil.disk_usage(main.parent).free < _TOO_LITTLE
                raise
    except SciddmError:
        raise
    except Exception as error:
        raise refusal(main, error, full=full) from error


def _check_space(target: Path, nbytes: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if nbytes > free:
        raise OutputError(
            f"{target}: needs {nbytes / 1e6:.0f} MB, but the disk has {free / 1e6:.0f} MB left: "
            "free some space or choose another folder"
        )
