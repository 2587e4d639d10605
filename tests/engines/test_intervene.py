"""The cached path equals the naive one: for every site family, mixed lengths, restarts and shared batches."""

import gc
import weakref
from dataclasses import replace

import pytest
import torch

from engines.activations import capture, columns, read, rows_at_once, write
from engines.answer import Choice
from engines.decoder_model import DecoderModel
from engines.errors import InvalidSite, UnknownName
from engines.featurize import Rotation
from engines.intervene import Jobs, Metered, exchange, patched, start_layer, swapped, unpatched
from engines.intervene import replace as full_swap
from engines.model import Ask, Start, pad
from engines.networks import Decoder, DecoderShape
from engines.site import HEAD, RESIDUAL, Site
from engines.task import Pairs

SHAPE = DecoderShape(n_layers=3, n_heads=2, d_model=8, d_head=4, d_mlp=12, d_vocab=7, d_vocab_out=5, n_ctx=6)
SITES = [
    Site.parse(text)
    for text in (
        "embed@target",
        *(f"L1.{name}@target" for name in RESIDUAL if name != "state"),
        *(f"L1.head1.{name}@target" for name in HEAD),
        "L1.mlp.pre@target",
        "L2.mlp.post@t1",
        "L0.mlp.neuron3@target",
        "L1.resid_post[2:5]@t0",
        "L2.resid_post@target",
    )
]


def random_model(causal: bool, seed: int = 0) -> DecoderModel:
    decoder = Decoder(replace(SHAPE, causal=causal, layer_norm=True, activation="gelu"), dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    for parameter in decoder.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.5
    return DecoderModel(f"random {causal}", decoder)


def random_pairs(count: int = 5, same_length: bool = False) -> Pairs:
    generator = torch.Generator().manual_seed(1)

    def sequences() -> list[list[int]]:
        lengths = [4 if same_length else int(torch.randint(2, 7, (), generator=generator)) for _ in range(count)]
        return [torch.randint(7, (length,), generator=generator).tolist() for length in lengths]

    bases, sources = pad(sequences()), pad(sequences())
    at = {"target": torch.tensor([0, 1, 0, 1, 1])}
    labels = torch.zeros(count, 1, dtype=torch.int64)
    return Pairs(
        bases,
        sources,
        {"target": at["target"] + bases.padding},
        {"target": 1 - at["target"] + sources.padding},
        torch.full((count, 1), bases.tokens.shape[1] - 1),
        labels,
        {"v": labels},
        {"v": torch.ones(count, dtype=torch.bool)},
        {"v": torch.zeros(count, 2, dtype=torch.int64)},
        Choice(tuple(range(5)), tuple(range(5))),
    )


def naive(model: DecoderModel, pairs: Pairs, site: Site, row: int) -> torch.Tensor:
    """One pair alone, without padding, cache or restart: read the source's vector, write it in a plain base run."""

    def alone(batch: object, index: int) -> list[int]:
        return batch.tokens[index][batch.mask[index]].tolist()  # type: ignore[attr-defined]

    base, source = pad([alone(pairs.bases, row)]), pad([alone(pairs.sources, row)])
    mine = columns(site, pairs.base_at, pairs.bases)[row : row + 1] - pairs.bases.padding[row]
    theirs = columns(site, pairs.source_at, pairs.sources)[row : row + 1] - pairs.sources.padding[row]
    vector = read(model.forward(source, reads=[site.port]).reads[site.port], site, theirs)
    ask = Ask(torch.tensor([[base.tokens.shape[1] - 1]]), torch.arange(5))
    edits = {site.port: lambda activation: write(activation, site, mine, vector)}
    outputs = model.forward(base, edits=edits, ask=ask).outputs
    assert outputs is not None
    return outputs[0]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("site", SITES, ids=str)
def test_cached_equals_naive(site: Site, causal: bool) -> None:
    model, pairs = random_model(causal), random_pairs()
    activations = capture(model, pairs, [site], [start_layer(site)])
    outputs = swapped(model, activations, [Jobs(site, 1, full_swap)])[0]
    for row in range(pairs.n):
        torch.testing.assert_close(outputs[row], naive(model, pairs, site, row))


def test_sites_of_one_layer_share_a_batch() -> None:
    model, pairs = random_model(False), random_pairs()
    group = [site for site in SITES if start_layer(site) == 1]
    assert len(group) > 10
    activations = capture(model, pairs, group, [1])
    together = swapped(model, activations, [Jobs(site, 1, full_swap) for site in group])
    for site, outputs in zip(group, together, strict=True):
        torch.testing.assert_close(outputs, swapped(model, activations, [Jobs(site, 1, full_swap)])[0])


def test_large_networks_are_captured_few_inputs_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model, pairs = random_model(True), random_pairs()
    whole = capture(model, pairs, SITES, [0])
    assert rows_at_once(model.shape, 6) == 2048
    assert rows_at_once(replace(model.shape, d_mlp=9216), 60) == 121
    monkeypatch.setattr("engines.activations.CELLS", 12 * pairs.bases.tokens.shape[1] * 2 + 1)
    assert rows_at_once(model.shape, pairs.bases.tokens.shape[1]) == 2
    meter = Metered(model)
    few = capture(meter, pairs, SITES, [0])
    assert meter.forward_passes == 10
    for site in SITES:
        torch.testing.assert_close(few.sources[site], whole.sources[site])
        torch.testing.assert_close(few.bases[site], whole.bases[site])


def test_sites_of_two_layers_may_not() -> None:
    model, pairs = random_model(False), random_pairs()
    sites = [Site.parse("L0.attn_out@target"), Site.parse("L1.attn_out@target")]
    activations = capture(model, pairs, sites, [0, 1])
    with pytest.raises(InvalidSite, match="start at layers \\[0, 1\\] cannot share a batch"):
        patched(model, activations, [Jobs(site, 1, full_swap) for site in sites], torch.arange(2))


def test_unpatched_is_the_plain_run() -> None:
    model, pairs = random_model(True), random_pairs()
    plain = model.forward(pairs.bases, ask=Ask(pairs.answers_at, torch.arange(5))).outputs
    for layer in range(4):
        torch.testing.assert_close(unpatched(model, capture(model, pairs, [], [layer])), plain)


def test_a_full_rotation_is_a_full_swap() -> None:
    model, pairs = random_model(False), random_pairs()
    site = Site.parse("L1.attn_out@target")
    rotation = Rotation(torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64)).Q.contiguous())
    activations = capture(model, pairs, [site], [1])
    one, other = swapped(model, activations, [Jobs(site, 1, exchange(rotation)), Jobs(site, 1, full_swap)])
    torch.testing.assert_close(one, other)


def test_a_swap_with_itself_changes_nothing() -> None:
    model, pairs = random_model(False), random_pairs()
    same = replace(pairs, sources=pairs.bases, source_at=pairs.base_at)
    for site in SITES:
        activations = capture(model, same, [site], [start_layer(site)])
        torch.testing.assert_close(
            swapped(model, activations, [Jobs(site, 1, full_swap)])[0], unpatched(model, activations)
        )


def test_swaps_at_all_positions_need_equal_lengths() -> None:
    model, site = random_model(False), Site.parse("L1.head0.z@all")
    with pytest.raises(InvalidSite, match="base and source of equal length in every pair"):
        capture(model, random_pairs(), [site], [1])
    pairs = random_pairs(same_length=True)
    everything = Site.parse("L2.resid_post@all")
    activations = capture(model, pairs, [everything], [3])
    swap = swapped(model, activations, [Jobs(everything, 1, full_swap)])[0]
    plain = model.forward(pairs.sources, ask=Ask(pairs.answers_at, torch.arange(5))).outputs
    torch.testing.assert_close(swap, plain)


def test_positions_that_no_input_has_are_refused() -> None:
    model, pairs = random_model(False), random_pairs()
    with pytest.raises(UnknownName, match=r"unknown position 'targe'\. Did you mean 'target'"):
        capture(model, pairs, [Site.parse("L1.attn_out@targe")], [1])
    with pytest.raises(InvalidSite, match=r"some input has only \d tokens; count from t0"):
        capture(model, pairs, [Site.parse("L1.attn_out@t5")], [1])


def test_distinct_inputs_run_once_and_layers_below_do_not() -> None:
    meter, pairs = Metered(random_model(False)), random_pairs()
    twice = replace(
        pairs,
        bases=pairs.bases.take(torch.tensor([0, 0, 0, 1, 1])),
        sources=pairs.sources.take(torch.tensor([2, 2, 2, 2, 2])),
        base_at={"target": torch.tensor([5, 5, 5, 5, 5])},
        source_at={"target": torch.tensor([5, 5, 5, 5, 5])},
    )
    site = Site.parse("L2.attn_out@target")
    activations = capture(meter, twice, [site], [2])
    assert (meter.forward_passes, meter.layer_evaluations) == (3, 9)  # one source, two bases, three layers each
    swapped(meter, activations, [Jobs(site, 1, full_swap)])
    assert (meter.forward_passes, meter.layer_evaluations) == (8, 14)  # five patched rows, one layer each


def test_gradients_reach_the_exchange() -> None:
    model, pairs = random_model(False), random_pairs()
    for site in (Site.parse("L1.resid_post@target"), Site.parse("L1.head0.z@target")):
        activations = capture(model, pairs, [site], [start_layer(site)])
        strength = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
        job = Jobs(site, 1, lambda base, source, strength=strength: base + strength * (source - base))
        patched(model, activations, [job], torch.arange(pairs.n)).square().sum().backward()
        assert strength.grad is not None
        assert float(strength.grad.abs()) > 1e-6


def test_a_backward_counts_as_a_forward_and_only_where_there_is_one() -> None:
    model, pairs = random_model(False), random_pairs()
    site = Site.parse("L1.attn_out@target")
    activations = capture(model, pairs, [site], [1])
    strength = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    job = Jobs(site, 1, lambda base, source: base + strength * (source - base))
    meter = Metered(model)
    outputs = patched(meter, activations, [job], torch.arange(pairs.n))
    assert (meter.forward_passes, meter.layer_evaluations) == (5, 10)  # five rows, layers 1 and 2
    outputs.sum().backward()
    assert (meter.forward_passes, meter.layer_evaluations) == (5, 20)
    swapped(meter, activations, [job])  # without gradient
    assert (meter.forward_passes, meter.layer_evaluations) == (10, 30)


def test_a_counted_run_is_freed_when_it_is_let_go() -> None:
    pairs = random_pairs()
    residual = torch.zeros(*pairs.bases.tokens.shape, 8, dtype=torch.float64, requires_grad=True)
    ask = Ask(pairs.answers_at, torch.arange(5))
    gc.disable()
    try:
        run = Metered(random_model(False)).forward(pairs.bases, start=Start(1, residual), ask=ask)
        assert run.outputs is not None
        outputs = weakref.ref(run.outputs)
        del run
        assert outputs() is None
    finally:
        gc.enable()
