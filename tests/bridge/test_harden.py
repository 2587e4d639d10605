"""The ladder: every rung keeps the logits of the compiled network, and the truth about it moves along."""

import functools
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from engines import registry
from engines.activations import capture, recorded
from engines.errors import UnknownName, UnverifiedProgram
from engines.featurize import Rotation
from engines.intervene import Jobs, exchange, patched, start_layer, swapped
from engines.intervene import replace as source_of
from engines.networks import Block as Layer
from engines.site import Port, Site
from engines.task import Pairs, draw_pairs
from tracr_bridge import equivalence as classes
from tracr_bridge.equivalence import audit, brute_force, equivalence, joint_truth, overlap
from tracr_bridge.harden import harden
from tracr_bridge.lower import encode
from tracr_bridge.network import TOLERANCE, Network, canonical
from tracr_bridge.reach import reached
from tracr_bridge.remap import remap, rotation, scramble
from tracr_bridge.rungs import COMPILED, RUNGS
from tracr_bridge.task import candidate_sites, compiled_task, known, model, network
from tracr_bridge.truth import SEED, population

HARDER = tuple(rung for rung in RUNGS if rung != COMPILED)
EXACT = {"decoys": 1e-6, "copies": 1e-6}
"""Rungs that multiply the same numbers: only the order of sums differs."""
SOME = ("reverse", "frac_prevs", "pair_balance", "rank", "sort_unique", "palindrome")

HALF = registry.names("tracr_bridge.programs")[1::2]
"""Programs for what is dear: brute force on every rung."""


def carried(subject: Network) -> list[str]:
    """Variables that some site of the compiled network carries."""
    found = equivalence(canonical(subject.truth))
    return [name for name in subject.truth.program.variables if found[name].whole]


def moved(subject: Network, pairs: Pairs, port: Port, name: str) -> Tensor:
    """Outputs with the variable interchanged along its subspace at a port."""
    site = Site(port.layer, port.component, "target")
    activations = capture(model(subject), pairs, [site], [start_layer(site)])
    along = exchange(Rotation(subject.subspace(subject.truth.variable(name))))
    return swapped(model(subject), activations, [Jobs(site, 1, along)])[0]


def right(pairs: Pairs, outputs: Tensor, name: str) -> bool:
    """Whether the outputs are what the causal model says, on every valid pair."""
    return bool((pairs.answer.correct(outputs, pairs.labels[name]) | ~pairs.valid[name]).all())


def described(found: classes.Equivalence) -> object:
    """A class, with its blocks by name and directions."""
    carriers = {
        (site, block.name, block.span, round(float(block.columns.abs().sum()), 2))
        for site, blocks in found.carriers.items()
        for block in blocks
    }
    return found.whole, carriers, found.n


def test_every_rung_keeps_the_logits(name: str, record_property) -> None:
    truth = known(name)
    inputs, _ = population(truth.program)
    ids, mask = encode(truth.compiled, inputs)
    for rung in HARDER:
        subject = network(name, rung)
        off = float((subject.decoder(ids, mask) - truth.decoder(ids, mask)).abs()[mask].max())
        record_property(rung, off)
        assert off <= EXACT.get(rung, TOLERANCE)
        assert subject.deviation <= off + 1e-6
        assert rung == "soft" or off <= TOLERANCE / 2


def test_an_interchange_in_the_moved_subspace_is_the_causal_models(name: str) -> None:
    """On pairs that no class was established on."""
    pairs = draw_pairs(compiled_task(known(name)), "audit", quota=16, seed=3)
    for rung in HARDER:
        subject = network(name, rung)
        for variable in carried(subject):
            port = subject.truth.variable(variable).ready
            assert port is not None
            assert right(pairs, moved(subject, pairs, port, variable), variable), (rung, variable)


def test_moved_classes_are_those_of_brute_force(name: str) -> None:
    for rung in HARDER:
        if rung not in classes.RUN and name in HALF:
            subject = network(name, rung)
            brute = brute_force(subject)
            for variable, found in equivalence(subject).items():
                assert described(found) == described(brute[variable]), (rung, variable)


def test_every_rung_still_has_what_the_compiled_network_has(name: str) -> None:
    """Sites that carry a variable carry it on every rung, but for coordinates, which need an aligned stream."""
    for rung in HARDER:
        subject = network(name, rung)
        for variable, found in equivalence(canonical(subject.truth)).items():
            wanted = {site for site in found.whole if site.span is None and site.head is None}
            assert wanted <= equivalence(subject)[variable].whole, (rung, variable)
            assert {site for site in found.carriers if site.head is None} <= set(
                equivalence(subject)[variable].carriers
            )


def test_the_moved_truth_overlaps_with_itself(name: str) -> None:
    for rung in ("rotated", "embedded", "decoys", "copies"):
        subject = network(name, rung)
        for variable in carried(subject):
            of = subject.truth.variable(variable)
            assert of.ready is not None
            site = Site(
                of.ready.layer, {"resid_post": "mlp_out", "resid_mid": "attn_out"}[of.ready.component], "target"
            )
            assert overlap(subject, variable, site, subject.subspace(of)) == pytest.approx(1.0, abs=1e-4)


def test_networks_are_made_by_weights_rung_and_seed_alone() -> None:
    first = {rung: model(network("reverse", rung)).digest() for rung in RUNGS}
    anew = {rung: harden.__wrapped__(known("reverse"), rung, 0) for rung in RUNGS}
    assert first == {rung: model(subject).digest() for rung, subject in anew.items()}
    assert len(set(first.values())) == len(RUNGS)
    drawn = {"rotated", "scrambled", "embedded", "compressed", "decoys"}
    for rung in RUNGS:
        assert (model(harden(known("reverse"), rung, 1)).digest() != first[rung]) == (rung in drawn)


def test_a_wrong_rung_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match=r"unknown model 'rotate'\. Did you mean 'rotated'"):
        network("reverse", "rotate")


def test_a_network_that_computes_something_else_is_refused() -> None:
    subject = network("reverse", "rotated")
    wrong = remap(subject.decoder, torch.eye(subject.decoder.shape.d_model), 1.01 * torch.eye(subject.frame.shape[0]))
    with pytest.raises(UnverifiedProgram, match=r"rasp\.reverse/rotated: a logit is .* from the compiled network's"):
        replace(subject, decoder=wrong)


def test_a_wrong_frame_is_no_truth() -> None:
    """What the subspace tests would miss if any directions did."""
    subject = network("reverse", "rotated")
    other = replace(subject, frame=harden(known("reverse"), "rotated", 1).frame)
    pairs, port = audit(known("reverse")), known("reverse").variable("opposite").ready
    assert port is not None
    assert not right(pairs, moved(other, pairs, port, "opposite"), "opposite")


@pytest.mark.parametrize("program", ["pair_balance", "rank", "shuffle_dyck"])
@pytest.mark.parametrize("rung", ["scrambled", "embedded"])
def test_heads_are_where_they_are_said_to_be(program: str, rung: str) -> None:
    """A head writes, in the frame, what the compiled head wrote."""
    subject, compiled = network(program, rung), canonical(known(program))
    pairs, shape = audit(known(program)), known(program).decoder.shape
    batch, layers = pairs.bases, range(shape.n_layers)
    ports = [Port(layer, "result") for layer in layers]
    theirs, ours = recorded(model(compiled), batch, ports), recorded(model(subject), batch, ports)
    assert subject.heads
    for (layer, head), now in subject.heads.items():
        wanted = theirs[Port(layer, "result")][:, :, head] @ subject.frame
        found = ours[Port(layer, "result")][:, :, now]
        torch.testing.assert_close(found[batch.mask], wanted[batch.mask], atol=1e-3, rtol=0)
    assert Counter(layer for layer, _ in subject.heads) == dict.fromkeys(layers, shape.n_heads)


def test_some_heads_are_permuted() -> None:
    assert any(head != now for (_, head), now in network("shuffle_dyck2", "scrambled").heads.items())


def test_a_rotated_stream_has_no_coordinate_of_a_variable() -> None:
    columns = network("reverse", "rotated").subspace(known("reverse").variable("opposite"))
    assert float(columns.square().sum(1).max()) < 0.9
    assert bool((columns.square().sum(1) > 1e-6).all())


def test_an_embedded_network_varies_mostly_where_nothing_is_read(name: str) -> None:
    subject = network(name, "embedded")
    own = canonical(known(name)).decoder.shape.d_model
    assert subject.decoder.shape.d_model == 2 * own
    last, pairs = Port(subject.decoder.shape.n_layers - 1, "resid_post"), audit(known(name))
    states = recorded(model(subject), pairs.bases, [last])[last][pairs.bases.mask]
    inside = states @ subject.frame.T
    outside = states - inside @ subject.frame
    assert float(outside.var(0).sum()) > float(inside.var(0).sum())
    idle = [Site(layer, "result", "target", head) for layer, head in subject.idle]
    assert set(idle) <= {*candidate_sites(subject), *idle}
    result = Port(0, "result")
    [head] = [head for layer, head in subject.idle if layer == 0]
    pattern = recorded(model(subject), pairs.bases, [result])[result][:, :, head][pairs.bases.mask]
    assert float((pattern @ subject.frame.T).abs().max()) < 1e-4  # it writes nothing that is read
    assert float(pattern.var(0).sum()) > 1e-3  # but something that depends on the input


@pytest.mark.parametrize("program", SOME)
def test_compression_loses_nothing_and_one_dimension_less_does(program: str) -> None:
    subject, truth = network(program, "compressed"), known(program)
    states = reached(truth, SEED)
    back = states @ subject.frame @ subject.frame.T
    torch.testing.assert_close(back, states, atol=2e-5, rtol=0)
    width = subject.decoder.shape.d_model
    assert width < truth.decoder.shape.d_model
    values, vectors = torch.linalg.eigh(states.double().T @ states.double() / len(states))
    kept = vectors[:, values > 1e-10]
    assert kept.shape[1] == width
    fewer = (kept @ rotation(width, torch.Generator().manual_seed(0)))[:, 1:]
    with pytest.raises(UnverifiedProgram, match="a logit is"):
        Network(truth, "compressed", remap(truth.decoder, fewer, fewer.T), fewer.float(), aligned=False)


def gradient(subject: Network, name: str) -> float:
    """Size of the loss's gradient in the variable's block where it is ready, on informative pairs."""
    pairs, variable = audit(subject.truth), subject.truth.variable(name)
    assert variable.ready is not None
    site = replace(variable.site("target"), span=(variable.dims[0], variable.dims[-1] + 1))
    activations = capture(model(subject), pairs, [site], [start_layer(site)])
    vectors = activations.bases[site].clone().requires_grad_()
    index = pairs.informative(name).nonzero()[:, 0]
    jobs = [Jobs(site, 1, lambda base, source: vectors[index][None])]  # noqa: ARG005
    outputs = patched(model(subject), activations, jobs, index)[0]
    pairs.answer.loss(outputs, pairs.labels[name][index]).sum().backward()
    assert vectors.grad is not None
    return float(vectors.grad[index].abs().mean())


@pytest.mark.parametrize(
    ("program", "variable", "least"),
    [
        ("reverse", "length", 1e-6),
        ("reverse", "opposite", 1e-6),
        ("sort", "key", 1e-10),
        ("palindrome", "mirrored", 1e-11),
    ],
)
def test_soft_attention_has_a_gradient_where_cold_attention_has_none(
    program: str, variable: str, least: float, record_property
) -> None:
    subject = network(program, "soft")
    hard, soft = gradient(canonical(known(program)), variable), gradient(subject, variable)
    record_property("gradients", (hard, soft, subject.coldness))
    assert subject.coldness < 0.5
    assert hard < 1e-30
    assert soft > least


def decoy_sites(network: Network) -> tuple[Site, ...]:
    """Candidate sites that hold something and move nothing: decoys, and results of heads that nothing reads."""
    spans = {block.span for block in network.decoys}
    return tuple(
        site
        for site in candidate_sites(network)
        if (site.span is not None and site.span in spans) or (site.layer, site.head) in network.idle
    )


def test_a_decoy_tells_the_variable_and_moves_nothing(name: str) -> None:
    subject = network(name, "decoys")
    pairs, dead = audit(known(name)), decoy_sites(subject)
    assert {block.name for block in subject.decoys} == set(known(name).program.variables)
    for block in subject.decoys:
        assert block.name is not None
        of = known(name).variable(block.name)
        assert of.ready is not None
        states = recorded(model(subject), pairs.bases, [of.ready])[of.ready][pairs.bases.mask]
        torch.testing.assert_close(states @ block.columns, states[:, list(of.dims)])  # a probe reads it off, always
    ours = capture(model(subject), pairs, dead, {start_layer(site) for site in dead})
    for layer in {start_layer(site) for site in dead}:
        group = [site for site in dead if start_layer(site) == layer]
        outputs = swapped(model(subject), ours, [Jobs(site, 1, source_of) for site in group])
        same = swapped(model(subject), ours, [Jobs(group[0], 1, lambda base, source: base)])  # noqa: ARG005
        assert float((outputs - same).abs().max()) < 1e-5
    spans = {site.span for site in dead if site.span is not None}
    assert spans == {block.span for block in subject.decoys}
    for found in equivalence(subject).values():
        assert not found.whole & set(dead)


def test_one_copy_alone_does_not_carry_a_variable_and_both_do(name: str) -> None:
    subject, found = network(name, "copies"), equivalence(network(name, "copies"))
    compiled = equivalence(canonical(known(name)))
    assert set(subject.copies) == set(known(name).program.variables)
    for variable in carried(subject):
        [span] = [(start, stop) for block, start, stop in known(name).blocks if block == variable]
        alone = {site for site in found[variable].whole if site.span in (span, subject.copies[variable])}
        together = joint_truth(subject, variable)
        before = {site for site in compiled[variable].whole if site.span == span}
        assert {site for twin in together for site in twin if site.span == span} == before
        assert not alone, (variable, alone)
        for twin in together:
            for head in (site for site in twin if site.head is not None):
                assert head not in found[variable].whole
    assert joint_truth(canonical(known(name)), known(name).program.variables[0]) == []


def test_both_heads_of_a_copied_attention_carry_it_together() -> None:
    subject = network("pair_balance", "copies")
    twins = [twin for twin in joint_truth(subject, "opens") if all(site.head is not None for site in twin)]
    [twin] = twins
    assert not twin & equivalence(subject)["opens"].whole


@pytest.mark.parametrize("program", SOME)
def test_names_of_values_mean_nothing(program: str) -> None:
    """A variable whose values are renamed one to one has the same pairs and labels, and so all else."""
    truth = known(program)
    task = compiled_task(truth)
    plain = draw_pairs(task, "audit", quota=8, seed=2)
    renamed = draw_pairs(replace(task, value=lambda *asked: ("renamed", task.value(*asked))), "audit", quota=8, seed=2)
    assert (plain.digest, plain.labels_digest) == (renamed.digest, renamed.labels_digest)


@pytest.mark.parametrize("program", SOME)
def test_another_order_of_a_variables_coordinates_means_nothing(program: str) -> None:
    """Renaming values in the network is a permutation of one-hot coordinates: a rotation, with all that follows."""
    truth = known(program)
    order = torch.randperm(truth.decoder.shape.d_model, generator=torch.Generator().manual_seed(0))
    turn = torch.eye(len(order))[order]
    subject = Network(truth, "rotated", remap(truth.decoder, turn, turn.T), turn, aligned=False)
    assert subject.deviation < 1e-5
    brute = brute_force(subject)
    for variable, found in equivalence(subject).items():
        assert described(found) == described(brute[variable])


def test_scrambling_changes_every_inner_basis() -> None:
    """Else a rung that promised more than a rotation would be one."""
    decoder = known("rank").decoder
    inside, _ = scramble(decoder, torch.Generator().manual_seed(0))
    for old, new in zip(decoder.blocks, inside.blocks, strict=True):
        assert isinstance(old, Layer)
        assert isinstance(new, Layer)
        for part in ("W_Q", "W_K", "W_V", "W_O"):
            before, after = getattr(old.attn, part), getattr(new.attn, part)
            assert not before.any() or not torch.allclose(before, after, atol=1e-3)
        reads, now = (layer.mlp.W_in.norm(dim=0).sort().values for layer in (old, new))
        assert not reads.any() or not torch.allclose(reads, now, rtol=0.05)  # neurons are rescaled, not only permuted
        torch.testing.assert_close(new.mlp.W_in @ new.mlp.W_out, old.mlp.W_in @ old.mlp.W_out, atol=1e-3, rtol=1e-4)
    turn = rotation(7, torch.Generator().manual_seed(0))
    torch.testing.assert_close(turn @ turn.T, torch.eye(7, dtype=torch.float64))


@functools.cache
def random_truths() -> tuple[str, ...]:
    """Some random programs."""
    return tuple(f"random_0_{index}" for index in range(3))


def test_random_programs_climb_the_ladder() -> None:
    for program in random_truths():
        for rung in HARDER:
            subject = network(program, rung)
            for variable, found in equivalence(canonical(known(program))).items():
                wanted = {site for site in found.whole if site.span is None and site.head is None}
                assert wanted <= equivalence(subject)[variable].whole, (program, rung, variable)


def test_every_program_has_every_rung_by_name() -> None:
    for program in registry.names("tracr_bridge.programs"):
        for rung in RUNGS:
            assert network(program, rung).name == f"rasp.{program}/{rung}"
            assert network(program, rung) is network(program, rung)
