"""The front door for operators of one's own, the registry, and the page that is made of it."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
from oracle import Bulk
from support import F64, randn
from torch import Tensor

import sciddm
from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import InputError, ModelError, OptionError
from sciddm.ledger import tally
from sciddm.methods import POSTERIOR_SAMPLERS, SOLVERS
from sciddm.oracles import GaussianDenoiser
from sciddm.physics import FunctionOperator, Mask, Matrix, NonlinearMeasurement, Operator
from sciddm.physics.operator import inner
from sciddm.process import EDM, SBVE
from sciddm.sampling import log_snr, sample
from sciddm.zoo.model_card import Card
from sciddm.zoo.pretrained import Model

PAGE = Path(__file__).resolve().parents[2] / "docs" / "methods.md"


def white(n: int, v: float = 1.0) -> GaussianDenoiser:
    return GaussianDenoiser(EDM(), torch.zeros(n, dtype=F64), v * torch.eye(n, dtype=F64))


# The page ---------------------------------------------------------------------------------------


def test_the_page_has_every_method():
    text = PAGE.read_text()
    for entry in POSTERIOR_SAMPLERS.values():
        evidence = "yes" if entry.evidence else ""
        row = (entry.title, entry.source, entry.needs, evidence, entry.advice)
        assert f"| `{entry.name}` | " + " | ".join(row) + " |" in text
        assert f"| `{entry.name}` | {entry.cost} | " in text
    for solver in SOLVERS.values():
        assert f"| `{solver.name}` | {solver.title}; {solver.source} |" in text
        assert f"| {solver.advice} |" in text


@pytest.mark.parametrize("change", ["", "inpainting"])
def test_the_script_of_the_page(change, capsys):
    """Executed as it stands; coverage of 90 % intervals within 4 errors of 3200 values."""
    script = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.S).group(1)
    if change:  # the same with entries that are picked
        script = script.replace("FunctionOperator(blur,", "FunctionOperator(inpainting,")
        assert "FunctionOperator(inpainting," in script
    torch.manual_seed(0)
    values: dict = {}
    exec(script, values)
    posterior, truth = values["posterior"], values["truth"]
    assert posterior.coverage(truth, 0.9) == pytest.approx(0.9, abs=0.025)
    assert "agrees with the data" in posterior.verdict
    matrix = values["A"](torch.eye(16)).T.double()
    # The script adds noise to entries that the mask leaves out, too: they are data without signal.
    total = matrix @ matrix.T + 0.01 * torch.eye(16)
    law = torch.distributions.MultivariateNormal(torch.zeros(16, dtype=F64), total)
    exact = law.log_prob(values["y"].double())
    # Draws of 16 leave a scatter of about a nat and a half in what 16 data say.
    assert float((posterior.log_evidence - exact).std()) < 2.5
    assert float((posterior.log_evidence - exact).mean()) == pytest.approx(0, abs=2.0)
    assert "agrees" in capsys.readouterr().out


# sample_posterior -------------------------------------------------------------------------------


# The others are biased where there is noise, or too narrow, as the page says.
SAMPLERS = ["smc", "mmps", "gibbs", "pigdm", "diffpir", "daps", "pnp-dm"]


def test_all_methods_run():
    A, y = Mask(torch.arange(4) % 2 == 0, ndim=1), torch.tensor([1.0, 0.0, -0.5, 0.0], dtype=F64)
    for name in POSTERIOR_SAMPLERS:
        draws = sciddm.sample_posterior(y, A, white(4), 0.2, method=name, samples=4, steps=4)
        assert draws.samples.shape == (4, 1, 4)
        assert bool(draws.samples.isfinite().all())
        assert draws.nfe > 0


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_method_finds_the_mean_of_a_gaussian_posterior(name):
    """A mask on white data: the mean, within a quarter of a standard deviation."""
    sigma, n, k = 0.5, 6, 60 if name == "pnp-dm" else 120
    A, y = Mask(torch.arange(n) % 2 == 0, ndim=1), randn(n, seed=3)
    y = y * A.d
    posterior = sciddm.sample_posterior(
        y, A, white(n), sigma, method=name, samples=k, steps=20, measured=3
    )
    expected = y / (1 + sigma**2)
    exact = torch.where(A.d > 0, sigma**2 / (1 + sigma**2), 1.0).double().sqrt()
    assert posterior.samples.shape == (k, 1, n)
    assert ((posterior.mean[0] - expected) / exact).abs().max() < 0.3
    assert torch.allclose(posterior.std[0], exact, rtol=0.3)
    assert (posterior.log_evidence is not None) == POSTERIOR_SAMPLERS[name].evidence
    if posterior.log_evidence is not None:
        seen = y[A.d > 0]
        total = 1 + sigma**2
        law = -0.5 * seen.square().sum() / total - 1.5 * math.log(2 * math.pi * total)
        assert float(posterior.log_evidence) == pytest.approx(float(law), abs=0.5)


@pytest.mark.parametrize("name", [n for n in POSTERIOR_SAMPLERS if n not in ("ddrm", "repaint")])
@pytest.mark.parametrize("shape", [(2, 3), (6, 1, 1)])
def test_data_may_have_other_axes_than_the_image(name, shape):
    """The axes of y are a matter of layout: y as (6,), (2, 3) or (6, 1, 1) is the same data."""
    H = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    prior = GaussianDenoiser(EDM(), torch.zeros(5), torch.eye(5))
    flat = FunctionOperator(lambda x: x @ H.T, (5,))
    folded = FunctionOperator(lambda x: (x @ H.T).view(-1, *shape), (5,))
    y = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    options = {"sigma": 0.3, "method": name, "samples": 2, "steps": 4}
    expected = sciddm.sample_posterior(y, flat, prior, **options)
    got = sciddm.sample_posterior(y.view(3, *shape), folded, prior, **options)
    torch.testing.assert_close(got.samples, expected.samples, rtol=1e-3, atol=1e-4)
    if expected.log_evidence is not None:
        torch.testing.assert_close(got.log_evidence, expected.log_evidence, rtol=1e-4, atol=1e-3)


def test_items_of_a_batch_are_sampled_as_alone():
    prior, A = white(3), Matrix(randn(2, 3))
    y = randn(4, 2, seed=1)
    together = sciddm.sample_posterior(y, A, prior, 0.3, samples=3, steps=5)
    assert together.samples.shape == (3, 4, 3)
    first = sciddm.sample_posterior(y[0], A, prior, 0.3, samples=3, steps=5)
    assert torch.allclose(first.samples[:, 0], together.samples[:, 0])
    assert float(first.log_evidence) == pytest.approx(float(together.log_evidence[0]))
    other = sciddm.sample_posterior(y[0], A, prior, 0.3, samples=3, steps=5, seed=1)
    assert not torch.allclose(first.samples, other.samples)
    more = sciddm.sample_posterior(y[0], A, prior, 0.3, samples=5, steps=5)
    assert torch.allclose(more.samples[:3], first.samples)


def test_costs_are_those_of_the_run():
    posterior = sciddm.sample_posterior(
        randn(2), Matrix(randn(2, 3)), white(3), 0.3, samples=4, steps=6
    )
    assert (posterior.nfe, posterior.nvjp) == (7, 21)


def test_an_operator_that_is_not_linear():
    """y = x^3 + n near its root: the mean of the posterior of a narrow prior."""

    class Cube(Operator):
        domain_ndim = range_ndim = 1

        def __call__(self, x: Tensor) -> Tensor:
            return x**3

    prior = GaussianDenoiser(
        EDM(), torch.tensor([1.0], dtype=F64), torch.tensor([[0.04]], dtype=F64)
    )
    y, sigma = torch.tensor([1.5], dtype=F64), 0.1
    posterior = sciddm.sample_posterior(
        y, Cube(), prior, sigma, samples=200, steps=30, like=torch.zeros(1, dtype=F64)
    )
    x = torch.linspace(0, 2, 2001, dtype=F64)
    log_p = -((x - 1) ** 2) / 0.08 - (y - x**3) ** 2 / (2 * sigma**2)
    weights = log_p.softmax(0)
    mean = float(weights @ x)
    std = float((weights @ (x - mean) ** 2).sqrt())
    assert float(posterior.mean) == pytest.approx(mean, abs=0.5 * std)
    assert isinstance(NonlinearMeasurement(y, Cube(), sigma), NonlinearMeasurement)
    with pytest.raises(InputError, match="smc: this method needs a linear operator"):
        sciddm.sample_posterior(y, Cube(), prior, sigma, method="smc", like=x[:1])
    with pytest.raises(OptionError, match="element of its domain"):
        sciddm.sample_posterior(y, Cube(), prior, sigma)


def test_an_operator_of_a_stranger_is_explained():
    class Square(Operator):
        def __call__(self, x):
            return x**2

    x, A = randn(3, 4), FunctionOperator(lambda v: 2 * v, (4,))
    with pytest.raises(OptionError, match="A: a plain function says nothing of its domain"):
        sciddm.sample_posterior(x, torch.sin, white(4), 0.1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="y is a ndarray, not a torch tensor"):
        sciddm.sample_posterior(x.numpy(), A, white(4), 0.1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="make it a subclass of Operator"):
        FunctionOperator(torch.square, (4,))
    with pytest.raises(OptionError, match="like: has 2 axes, and images of A have domain_ndim = 3"):
        sciddm.sample_posterior(x**2, Square(), white(4), 0.1, like=x)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"method": "magic"}, "unknown method 'magic'; take one of: smc"),
        ({"samples": 0}, "at least 1"),
        ({"sigma": 0.0}, "above 0"),
        ({"sigma_max": 1e9}, "noise levels"),
        ({"method": "repaint"}, "repaint: RePaint needs data that are entries"),
    ],
)
def test_what_cannot_be_used_is_named(options, says):
    settings = {"sigma": 0.3, **options}
    sigma = settings.pop("sigma")
    with pytest.raises(InputError, match=says):
        sciddm.sample_posterior(randn(2), Matrix(randn(2, 3)), white(3), sigma, **settings)


def test_bridges_and_broken_data_are_refused():
    bridge = GaussianDenoiser(SBVE(), torch.zeros(3, dtype=F64), torch.eye(3, dtype=F64))
    with pytest.raises(ModelError, match="bridge"):
        sciddm.sample_posterior(randn(2), Matrix(randn(2, 3)), bridge, 0.3)
    broken = torch.tensor([1.0, math.nan], dtype=F64)
    with pytest.raises(InputError, match="not finite"):
        sciddm.sample_posterior(broken, Matrix(randn(2, 3)), white(3), 0.3)


def test_a_verdict_needs_data_and_says_when_they_do_not_fit():
    A = Matrix(torch.eye(2, dtype=F64))
    y = torch.tensor([50.0, -40.0], dtype=F64)  # white data of variance .01 do not reach there
    posterior = sciddm.sample_posterior(y, A, white(2, 0.01), 0.5, steps=10)
    assert "contradicts" in posterior.verdict
    with pytest.raises(ValueError, match="do not know their data"):
        _ = posterior.map(torch.abs).verdict


# Operators of functions -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [F64, torch.complex128], ids=["real", "complex"])
def test_an_operator_of_a_function_has_its_adjoint(dtype):
    kernel = randn(1, 1, 3, 3, dtype=dtype)

    def blur(x: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(x, kernel, stride=2)

    A = FunctionOperator(blur, (1, 7, 6), dtype)
    x = randn(2, 3, 1, 7, 6, dtype=dtype)
    y = A(x)
    assert y.shape == (2, 3, 1, 3, 2)
    v = randn(*y.shape, seed=1, dtype=dtype)
    assert torch.allclose(inner(y, v, 3).flatten(), inner(x, A.adjoint(v), 3).flatten())
    with tally() as cost:
        A.adjoint(v)
    assert cost.noperator == 1
    solved = A.solve(x, 0.5, iterations=60)
    assert torch.allclose(A.gram(solved) + 0.5 * solved, x, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x: x + 1, "not linear"),
        (torch.abs, "not linear"),
        (lambda x: x - x.mean(0, keepdim=True), "mixes the items"),
        (lambda x: 0 * x, "gives 0"),
    ],
)
def test_a_function_that_is_no_operator_is_named(function, says):
    with pytest.raises(InputError, match=says):
        FunctionOperator(function, (4,))


# Solvers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_of_the_registry_samples_its_prior(name):
    """A start at -1.5 of the prior's standard deviations ends there, or has its law."""
    prior = white(1, 0.25)
    grid = log_snr(prior.process, 40, 10.0, 0.02)
    entry = SOLVERS[name]
    x = (0.25 + 100) ** 0.5 * torch.linspace(-1.5, 1.5, 5, dtype=F64)[:, None]
    if "law" in entry.order:
        x = (0.25 + 100) ** 0.5 * randn(4000, 1)
        out = sample(prior, x, grid, entry.make(), generator=Bulk(0), denoise_last=False)
        assert float(out.std()) == pytest.approx(0.5, rel=0.1)
    else:
        out = sample(prior, x, grid, entry.make(), generator=Bulk(0), denoise_last=False)
        expected = x * ((0.25 + 4e-4) / (0.25 + 100)) ** 0.5
        assert torch.allclose(out, expected, rtol=0.15)


# Networks as priors -----------------------------------------------------------------------------


class Shrink(torch.nn.Module):
    """The exact network of white data in EDM's parametrization, where it is zero; float32."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, level: Tensor, cond: Tensor | None = None) -> Tensor:
        assert x.dtype == torch.float32
        return self.weight * x


def model(complex_data: bool, **options) -> NetworkDenoiser:
    return NetworkDenoiser(Shrink(), EDM(), complex_data=complex_data, **options)


@pytest.mark.parametrize("wrapped", [False, True], ids=["denoiser", "model"])
@pytest.mark.parametrize("dtype", [torch.float32, F64, torch.complex64, torch.complex128])
def test_networks_of_single_precision_take_data_of_any(dtype, wrapped):
    """Also inside a loaded model; the result has the data's type."""
    prior = model(dtype.is_complex)
    if wrapped:
        prior = Model(prior, Card.model_construct(name="white"), "")
    y = torch.tensor([[[1.0, -0.5]]], dtype=dtype)
    A = FunctionOperator(lambda x: x, (1, 1, 2), dtype)
    out = sciddm.sample_posterior(y, A, prior, 0.5, samples=64)
    assert out.samples.dtype == dtype
    assert (out.mean[0] - y / 1.25).abs().max() < 4 * (0.2 / 64) ** 0.5


def test_data_of_the_other_kind_and_models_that_are_no_priors_are_named():
    A = FunctionOperator(lambda x: x, (1, 1, 2))
    y = torch.ones(1, 1, 2)
    with pytest.raises(ModelError, match="for complex data, and the operator's domain is real"):
        sciddm.sample_posterior(y, A, model(True), 0.5)
    with pytest.raises(ModelError, match="shown an estimate"):
        sciddm.sample_posterior(y, A, model(False, estimate_errors=[0.1]), 0.5)


def test_one_particle_left_has_no_evidence():
    """Forty clean data and four steps: weights of one particle say nothing of p(y)."""
    A, y = Matrix(torch.eye(40, dtype=F64)), randn(40)
    few = sciddm.sample_posterior(y, A, white(40), 0.05, method="smc", steps=4, samples=6)
    assert few.log_evidence is None
    many = sciddm.sample_posterior(
        y[:2], Matrix(torch.eye(2, dtype=F64)), white(2), 0.5, method="smc", samples=40
    )
    assert many.log_evidence is not None


def test_draws_that_diverge_are_an_error():
    class Broken(GaussianDenoiser):
        def forward(self, x_t, t, y=None, cond=None):
            return super().forward(x_t, t, y, cond) * math.inf

    broken = Broken(EDM(), torch.zeros(2, dtype=F64), torch.eye(2, dtype=F64))
    A = Matrix(torch.eye(2, dtype=F64))
    with pytest.raises(InputError, match="diverged"):
        sciddm.sample_posterior(randn(2), A, broken, 0.5, method="gibbs", steps=3)
