"""TransformerLens's own tools as oracles: interchange, patching, attribution patching and DAS, on the same weights.

What theirs does otherwise, and is therefore left out or brought to the same terms here:

- its interchange refuses heads (activations with a head axis), and its patching knows one column for all rows and no
  mask: heads are compared with its patching on inputs of one length, everything else with its interchange on mixed
  lengths, with the mask and the positions of real tokens handed in by ``logits``;
- its ``hook_resid_mid`` is the MLP's copy of the stream (``test_bridge_model`` shows that); ours is the stream;
- its attribution gives plain numbers, for pairs of equal length, one metric for all: ours are in units of twice the
  mean lead, so that theirs are asked pair by pair and divided; and it takes gradients only where weights take some;
- it has no IIA: its evaluation here is the argmax of the logits that it gives under an interchange;
- its learning rate stays, ours falls; its rotation is a product of Householder reflections, ours a QR.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from transformer_lens import patching
from transformer_lens.tools.analysis import attribution_patching, interchange
from transformer_lens.tools.analysis.interchange import NormMatchedPlacebo, SubspaceInterchange

from engines.activations import capture
from engines.answer import Choice
from engines.attribution import attribute
from engines.bridge_model import BridgeModel
from engines.evaluation import estimate, full, joint, sweep
from engines.events import drain
from engines.featurize import Coordinates, Rotation, Whole
from engines.handle import Part
from engines.intervene import Jobs, Metered, patched, start_layer, swapped
from engines.model import Batch, pad
from engines.site import Site
from engines.subspace import Rotations
from engines.task import Pairs, Problem
from engines.training import Schedule, minibatch, optimise
from tests.engines.test_subspace import MID
from tests.engines.test_subspace import planted as conjunction
from tests.families import LAYERS, VOCABULARY, family, mixed_pairs

CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}
HOOKS = {
    "resid_post": "hook_resid_post",
    "resid_mid": "hook_resid_mid",
    "attn_out": "hook_attn_out",
    "mlp_out": "hook_mlp_out",
    "mlp.post": "mlp.hook_post",
}
"""Where TransformerLens has our components; ``resid_mid`` on our own decoder alone."""
FOUR = ("gpt2", "llama", "gemma2", "neox")
"""Learned positions; grouped queries and a gated MLP; post-norms and a window; attention and MLP side by side."""
COLUMNS = tuple(range(VOCABULARY))
POST = Site.parse("L0.resid_post@last")
RANK, WIDTH = 2, 16
TRUTH = interchange.random_basis(WIDTH, RANK, seed=7)
"""Where a subspace is planted."""


def packed(batch: Batch) -> Tensor:
    """Tokens and mask in one tensor: their tools hand rows of one tensor on to ``logits``."""
    return torch.stack([batch.tokens, batch.mask.long()], 1)


def logits(model: Any) -> Callable[[Tensor], Tensor]:
    """What their tools call ``task_logits``: the last position's, padded rows as they are alone."""

    def of_bridge(inputs: Tensor) -> Tensor:
        tokens, mask = inputs.unbind(1)
        position = (mask.cumsum(1) - 1).clamp(min=0)
        return network(model)(tokens, attention_mask=mask, position_ids=position)[:, -1]

    def of_decoder(inputs: Tensor) -> Tensor:
        tokens, mask = inputs.unbind(1)
        return network(model)(tokens, mask.bool())[:, -1]

    return of_bridge if isinstance(model, BridgeModel) else of_decoder


def network(model: Any) -> Any:
    """What their tools take hold of."""
    return model.bridge if isinstance(model, BridgeModel) else model.decoder.eval()


def hook(site: Site) -> str:
    return f"blocks.{site.layer}.{HOOKS[site.component]}"


def theirs(model: Any, pairs: Pairs, site: Site, *interventions: Any) -> list[Tensor]:
    """Their logits under each intervention at a site."""
    inside, ask = network(model), logits(model)
    there, here = pairs.source_at[site.position], pairs.base_at[site.position]
    source = interchange.collect_activations(inside, hook(site), packed(pairs.sources), ask, positions=there)
    return [
        interchange.intervened_logits(inside, hook(site), one, packed(pairs.bases), source, ask, positions=here)
        for one in interventions
    ]


def interventions(site: Site, width: int) -> tuple[list[Any], list[Part]]:
    """Theirs, and ours that are the same; the last of theirs, a control that ours does not have, has no equal."""
    if site.component == "mlp.post":
        turned, parts = interchange.neuron_basis(width, [1, 7]), [Part(site, Coordinates(width, (1, 7)), 0.5)]
    else:
        turned = interchange.random_basis(width, 3, seed=0)
        parts = [Part(site, Rotation(turned), 0.5)]
    half = SubspaceInterchange(turned, 0.5)
    placebo = NormMatchedPlacebo(half, interchange.random_basis(width, 3, seed=1))
    return [SubspaceInterchange(torch.eye(width)), half, placebo], [Part(site, Whole(width)), *parts]


@pytest.mark.parametrize("name", FOUR)
def test_interchanges_are_theirs_at_mixed_lengths(name: str) -> None:
    model, pairs = family(name), mixed_pairs()
    sites = [Site.parse(text) for text in ("L0.resid_post@middle", "L0.attn_out@last", "L1.mlp_out@last")]
    sites += [Site.parse("L0.mlp.post@middle")]
    given = [interventions(site, model.shape.width(site)) for site in sites]
    outputs, base = joint(model, pairs, [[part] for _, equal in given for part in equal])
    placebos = [Jobs(site, 1, theirs[-1]) for site, (theirs, _) in zip(sites, given, strict=True)]
    cached = capture(model, pairs, sites, set(map(start_layer, sites)))
    moved = []
    for site, placebo, ours, (asked, _) in zip(sites, placebos, outputs.split(2), given, strict=True):
        run = torch.cat([ours, swapped(model, cached, [placebo])])[:, :, 0]  # theirs runs in our engine as it is
        for one, other in zip(run, theirs(model, pairs, site, *asked), strict=True):
            assert_close(one, other, **CLOSE)
            moved.append(float((other - base[:, 0]).abs().max()))
    assert min(moved) > 0.01


def equal_pairs(rows: int) -> Pairs:
    """Pairs of three tokens each with labels of their own, asked at the last column."""
    generator = torch.Generator().manual_seed(1)
    bases, sources = (pad(torch.randint(3, VOCABULARY, (rows, 3), generator=generator).tolist()) for _ in range(2))
    return labelled(bases, sources, torch.arange(rows)[:, None] + 3, torch.arange(rows)[:, None] + 9)


def labelled(bases: Batch, sources: Batch, base_labels: Tensor, labels: Tensor) -> Pairs:
    """Pairs that ask for every token at the last column."""
    here, there = (torch.full((batch.rows,), batch.tokens.shape[1] - 1) for batch in (bases, sources))
    every, values = torch.ones(bases.rows, dtype=torch.bool), torch.arange(2 * bases.rows).reshape(-1, 2)
    at, asked = ({"last": here}, {"last": there}), here[:, None]
    code = Choice(COLUMNS, COLUMNS)
    return Pairs(bases, sources, at[0], at[1], asked, base_labels, {"v": labels}, {"v": every}, {"v": values}, code)


def whole_problem(model: Any, pairs: Pairs, *sites: Site) -> Problem:
    return Problem("oracle", model, pairs.answer, "v", ("v",), sites, pairs, pairs, pairs, seed=0)


@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_a_sweep_is_their_patching_at_every_head_and_position(name: str) -> None:
    model, pairs, code = family(name), equal_pairs(2), 7
    tokens, clean = pairs.bases.tokens, model.bridge.run_with_cache(pairs.sources.tokens)[1]
    for component, patch in {
        "z": patching.get_act_patch_attn_head_out_by_pos,
        "attn_out": patching.get_act_patch_attn_out,
    }.items():
        expected = patch(model.bridge, tokens, clean, lambda logits: logits[:, -1, code], reduce="none").values
        heads = range(model.shape.n_heads) if component == "z" else (None,)
        sites = [Site(layer, component, f"t{at}", head) for layer in range(LAYERS) for at in range(3) for head in heads]
        _, swept = drain(sweep(model, pairs, full(model, sites), {}))
        assert_close(swept.outputs[:, :, 0, code], expected.reshape(len(sites), 2), **CLOSE)
        assert float((expected - expected.flatten(0, -2)[0]).abs().max()) > 0.1


def test_their_interchange_takes_no_head() -> None:
    model, pairs = family("gpt2"), equal_pairs(2)
    with pytest.raises(ValueError, match=r"with positions, the activation must be \[batch, pos, d_model\]"):
        interchange.collect_activations(
            model.bridge, "blocks.0.attn.hook_z", packed(pairs.bases), logits(model), positions=pairs.base_at["last"]
        )


@contextmanager
def taking_gradients(model: BridgeModel) -> Iterator[None]:
    """Their attribution asks for gradients at activations, which frozen weights leave without any."""
    model.bridge.requires_grad_(True)
    try:
        yield
    finally:
        model.bridge.requires_grad_(False)


@pytest.mark.parametrize("name", FOUR)
def test_first_order_effects_are_theirs(name: str) -> None:
    """Ours in one padded batch of three lengths, theirs pair by pair and unpadded."""
    model, pairs = family(name), mixed_pairs()
    own, other = torch.tensor([[3], [4], [5]]), torch.tensor([[9], [8], [7]])
    pairs = replace(pairs, base_labels=own, labels={"v": other})
    heads, shared = range(model.shape.n_heads), range(2)  # positions that every pair has
    sites = {
        **{attribution_patching.Node("embed", at): Site(None, "embed", f"t{at}") for at in shared},
        **{
            attribution_patching.Node("mlp_out", at, layer): Site(layer, "mlp_out", f"t{at}")
            for layer in range(LAYERS)
            for at in shared
        },
        **{
            attribution_patching.Node("attn_head_out", at, layer, head): Site(layer, "z", f"t{at}", head)
            for layer in range(LAYERS)
            for at in shared
            for head in heads
        },
    }
    _, found = drain(attribute(whole_problem(model, pairs, *sites.values()), tuple(sites.values()), {}))
    totals, unit = torch.zeros(len(sites), dtype=torch.float64), 0.0
    with taking_gradients(model):
        for row in range(pairs.n):
            base, source = (side.tokens[row][side.mask[row]][None] for side in (pairs.bases, pairs.sources))

            def lead(logits: Tensor, row: int = row) -> Tensor:
                return logits[0, -1, other[row, 0]] - logits[0, -1, own[row, 0]]

            scores = attribution_patching.attribution_patch(model.bridge, source, base, lead).node_scores
            totals += torch.tensor([scores[node] for node in sites], dtype=torch.float64)
            unit += 2 * abs(float(lead(model.bridge(base)).detach()))
    expected = totals / unit
    assert_close(found.effects, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert float(expected.abs().max()) > 0.05


def drawn(rows: int, seed: int) -> Pairs:
    """Pairs of random inputs of four to seven tokens, a source as long as it likes."""
    generator = torch.Generator().manual_seed(seed)

    def side() -> Batch:
        lengths = torch.randint(4, 8, (rows,), generator=generator).tolist()
        return pad([torch.randint(3, VOCABULARY, (length,), generator=generator).tolist() for length in lengths])

    nothing = torch.zeros(rows, 1, dtype=torch.int64)
    return labelled(side(), side(), nothing, nothing)


def planted(name: str) -> Problem:
    """Find the subspace whose interchange gives the labels: they are a random network's answers to one at ``POST``."""
    model, truth = family(name), Rotation(TRUTH)
    parts = []
    for seed, rows in enumerate((120, 24, 120)):
        pairs = drawn(rows, seed)
        outputs, base = joint(model, pairs, [[Part(POST, truth)]])
        parts.append(replace(pairs, base_labels=base.argmax(-1), labels={"v": outputs[0].argmax(-1)}))
    return Problem("planted", model, parts[0].answer, "v", ("v",), (POST,), *parts, seed=0)


def our_iia(problem: Problem, site: Site, columns: Tensor) -> float:
    outputs, _ = joint(problem.model, problem.test, [[Part(site, Rotation(columns))]])
    return estimate(outputs[0], problem.test, problem.target).iia.value


def their_iia(problem: Problem, site: Site, columns: Tensor) -> float:
    """The share of informative test pairs whose label their intervened logits put first."""
    pairs, codes = problem.test, torch.tensor(problem.answer.columns)
    (outputs,) = theirs(problem.model, pairs, site, SubspaceInterchange(columns))
    right = outputs[:, codes].argmax(-1) == pairs.labels[problem.target][:, 0]
    return float(right[pairs.informative(problem.target)].double().mean())


def start_of(width: int, rank: int, seed: int) -> Tensor:
    """Where their training starts."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return interchange.LearnedSubspace(width, rank).basis.detach()


def fitted(problem: Problem, site: Site, schedule: Schedule, rank: int, seed: int) -> tuple[Tensor, Tensor]:
    """Their columns and ours from one start, on the same drawn pairs, in as many steps of the same size."""
    pairs, model, code = problem.fit, problem.model, problem.answer
    assert isinstance(code, Choice)
    generator = torch.Generator().manual_seed(problem.seed)  # as ours draws
    index = torch.cat([minibatch(pairs, problem.target, schedule.batch, generator) for _ in range(schedule.steps)])
    asked, columns = logits(model), torch.tensor(code.columns)
    found = interchange.fit_das(
        network(model),
        hook(site),
        packed(pairs.bases)[index],
        packed(pairs.sources)[index],
        pairs.labels[problem.target][index, 0],
        lambda inputs: asked(inputs)[:, columns] * code.sharpness,
        rank=rank,
        base_positions=pairs.base_at[site.position][index],
        source_positions=pairs.source_at[site.position][index],
        epochs=1,
        batch_size=schedule.batch,
        lr=schedule.learning_rate,
        seed=seed,
    )
    width, meter = model.shape.width(site), Metered(model)
    bench = Rotations(
        (site,), (torch.eye(width),), (rank,), (start_of(width, rank, seed)[None].clone(),), (), early=False
    )
    cached = capture(meter, pairs, [site], {start_layer(site)})
    drain(optimise(problem, meter, cached, [bench], schedule))
    return found.basis, torch.linalg.qr(bench.raw[0][0].detach()).Q


def test_both_evaluations_say_the_same_of_every_basis() -> None:
    """Theirs and ours, trained a little, their start, and the planted subspace.

    Which of the two is ahead on a random network depends on the start: they train otherwise, see the module.
    """
    problem = planted("neox")
    bases = (*fitted(problem, POST, Schedule(20, 32, 0.05), RANK, seed=0), start_of(WIDTH, RANK, seed=0), TRUTH)
    ours = [our_iia(problem, POST, columns) for columns in bases]
    assert ours == pytest.approx([their_iia(problem, POST, columns) for columns in bases], abs=1e-12)
    *trained, start, truth = ours
    assert truth == 1.0 > min(trained) > start > 0.0


def test_das_finds_a_planted_direction_where_theirs_does() -> None:
    """From the same start, on the same drawn pairs, in as many steps."""
    problem = conjunction("copied")
    soft = Choice((0, 1), (0, 1), sharpness=4.0)
    parts = {part: replace(getattr(problem, part), answer=soft) for part in ("fit", "calibration", "test")}
    problem = replace(problem, answer=soft, **parts)
    basis, columns = fitted(problem, MID, Schedule(30, 16, 0.1), 1, seed=0)
    assert our_iia(problem, MID, start_of(6, 1, seed=0)) < 1.0
    assert our_iia(problem, MID, columns) >= our_iia(problem, MID, basis) == their_iia(problem, MID, basis)
    assert our_iia(problem, MID, columns) == their_iia(problem, MID, columns) == 1.0


@pytest.mark.parametrize("name", FOUR)
def test_the_loss_of_a_rotation_and_its_gradient_are_theirs(name: str) -> None:
    """Ours from cached activations and above the site alone, theirs in full runs; ``fit_das`` reports the same loss."""
    problem = planted(name)
    pairs, model, index = problem.fit, problem.model, torch.arange(24)
    labels, start = pairs.labels["v"][index], start_of(WIDTH, RANK, seed=3)
    bases, sources = (packed(side)[index] for side in (pairs.bases, pairs.sources))
    ask, inside = logits(model), network(model)
    here, there = pairs.base_at["last"][index], pairs.source_at["last"][index]
    reported = interchange.fit_das(
        inside,
        hook(POST),
        bases,
        sources,
        labels[:, 0],
        ask,
        rank=RANK,
        base_positions=here,
        source_positions=there,
        epochs=1,
        batch_size=len(index),
        seed=3,
    )
    ours, other = (start.clone().requires_grad_() for _ in range(2))
    cached = capture(model, pairs, [POST], {1})
    outputs = patched(model, cached, [Jobs(POST, 1, SubspaceInterchange(ours))], index)
    loss = problem.answer.loss(outputs[0], labels).mean()
    loss.backward()
    source = interchange.collect_activations(inside, hook(POST), sources, ask, positions=there)
    run = interchange.run_with_intervention(
        inside, hook(POST), SubspaceInterchange(other), bases, source, ask, positions=here
    )
    torch.nn.functional.cross_entropy(run, labels[:, 0]).backward()
    assert_close(float(loss.detach()), reported.losses[0], **CLOSE)
    assert_close(ours.grad, other.grad, **CLOSE)
    assert other.grad is not None
    assert float(other.grad.abs().max()) > 0.1
