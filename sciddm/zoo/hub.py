"""Model folders on the hub of Hugging Face: what is sent there and what comes back.

A repository holds the files of a model folder, and a README.md whose head is the hub's
metadata. ``hub:OWNER/NAME`` is its newest state, ``hub:OWNER/NAME@REVISION`` a branch, a tag or a
commit. Downloads are kept in huggingface-hub's cache, which serves them where there is no network.

The weights are known by their SHA-256: it stands in the card, is compared after an upload with what
the hub states, and after a download with what arrived. Tokens are those of huggingface-hub (``hf
auth login``, or HF_TOKEN); they are never an argument, and no message shows them.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sciddm.errors import InputError, ModelError, OutputError, SciddmError
from sciddm.zoo.model_card import Card, read_card
from sciddm.zoo.names import CARD, CONFIG, STATISTICS, WEIGHTS, is_model_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingface_hub import HfApi

__all__ = ["HUB", "copy_to", "download", "metadata", "pull", "push", "readme"]

#: Prefix of a repository of the hub, which nothing else downloads.
HUB = "hub:"
README = "README.md"
#: Of a model folder; the last one is not in all.
_FILES = (CONFIG, WEIGHTS, CARD, STATISTICS)
#: Words of a card's licence, and the hub's names of licences.
_LICENCES = {
    r"apache-2\.0": "apache-2.0",
    r"mit\b": "mit",
    r"bsd-3-clause": "bsd-3-clause",
    r"cc0": "cc0-1.0",
    r"cc[ -]by[ -]nc[ -]sa[ -]4\.0": "cc-by-nc-sa-4.0",
    r"cc[ -]by[ -]nc[ -]4\.0": "cc-by-nc-4.0",
    r"cc[ -]by[ -]sa[ -]4\.0": "cc-by-sa-4.0",
    r"cc[ -]by[ -]4\.0": "cc-by-4.0",
    r"gpl-3\.0": "gpl-3.0",
}
_DOMAINS = {"mri": "mri", "ct": "ct", "hsi": "hyperspectral", "petct": "pet-ct", "us": "ultrasound"}
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def metadata(card: Card, datasets: Sequence[str] = ()) -> dict[str, Any]:
    """The head of a repository's README, in the hub's words: licence, tags, data sets, metrics.

    Args:
        card: of the model.
        datasets: data sets of the hub, OWNER/NAME, that it was trained on.

    Raises:
        InputError: a data set of another form.
    """
    for name in datasets:
        if not _REPOSITORY.fullmatch(name) or "@" in name:
            raise InputError(f"{name}: a data set of the hub is OWNER/NAME")
    # "weights Apache-2.0; data CC BY 3.0": what follows the semicolon is about other things.
    words = card.licence.split(";")[0].removeprefix("weights").strip()
    licence = next((n for p, n in _LICENCES.items() if re.match(p, words, re.IGNORECASE)), "other")
    head: dict[str, Any] = {"license": licence}
    if licence == "other" and words:
        head["license_name"] = re.sub(r"[^a-z0-9.]+", "-", words.lower()).strip("-")
    first = card.name.split("-")[0]
    tags = ["sciddm", "diffusion", "inverse-problems", _DOMAINS.get(first, first)]
    head |= {"library_name": "sciddm", "tags": [tag for tag in tags if tag]}
    if datasets:
        head["datasets"] = list(datasets)
    metrics = sorted(_names(card.metrics))
    if metrics:
        head["metrics"] = metrics
    return head


def readme(card: Card, repository: str, datasets: Sequence[str] = ()) -> str:
    """README.md of a repository: its metadata, and the card for readers.

    Args:
        card: of the model.
        repository: OWNER/NAME.
        datasets: see ``metadata``.
    """
    head = yaml.safe_dump(metadata(card, datasets), sort_keys=False, allow_unicode=True)
    parts = [f"---\n{head}---\n", f"# {card.name}\n", f"{card.summary}\n"]
    parts.append(
        f"```sh\nsciddm models info {HUB}{repository}    # the card\n```\n\n"
        f"`--model {HUB}{repository}` takes it in the commands of its domain, and "
        f'`sciddm.load("{HUB}{repository}")` in Python.\n'
    )
    titles = {
        "data": "Training data", "split": "Split", "licence": "Licence",
        "limits": "When not to trust it",
    }  # fmt: skip
    for key, title in titles.items():
        text = getattr(card, key)
        if text:
            parts.append(f"## {title}\n\n{text}\n")
    for key in ("metrics", "coverage", "training"):
        values = getattr(card, key)
        if values:
            content = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
            parts.append(f"## {key.capitalize()}\n\n```yaml\n{content}```\n")
    parts.append(f"SHA-256 of the weights: `{card.weights_sha256}`\n")
    return "\n".join(parts)


def push(
    folder: Path,
    repository: str,
    *,
    private: bool = False,
    datasets: Sequence[str] = (),
    api: HfApi | None = None,
) -> str:
    """Sends a model folder to a repository, which is made if it is not there, in one commit.

    Args:
        folder: of the model.
        repository: OWNER/NAME, with or without ``hub:``.
        private: make a new repository private.
        datasets: see ``metadata``.
        api: the hub; the one that huggingface-hub is set to, if not given.

    Returns:
        Address of the commit.

    Raises:
        ModelError: the folder holds no model, or weights that are not those of its card.
        OutputError: the hub refuses, or states other weights than were sent.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    name = repository.removeprefix(HUB)
    if not _REPOSITORY.fullmatch(name) or "@" in name:
        raise InputError(f"{repository}: a repository of the hub is {HUB}OWNER/NAME")
    if not is_model_folder(folder):
        raise ModelError(f"{folder}: not a model folder (it needs {CONFIG} and {WEIGHTS})")
    card = read_card(folder)
    sha256 = _checked(folder, card)
    card = card.model_copy(update={"weights_sha256": sha256})
    text = readme(card, name, datasets)
    hub = HfApi() if api is None else api
    with _refusals(f"{HUB}{name}", OutputError):
        hub.create_repo(name, private=private, exist_ok=True)
        files: list[Any] = [
            CommitOperationAdd(path_in_repo=file, path_or_fileobj=folder / file)
            for file in _files(folder)
        ]
        files.append(CommitOperationAdd(path_in_repo=README, path_or_fileobj=text.encode()))
        commit = hub.create_commit(
            name, files, commit_message=f"{card.name}, weights {sha256[:12]}"
        )
        (there,) = hub.get_paths_info(name, [WEIGHTS], revision=commit.oid)
    stated = getattr(getattr(there, "lfs", None), "sha256", None)
    if stated is not None and stated != sha256:
        raise OutputError(f"{HUB}{name}: the hub holds other weights than were sent: push again")
    return str(commit.commit_url)


def pull(repository: str) -> Path:
    """The folder of a repository, downloaded once, its weights checked.

    Args:
        repository: ``hub:OWNER/NAME`` or ``hub:OWNER/NAME@REVISION``.

    Raises:
        ModelError: no such repository, no network and nothing in the cache, or weights that are not
            those of the card.
    """
    if not repository.startswith(HUB):
        raise InputError(f"{repository}: a repository of the hub is {HUB}OWNER/NAME")
    folder = download(repository.removeprefix(HUB))
    _checked(folder, read_card(folder))
    return folder


def copy_to(folder: Path, target: Path) -> None:
    """The files of a model folder in a new folder, which appears whole.

    Raises:
        OutputError: it is there already.
    """
    from sciddm.storage import transaction

    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise OutputError(f"{target}: exists already: give a new name")
    with transaction([target], folders=[target]) as at:
        for name in _files(folder):
            shutil.copyfile(folder / name, at[target] / name)


def download(repository: str) -> Path:
    """The folder in the cache of OWNER/NAME or OWNER/NAME@REVISION; only a model's files are read.

    Raises:
        ModelError: there is none that can be reached, or it holds no model.
    """
    from huggingface_hub import snapshot_download

    name, _, revision = repository.partition("@")
    with _refusals(repository, ModelError, "neither a folder nor a reachable hub model"):
        folder = snapshot_download(name, revision=revision or None, allow_patterns=list(_FILES))
    if not is_model_folder(folder):
        raise ModelError(f"{repository}: the hub repository holds no sciddm model")
    return Path(folder)


def _files(folder: Path) -> list[str]:
    return [name for name in _FILES if (folder / name).is_file()]


def _checked(folder: Path, card: Card) -> str:
    """SHA-256 of the weights; raises where it is not that of the card."""
    from sciddm.zoo.folder import weights_hash

    sha256 = weights_hash(folder)
    if card.weights_sha256 and card.weights_sha256 != sha256:
        raise ModelError(f"{folder}: the weights are not those of the model card (hash differs)")
    return sha256


def _names(values: dict[str, Any]) -> set[str]:
    """Names of the figures in a card's nested metrics."""
    names = set()
    for key, value in values.items():
        if isinstance(value, dict):
            names |= _names(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            names.add(str(key).lower().replace("_", " ").split(" ")[0])
    return names


@contextmanager
def _refusals(
    name: str, kind: type[SciddmError], problem: str = "the hub refuses"
) -> Iterator[None]:
    """Errors of the hub and of the network as one sentence, in which no token stands."""
    from huggingface_hub import get_token
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        yield
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        if isinstance(error, SciddmError):
            raise
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        token = get_token()
        if token:
            first = first.replace(token, "***")
        code = getattr(getattr(error, "response", None), "status_code", None)
        hint = ": log in with `hf auth login`" if code in (401, 403) else ""
        # The cause is left out: its text and its request hold headers.
        raise kind(f"{name}: {problem} ({first}){hint}") from None
