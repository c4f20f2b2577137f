"""Models on the hub: a round trip through a local stand-in, checked weights, no token shown."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import constants

from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import InputError, ModelError, OutputError
from sciddm.networks import build_network
from sciddm.process import EDM
from sciddm.zoo import find, from_pretrained, save_model
from sciddm.zoo.hub import copy_to, metadata, pull, push
from sciddm.zoo.model_card import Card

NAME = "lab/heads"
TOKEN = "hf_abcdefghijklmnop"
CARD = {
    "name": "mri-heads",
    "summary": "Heads.",
    "licence": "weights Apache-2.0; data CC BY 4.0",
    "data": "forty heads",
    "limits": "Nothing but heads.",
    "metrics": {"R4": {"psnr": 31.2, "ssim": 0.9}, "R8": {"psnr": 28.0}},
}


class Hub:
    """What a server of repositories holds: the files of each commit."""

    def __init__(self) -> None:
        self.commits: dict[str, dict[str, bytes]] = {}
        self.newest = ""
        self.requests: list[str] = []

    def commit(self, files: dict[str, bytes]) -> str:
        oid = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.commits[oid], self.newest = files, oid
        return oid

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content of a GET."""
        self.requests.append(path)
        api = f"/api/models/{NAME}/revision/"
        if path.startswith(api):
            oid = path.removeprefix(api).split("?")[0]
            oid = self.newest if oid == "main" else oid
            if oid in self.commits:
                names = [{"rfilename": name} for name in self.commits[oid]]
                return 200, {}, json.dumps({"id": NAME, "sha": oid, "siblings": names}).encode()
        tree = f"/api/models/{NAME}/tree/"
        if path.startswith(tree):
            files = self.commits[path.removeprefix(tree).split("?")[0]]
            listed = [
                {"type": "file", "path": name, "size": len(content), "oid": "0" * 40}
                for name, content in files.items()
            ]
            return 200, {}, json.dumps(listed).encode()
        parts = path.split("/")
        if parts[1:3] == NAME.split("/") and parts[3] == "resolve":
            oid = self.newest if parts[4] == "main" else parts[4]
            content = self.commits.get(oid, {}).get(parts[5])
            if content is not None:
                etag = hashlib.sha256(content).hexdigest()
                return 200, {"ETag": f'"{etag}"', "X-Repo-Commit": oid}, content
        return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"


class Api:
    """The calls of HfApi that a push makes."""

    def __init__(self, hub: Hub, stated: str | None = None) -> None:
        self.hub, self.stated, self.calls = hub, stated, []

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        self.calls.append((repo_id, private))

    def create_commit(self, repo_id: str, operations: list[Any], *, commit_message: str) -> Any:
        files = {}
        for operation in operations:
            with operation.as_file() as file:
                files[operation.path_in_repo] = file.read()
        oid = self.hub.commit(files)
        return SimpleNamespace(oid=oid, commit_url=f"https://hub/{repo_id}/commit/{oid}")

    def get_paths_info(self, repo_id: str, paths: list[str], *, revision: str) -> list[Any]:
        content = self.hub.commits[revision][paths[0]]
        stated = self.stated or hashlib.sha256(content).hexdigest()
        return [SimpleNamespace(lfs=SimpleNamespace(sha256=stated))]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    held = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, content = held.answer(self.path)
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield held
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = build_network(
        {
            "name": "UNet",
            "in_channels": 2,
            "out_channels": 2,
            "channels": [4, 8],
            "num_res_blocks": 1,
            "norm_num_groups": 2,
        }
    )
    save_model(NetworkDenoiser(network, EDM(), complex_data=True), tmp_path / "heads", CARD)
    return tmp_path / "heads"


def test_what_is_pushed_is_pulled(hub: Hub, folder: Path, tmp_path: Path) -> None:
    api = Api(hub)
    address = push(folder, f"hub:{NAME}", private=True, datasets=["lab/scans"], api=api)
    assert address.endswith(hub.newest)
    assert api.calls == [(NAME, True)]
    back = from_pretrained(f"hub:{NAME}")
    here = from_pretrained(folder)
    assert back.weights_sha256 == here.weights_sha256
    assert back.card == here.card
    for name, value in here.model.state_dict().items():
        assert torch.equal(value, back.model.state_dict()[name])
    copy_to(find(f"hub:{NAME}"), tmp_path / "copy")
    assert from_pretrained(tmp_path / "copy").weights_sha256 == here.weights_sha256
    with pytest.raises(OutputError, match="exists already"):
        copy_to(folder, tmp_path / "copy")


def test_a_revision_stays_what_it_was_and_the_cache_needs_no_network(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(folder, NAME, api=Api(hub))
    first = hub.newest
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, "summary": "Other heads."}))
    push(folder, NAME, api=Api(hub))
    assert from_pretrained(f"hub:{NAME}").card.summary == "Other heads."
    assert from_pretrained(f"hub:{NAME}@{first}").card.summary == "Heads."
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert from_pretrained(f"hub:{NAME}").card.summary == "Other heads."
    assert from_pretrained(f"hub:{NAME}@{first}").card.summary == "Heads."
    assert not hub.requests
    with pytest.raises(ModelError, match="lab/limbs"):
        pull("hub:lab/limbs")


def test_other_weights_are_named_on_either_way(hub: Hub, folder: Path) -> None:
    with pytest.raises(OutputError, match="other weights than were sent"):
        push(folder, NAME, api=Api(hub, stated="0" * 64))
    files = dict(hub.commits[hub.newest])
    content = bytearray(files["model.safetensors"])
    content[-1] ^= 1
    hub.commit({**files, "model.safetensors": bytes(content)})
    with pytest.raises(ModelError, match="not those of the model card"):
        pull(f"hub:{NAME}")
    (folder / "model.safetensors").write_bytes(bytes(content))
    with pytest.raises(ModelError, match="not those of the model card"):
        push(folder, NAME, api=Api(hub))
    hub.commit({"README.md": b"nothing else"})
    with pytest.raises(ModelError, match="holds no sciddm model"):
        pull(f"hub:{NAME}")


def test_no_message_shows_the_token(hub: Hub, folder: Path) -> None:
    class Refusing(Api):
        def create_repo(self, *args: Any, **options: Any) -> None:
            raise OSError(f"401 for Authorization: Bearer {TOKEN}")

    with pytest.raises(OutputError, match="Bearer \\*\\*\\*") as caught:
        push(folder, NAME, api=Refusing(hub))
    assert TOKEN not in str(caught.value)
    assert caught.value.__suppress_context__
    with pytest.raises(ModelError) as missing:
        pull("hub:lab/limbs")
    assert TOKEN not in str(missing.value)


@pytest.mark.parametrize("name", ["heads", "a/b/c", "lab/heads@main", "lab/he ads"])
def test_names_that_are_no_repository(folder: Path, name: str) -> None:
    with pytest.raises(InputError, match="OWNER/NAME"):
        push(folder, name)


def test_the_page_of_a_repository(hub: Hub, folder: Path) -> None:
    push(folder, NAME, datasets=["lab/scans"], api=Api(hub))
    text = hub.commits[hub.newest]["README.md"].decode()
    _, head, body = text.split("---\n", 2)
    assert yaml.safe_load(head) == {
        "license": "apache-2.0",
        "library_name": "sciddm",
        "tags": ["sciddm", "diffusion", "inverse-problems", "mri"],
        "datasets": ["lab/scans"],
        "metrics": ["psnr", "ssim"],
    }
    weights = json.loads(hub.commits[hub.newest]["card.json"])["weights_sha256"]
    for words in ("# mri-heads", "Nothing but heads.", f"--model hub:{NAME}", weights):
        assert words in body
    with pytest.raises(InputError, match="a data set of the hub"):
        metadata(Card(name="x"), ["nothing"])


@pytest.mark.parametrize(
    ("words", "licence", "name"),
    [
        ("MIT", "mit", None),
        ("weights CC BY-NC 4.0; data MIT", "cc-by-nc-4.0", None),
        ("CC BY 4.0", "cc-by-4.0", None),
        ("that of the user's data", "other", "that-of-the-user-s-data"),
        ("", "other", None),
    ],
)
def test_licences_have_the_hubs_names(words: str, licence: str, name: str | None) -> None:
    head = metadata(Card(name="ct-x", licence=words))
    assert (head["license"], head.get("license_name")) == (licence, name)
