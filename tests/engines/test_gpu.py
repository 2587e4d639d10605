"""What a language model computes on a GPU is what it computes on the CPU, in half precision nearly so.

Claims are made on the CPU and scores come back there, in float32 at least.
"""

import functools
import tempfile
from dataclasses import replace

import pytest
import torch

from engines import zoo
from engines.activations import capture, columns, read, write
from engines.bridge_model import BridgeModel
from engines.evaluation import full, hold_out, joint, sweep
from engines.events import drain
from engines.model import Ask
from engines.search import search
from engines.site import Site
from engines.subspace import Das, Training
from engines.task import Problem
from tests.families import HUGGING, mixed_pairs, save

DEVICE = "cuda"
SITES = tuple(Site.parse(place) for place in ("L0.resid_post@last", "L1.resid_pre@middle", "L1.attn_out@last"))

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU on this machine")


@functools.cache
def loaded(name: str, device: str, dtype: str) -> BridgeModel:
    """A tiny network as a user loads it."""
    with tempfile.TemporaryDirectory() as folder:
        save(*HUGGING[name], folder)
        return zoo.load(folder, device=device, dtype=dtype).model


def asked(model: BridgeModel) -> Problem:
    """A question on the mixed pairs, whose labels are all another than the base's."""
    pairs = mixed_pairs()
    pairs = replace(pairs, base_labels=pairs.base_labels + 1, values={"v": torch.tensor([[0, 1], [1, 0], [0, 1]])})
    return Problem("gpu", model, pairs.answer, "v", ("v",), SITES, pairs, pairs, pairs, 0)


@pytest.mark.parametrize(
    ("dtype", "off"), [("float32", 1e-3), ("float16", 0.05), ("bfloat16", 0.3)], ids=lambda one: str(one)
)
@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2"])
def test_a_sweep_on_a_gpu_is_one_on_the_cpu(name: str, dtype: str, off: float) -> None:
    model, pairs = loaded(name, DEVICE, dtype), mixed_pairs()
    assert next(model.bridge.parameters()).dtype == getattr(torch, dtype)
    assert model.pads  # in half precision too
    found = drain(sweep(model, pairs, full(model, SITES), {}))[1]
    own = loaded(name, "cpu", "float32")
    expected = drain(sweep(own, pairs, full(own, SITES), {}))[1]
    for given, whole in ((found.outputs, expected.outputs), (found.base, expected.base)):
        assert (given.device.type, given.dtype) == ("cpu", torch.float32)
        assert float((given - whole).abs().max()) < off * float(whole.abs().max())


def test_the_cached_path_on_a_gpu_is_the_naive_one() -> None:
    model, pairs, site = loaded("llama", DEVICE, "float32"), mixed_pairs(), SITES[2]
    source = model.forward(pairs.sources, reads=[site.port]).reads[site.port]
    vectors = read(source, site, columns(site, pairs.source_at, pairs.sources))
    where = columns(site, pairs.base_at, pairs.bases)
    ask = Ask(pairs.answers_at, torch.tensor(pairs.answer.columns))
    edits = {site.port: lambda activation: write(activation, site, where, vectors)}
    naive = model.forward(pairs.bases, edits=edits, ask=ask).outputs
    assert naive is not None
    torch.testing.assert_close(joint(model, pairs, [full(model, [site])])[0][0], naive, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_rotations_are_trained_on_a_gpu_and_scored(dtype: str) -> None:
    problem = asked(loaded("llama", DEVICE, dtype))
    held = capture(problem.model, problem.fit, SITES, [1])
    assert held.inputs[1].distinct.device.type == DEVICE
    assert {one.device.type for one in (*held.sources.values(), *held.bases.values())} == {"cpu"}
    plan = Das(Training((1, 2), 4, 3, 0.1, 1, early=False))
    trials = drain(search(problem, [(site,) for site in SITES], plan, {}))[1]
    assert len(trials.trials) > len(SITES)
    best = trials.trials[0].handle
    assert all(torch.isfinite(part.featurizer.columns).all() for part in best.parts)  # type: ignore[attr-defined]
    quality, controls, _ = hold_out(problem, best, {})
    assert (quality.iia.n, controls.no_op.iia.value) == (3, 0.0)
