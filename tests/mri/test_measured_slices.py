"""Training data that are undersampled scans: units, the split by patient, parts of k-space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate
from typer.testing import CliRunner

from sciddm.data_adapters.mri import open_kspace
from sciddm.data_adapters.mri.save import save_kspace
from sciddm.errors import InputError
from sciddm.physics import CartesianMRI, Measurement
from sciddm.physics.mri.masks import make_mask
from sciddm.pipelines.cli import app
from sciddm.pipelines.mri.measured_slices import MeasuredSlices, SplitSlices, measured_files
from sciddm.simulation.mri.phantom import head_phantom
from sciddm.simulation.mri.scan import simulate_scan, undersample
from sciddm.training.recipe import Recipe
from sciddm.training.splitting import split, splitting_loss


def save_scan(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = head_phantom((48, 40), seed=seed, contrast="t2")
    scan = simulate_scan(head, 4, seed=seed)
    mask = make_mask("random", (48, 40), 2.0, 16, seed)
    save_kspace(undersample(scan, mask), path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    save_scan(folder / "first" / "a.h5", 0)
    save_scan(folder / "first" / "deeper" / "b.h5", 1)
    save_scan(folder / "second.h5", 2)
    (folder / "notes.txt").write_text("no scan")
    return folder


def test_files_of_a_subfolder_are_on_one_side(folder: Path, tmp_path: Path) -> None:
    names = {side: [p.name for p in measured_files(folder, side)] for side in ("train", "validate")}
    assert names == {"train": ["a.h5", "b.h5"], "validate": ["second.h5"]}
    for k in range(25):
        (tmp_path / f"{k:02d}.h5").touch()
    kept_out = [p.name for p in measured_files(tmp_path, "validate")]
    assert kept_out == ["09.h5", "19.h5"]
    with pytest.raises(InputError, match="1 files or subfolders"):
        measured_files(folder / "first" / "deeper", "train")
    with pytest.raises(InputError, match="cannot be read"):
        measured_files(tmp_path / "nothing", "train")
    with pytest.raises(InputError, match=r"data\.arguments\.folder"):
        MeasuredSlices()


def test_slices_are_in_units_of_their_noise_and_of_tissue(folder: Path) -> None:
    slices = MeasuredSlices(str(folder), coils=0)
    assert len(slices) == 2
    m = MeasuredSlices.measurement(default_collate([slices[0], slices[1]]))
    mask = slices[0]["mask"]
    assert torch.equal(slices[0]["kspace"] != 0, (mask != 0).expand(4, -1, -1))
    # A least-squares image explains the data up to the noise, which has power 1.
    image = m.A.solve(m.A.adjoint(m.y), 1e-3, iterations=60)
    residual = m.residual(image).abs().square().flatten(1).sum(1)
    freedom = 4 * mask.sum() - mask.numel()  # entries less unknowns
    assert residual / freedom == pytest.approx([1.0, 1.0], rel=0.35)
    bright = torch.quantile(image[0].abs().flatten(), 0.97)
    assert 0.6 < float(bright) < 1.4
    tissue = image[0].abs() > 0.5
    assert float(image[0][tissue].real.mean()) > 0.8 * float(image[0][tissue].abs().mean())


def test_what_cannot_be_used_is_named(folder: Path, tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        (tmp_path / name).write_bytes((folder / "second.h5").read_bytes())
    (tmp_path / "c.h5").write_bytes(b"no HDF5")
    (tmp_path / "d.h5").write_bytes((folder / "second.h5").read_bytes())
    with pytest.warns(UserWarning, match=r"left out 1 slices or files, the first: .*c\.h5"):
        assert len(MeasuredSlices(str(tmp_path))) == 2
    (tmp_path / "d.h5").write_bytes(b"no HDF5")
    with (
        pytest.warns(UserWarning, match="left out 1"),
        pytest.raises(InputError, match="no slice of the split validate"),
    ):
        MeasuredSlices(str(tmp_path), "validate")
    assert open_kspace(folder / "second.h5").sizes["coil"] == 4


def test_parts_of_a_slice_make_it_and_keep_the_centre(folder: Path) -> None:
    whole = MeasuredSlices(str(folder), coils=0)[0]
    parts = SplitSlices(str(folder), coils=0, share=0.4, centre=8)
    torch.manual_seed(0)
    item, other = parts[0], parts[0]
    assert not torch.equal(item["mask"], other["mask"])
    measured = float(whole["mask"].sum())
    assert float(item["mask"].sum()) / measured == pytest.approx(
        0.4 * (1 - 64 / measured), abs=0.05
    )
    assert torch.equal(item["kspace"], whole["kspace"] * item["mask"])
    assert not item["mask"][..., 20:28, 16:24].any()
    # The network is shown nothing of what is held out.
    first = Measurement(
        whole["kspace"] * (whole["mask"] - item["mask"]),
        CartesianMRI(whole["mask"] - item["mask"], whole["maps"]),
        1.0,
    )
    torch.testing.assert_close(
        item["y"], first.A.solve(first.A.adjoint(first.y), 1.0, iterations=10)
    )
    fixed = SplitSlices(str(folder), "validate", coils=0)
    assert torch.equal(fixed[0]["mask"], fixed[0]["mask"])


class Constant(nn.Module):
    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.image = image

    def forward(self, y: Tensor) -> Tensor:
        return self.image


def test_the_loss_of_the_truth_is_that_of_the_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 1, 32, 32, dtype=torch.complex64, generator=generator)
    mask = (torch.rand(3, 1, 32, 32, generator=generator) < 0.5).float()
    first, second = split(mask, 0.3, 4, generator)
    assert torch.equal(first + second, mask)
    noise = torch.randn(x.shape, dtype=x.dtype, generator=generator)
    A = CartesianMRI(second)
    held_out = Measurement(A(x) + 0.2 * second * noise, A, 0.2)
    loss = splitting_loss(Constant(x), x, held_out)
    assert loss == pytest.approx([1.0] * 3, abs=0.25)
    far = 0.5 * torch.ones_like(x)
    more = splitting_loss(Constant(x + far), x, held_out)
    residual = (held_out.residual(x) - A(far)).abs().square().flatten(1).sum(1)
    np.testing.assert_allclose(more, residual / (0.04 * second.flatten(1).sum(1)), rtol=1e-5)


def test_the_command_names_the_folder_of_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Recipe] = []

    def run(recipe: Recipe, folder: Path, **options: object) -> Path:
        seen.append(recipe)
        return folder

    monkeypatch.setattr("sciddm.training.run.train", run)
    folder = tmp_path / "of: two #"
    words = ["train", "--domain", "mri", "--measurements", str(folder), "expectation.rounds=3"]
    answer = CliRunner().invoke(app, words)
    assert answer.exit_code == 0, answer.output
    assert seen[0].name == "mri-from-kspace"
    assert seen[0].data.arguments["folder"] == str(folder)
    assert seen[0].expectation is not None
    assert seen[0].expectation.rounds == 3
    assert CliRunner().invoke(app, [*words[:1], *words[3:5]]).exit_code != 0  # of which domain
