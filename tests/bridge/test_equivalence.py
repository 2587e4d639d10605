"""Equivalence classes: what they hold for every program, and how much of a truth lies in a found subspace."""

import functools

import pytest
import torch
from torch import Tensor

from engines.activations import capture
from engines.evaluation import quality
from engines.featurize import Coordinates, Rotation
from engines.intervene import Jobs, exchange, replace, start_layer, swapped
from engines.site import Site
from engines.task import Pairs, draw_pairs
from tracr_bridge.equivalence import AUDIT_SEED, Equivalence, equivalence, overlap
from tracr_bridge.network import canonical
from tracr_bridge.task import QUOTA, candidate_sites, compiled_task, known, model, network
from tracr_bridge.truth import Truth, VariableTruth, basis
from tracr_bridge.twin import WRONG


def written(truth: Truth) -> dict[str, tuple[VariableTruth, Site, tuple[int, int]]]:
    """Of every variable on which pairs inform: what is known, the output that writes it, and its coordinates."""
    found = {}
    for name in truth.program.variables:
        variable = truth.variable(name)
        assert variable.ready is not None
        component = {"resid_post": "mlp_out", "resid_mid": "attn_out"}[variable.ready.component]
        if equivalence(canonical(truth))[name].n:
            site = Site(variable.ready.layer, component, "target")
            found[name] = variable, site, (variable.dims[0], variable.dims[-1] + 1)
    return found


def spans(found: Equivalence, site: Site) -> list[tuple[int, int] | None]:
    """The coordinates of the blocks that carry the variable at a site."""
    return [block.span for block in found.carriers[site]]


@functools.cache
def audit(name: str) -> Pairs:
    """The pairs on which the classes were established."""
    return draw_pairs(compiled_task(known(name)), "audit", quota=QUOTA["audit"], seed=AUDIT_SEED)


def full_swap(truth: Truth, pairs: Pairs, site: Site) -> Tensor:
    """The answers with the whole vector of a site swapped."""
    subject = model(canonical(truth))
    activations = capture(subject, pairs, [site], [start_layer(site)])
    return swapped(subject, activations, [Jobs(site, 1, replace)])[0]


def test_a_variables_own_block_in_what_writes_it_carries_it(name: str) -> None:
    truth = known(name)
    assert written(truth)  # a program on none of whose variables a pair informs could not be asked
    for variable, (_, site, span) in written(truth).items():
        found = equivalence(canonical(truth))[variable]
        assert span in spans(found, site)
        assert site in found.subspace
        assert found.whole  # and some full vector does, too


def test_after_its_layer_a_block_carries_it_unless_that_layer_reads_it(name: str) -> None:
    """What attention writes and the MLP of the same layer reads is no longer to be changed after that layer."""
    truth = known(name)
    for variable, (known_of, site, span) in written(truth).items():
        assert site.layer is not None
        read_at_once = site.component == "attn_out" and any(
            reader.layer == site.layer and reader.part == "mlp" for reader in known_of.readers
        )
        after = Site(site.layer, "resid_post", "target", None, span)
        assert (after in equivalence(canonical(truth))[variable].whole) == (not read_at_once)


def test_the_class_of_a_wrong_twin_is_empty(name: str) -> None:
    truth = known(name)
    twin = truth.program.variables[0] + WRONG
    found = equivalence(canonical(truth))[twin]
    assert found.n > 0  # else it would be empty for want of pairs
    assert (found.whole, dict(found.carriers), found.subspace) == (frozenset(), {}, frozenset())


def test_a_variable_without_informative_pairs_has_no_class() -> None:
    found = equivalence(network("sort"))["rank"]
    assert (found.n, found.whole, dict(found.carriers)) == (0, frozenset(), {})


def test_a_class_holds_the_sites_that_are_right_on_every_audit_pair_and_no_other(name: str) -> None:
    """By the route that methods take, one site at a time."""
    truth, pairs = known(name), audit(name)
    for site in candidate_sites(canonical(truth))[::3]:
        outputs = full_swap(truth, pairs, site)
        for variable in written(truth):
            right = quality(outputs, pairs, variable).value == 1.0
            assert right == (site in equivalence(canonical(truth))[variable].whole), (site, variable)


def test_the_class_holds_on_other_pairs(name: str) -> None:
    truth = known(name)
    pairs = draw_pairs(compiled_task(truth), "audit", quota=16, seed=1)
    classes = {variable: equivalence(canonical(truth))[variable].whole for variable in written(truth)}
    for site in frozenset().union(*classes.values()):
        outputs = full_swap(truth, pairs, site)
        for variable, carriers in classes.items():
            assert site not in carriers or quality(outputs, pairs, variable).value == 1.0, (site, variable)


def test_carrying_blocks_carry_alone(name: str) -> None:
    """As coordinates, as a rotation onto them, and as one onto the differences of the reachable encodings only."""
    truth, pairs = known(name), audit(name)
    subject = model(canonical(truth))
    variable, (_, site, span) = next(iter(written(truth).items()))
    assert equivalence(canonical(truth))[variable].n == int(pairs.informative(variable).sum())
    width = subject.shape.d_model
    columns = torch.eye(width)[:, span[0] : span[1]].contiguous()
    featurizers = [
        Coordinates(width, tuple(range(*span))),
        Rotation(columns),
        Rotation(basis(truth.variable(variable))),
    ]
    activations = capture(subject, pairs, [site], [start_layer(site)])
    for outputs in swapped(subject, activations, [Jobs(site, 1, exchange(one)) for one in featurizers]):
        assert quality(outputs, pairs, variable).value == 1.0


def test_the_truth_overlaps_with_itself_and_with_nothing_orthogonal(name: str) -> None:
    truth = known(name)
    for variable, (own, site, span) in written(truth).items():
        columns = basis(own)
        assert overlap(canonical(truth), variable, site, columns) == pytest.approx(1.0, abs=1e-5)
        assert overlap(canonical(truth), variable, site, torch.eye(columns.shape[0])) == pytest.approx(1.0, abs=1e-5)
        square = torch.randn(columns.shape[1], columns.shape[1], generator=torch.Generator().manual_seed(0))
        turned = torch.linalg.qr(square).Q  # another basis of the same span
        assert overlap(canonical(truth), variable, site, columns @ turned) == pytest.approx(1.0, abs=1e-5)
        carrying = spans(equivalence(canonical(truth))[variable], site)
        free = [row for row in range(columns.shape[0]) if not any(low <= row < high for low, high in carrying)]
        assert overlap(canonical(truth), variable, site, torch.eye(columns.shape[0])[:, free]) == 0.0
        spanned = Site(site.layer, site.component, site.position, None, span)
        assert overlap(canonical(truth), variable, spanned, columns[span[0] : span[1]]) == pytest.approx(1.0, abs=1e-5)


def test_half_of_a_truth_overlaps_by_half() -> None:
    truth = known("reverse")
    own, site, _ = written(truth)["opposite"]
    columns = basis(own)
    rank = columns.shape[1]
    assert rank > 1
    for count in range(rank):
        assert overlap(canonical(truth), "opposite", site, columns[:, :count]) == pytest.approx(count / rank, abs=1e-5)


def test_a_site_that_carries_nothing_has_no_overlap() -> None:
    truth = known("reverse")
    nowhere = Site(None, "embed", "target")
    assert overlap(canonical(truth), "opposite", nowhere, torch.eye(model(canonical(truth)).shape.d_model)) is None
