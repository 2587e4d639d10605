"""Heads that act through other heads: a small transformer that has some, shown by cutting paths, and who finds them."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from engines.answer import Choice
from engines.causal import Setting
from engines.decoder_model import DecoderModel
from engines.evaluation import Sweep, full, sweep
from engines.events import drain
from engines.language import ioi
from engines.methods.plot_joint import PlotJoint
from engines.natural import coefficients
from engines.networks import Block, Decoder, DecoderShape
from engines.selection import Rule, weigh
from engines.site import Site
from engines.task import Pair, Problem, Task, draw_pairs

NAMES, HEADS, WIDTH = 10, 4, 64
AND, THEN = NAMES, NAMES + 1
INDIRECT = Site(0, "z", "all", 0)
MOVERS = tuple(Site(1, "z", "all", head) for head in range(HEADS))
HOOK = "blocks.0.attn.hook_z"
STEPS, BATCH, ENOUGH = 300, 128, 0.02


def prompt(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Rows "A and B . C", after which the other name comes."""
    return torch.stack([a, torch.full_like(a, AND), b, torch.full_like(a, THEN), c], 1)


def two(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    first = torch.randint(NAMES, (count,), generator=generator)
    return first, (first + 1 + torch.randint(NAMES - 1, (count,), generator=generator)) % NAMES


@pytest.fixture(scope="session")
def trained() -> Decoder:
    """Two layers of attention that say the name which is there once, by way of the position at L0.head0.

    Interchange intervention training (Geiger et al. 2022, "Inducing Causal Structure for Interpretable Neural
    Networks"): besides the answer, that of the position's interchange is taught under a swap of that head.
    """
    generator = torch.Generator().manual_seed(1)
    shape = DecoderShape(2, HEADS, WIDTH, 16, 1, NAMES + 2, NAMES, 5, causal=True)
    decoder = Decoder(shape)
    parameters = [weight for name, weight in decoder.named_parameters() if "mlp" not in name]
    for weight in parameters:
        if weight.ndim >= 2:
            weight.data.normal_(0, WIDTH**-0.5, generator=generator)
        weight.requires_grad_(True)
    optimiser = torch.optim.Adam(parameters, 5e-3)
    loss = torch.nn.functional.cross_entropy
    for _ in range(STEPS):
        a, b = two(BATCH, generator)
        first, turned, again = (torch.rand(BATCH, generator=generator) < share for share in (0.5, 0.67, 0.5))
        c, other = torch.where(first, a, b), torch.where(first, b, a)
        own, theirs = torch.where(turned, b, a), torch.where(turned, a, b)
        source = decoder_z(decoder, prompt(own, theirs, torch.where(again, own, theirs)))
        base = prompt(a, b, c)
        plain = loss(decoder(base)[:, -1], other)
        patched = loss(swapped(decoder, base, source)[:, -1], torch.where(again == first, other, c))
        optimiser.zero_grad()
        (plain + patched).backward()
        optimiser.step()
        if max(plain.item(), patched.item()) < ENOUGH:
            decoder.requires_grad_(False)
            return decoder
    raise AssertionError("the network has not learned its task")


def decoder_z(decoder: Decoder, tokens: Tensor) -> Tensor:
    kept: list[Tensor] = []
    decoder.run_with_hooks(tokens, fwd_hooks=[(HOOK, lambda value, hook: kept.append(value))])  # noqa: ARG005
    return kept[0]


def swapped(decoder: Decoder, base: Tensor, source: Tensor) -> Tensor:
    def put(value: Tensor, hook: object) -> Tensor:  # noqa: ARG001 - a hook's signature
        return torch.cat([source[:, :, :1], value[:, :, 1:]], 2)

    return decoder.run_with_hooks(base, fwd_hooks=[(HOOK, put)])


def problem(decoder: Decoder, variable: str) -> Problem:
    """IOI on this network, with the benchmark's three counterfactual sets."""

    def draw(rng: np.random.Generator) -> Pair:
        a, b = (str(name) for name in rng.permutation(NAMES)[:2])
        family = int(rng.integers(3))
        names = ((b, a, a), (a, b, b), (b, a, b))[family]
        base, source = (dict(zip(("name_a", "name_b", "name_c"), three, strict=True)) for three in ((a, b, a), names))
        return Pair({"prompt": "", **base}, {"prompt": "", **source}, {}, {}, ioi.SETS[family])

    def counterfactual(asked: str, _pair: Pair, base: Setting, source: Setting) -> Setting:
        return ioi.CAUSAL.revise(base, {asked: source[asked]})

    def tokens(setting: Setting) -> list[int]:
        a, b, c = (int(str(setting[f"name_{letter}"])) for letter in "abc")
        return [a, AND, b, THEN, c]

    task = Task(
        name="small ioi",
        causal=ioi.CAUSAL,
        answer=Choice(tuple(range(NAMES)), tuple(range(NAMES))),
        variables=("output_position", "output_token"),
        positions=(),
        tokens=tokens,
        draw=draw,
        value=lambda asked, run, _at: run[asked],
        counterfactual=counterfactual,
        answers=lambda run: [int(str(run["output_token"]))],
        answer_positions=lambda _run: [4],
    )
    parts = [draw_pairs(task, part, quota=40, seed=0) for part in ("fit", "calibration", "test")]
    rows = (variable, *(name for name in task.variables if name != variable))
    sites = (*(Site(0, "z", "all", head) for head in range(HEADS)), *MOVERS)
    return Problem("small", DecoderModel("small", decoder), task.answer, variable, rows, sites, *parts, seed=0)


def swept(asked: Problem) -> Sweep:
    return drain(sweep(asked.model, asked.fit, full(asked.model, asked.sites), {}))[1]


def direct(decoder: Decoder, found: Sweep) -> Tensor:
    """What each head's swap adds to the logits by itself, with everything after it as it was [sites, pairs, names].

    Exact without layer norm: the change of the head's output at the last token, through the unembedding.
    """
    pairs, effects = found.pairs, []
    with torch.no_grad():
        kept = [decoder.run_with_cache(side.tokens)[1] for side in (pairs.bases, pairs.sources)]
    for site in found.sites:
        assert site.layer is not None
        assert site.head is not None
        block = decoder.blocks[site.layer]
        assert isinstance(block, Block)
        base, source = (cache[f"blocks.{site.layer}.attn.hook_z"][:, -1, site.head] for cache in kept)
        effects.append((source - base) @ block.attn.W_O[site.head] @ decoder.W_U)
    return torch.stack(effects)


class Cut(NamedTuple):
    """A sweep whose swaps reach the logits by other heads alone, and one whose swaps reach them directly alone."""

    indirect: Sweep
    direct: Sweep


def cut(decoder: Decoder, found: Sweep) -> Cut:
    added = direct(decoder, found)[:, :, None]
    return Cut(replace(found, outputs=found.outputs - added), replace(found, outputs=found.base[None] + added))


def test_one_head_carries_the_position_and_only_through_others(trained: Decoder) -> None:
    asked = problem(trained, "output_position")
    found = swept(asked)
    paths = cut(trained, found)
    informative = asked.fit.informative("output_position")
    assert bool(asked.fit.answer.correct(found.base, asked.fit.base_labels).all())
    for place, site in enumerate(found.sites):
        whole, indirect, alone = (sweep.quality("output_position")[place].iia.value for sweep in (found, *paths))
        if site == INDIRECT:
            assert (whole, indirect) == (1.0, 1.0)  # it needs no direct path,
            assert alone < 0.1  # which does nothing
        else:
            assert whole < 0.75
        if site in MOVERS:  # the last layer has no other path
            torch.testing.assert_close(paths.indirect.outputs[place], found.base, atol=1e-3, rtol=0)
    assert int(informative.sum()) >= 40


def test_resampling_that_head_leaves_a_guess_between_the_two_names(trained: Decoder) -> None:
    """A swap with a base that has other names and a position at random: the answer is then right half of the time."""
    generator = torch.Generator().manual_seed(5)
    a, b = two(400, generator)
    x, y = two(400, generator)
    again = torch.rand(400, generator=generator) < 0.5
    base, other = prompt(a, b, a), prompt(x, y, torch.where(again, x, y))
    with torch.no_grad():
        said = swapped(trained, base, decoder_z(trained, other))[:, -1].argmax(-1)
    assert 0.35 < float((said == b).double().mean()) < 0.65


def test_effect_error_finds_the_indirect_head_and_direct_effects_do_not(trained: Decoder) -> None:
    asked = problem(trained, "output_position")
    rule = Rule("effect_error", "ranked", (0.1,), 1.0, (1,))
    _, weighed = drain(weigh(asked, rule, {}))
    ranking = weighed.couplings[0][1].ranking[0].tolist()
    assert weighed.sites[ranking[0]] == INDIRECT
    found = swept(asked)
    alone = cut(trained, found).direct
    strength = coefficients(alone)["output_position"]
    assert int(strength.argmax()) != found.sites.index(INDIRECT)
    size = direct(trained, found).square().sum((1, 2))
    assert set(size.topk(HEADS).indices.tolist()) == {found.sites.index(mover) for mover in MOVERS}


def test_joint_plot_claims_the_head_by_its_effect_error(trained: Decoder) -> None:
    asked = problem(trained, "output_position")
    _, fit = drain(PlotJoint(signature="effect_error", pairs=None, pool=3, together=2).fit(asked, {}))
    assert [[part.site for part in handle.parts] for handle in fit.handles] == [[INDIRECT]]
    assert fit.ranking[0][0] == str(INDIRECT)
