"""Tables say what the mechanisms say: every value, every undefined input, and under interventions too."""

import numpy as np
import pytest

from engines.errors import Undefined
from tracr_bridge.compile import read
from tracr_bridge.draft import draft
from tracr_bridge.program import Program
from tracr_bridge.semantics import mechanism
from tracr_bridge.tables import NONE, revise, run, tables, values
from tracr_bridge.truth import causal_model


def test_every_program_on_every_input(known):
    expressions, inputs = known.compiled.expressions, list(known.program.inputs())
    made = tables(expressions, known.program)
    runs = run(made, inputs)
    assert runs.defined.all()
    expected = [known.causal.run({"tokens": tokens}) for tokens in inputs]
    for expression in expressions:
        found = values(made, runs, expression.name, range(len(inputs)))
        assert found == [one[expression.name] for one in expected], expression.name


def plain(expressions, program, tokens):
    """The program on one input by its mechanisms; None where it is undefined."""
    known = {one.name: one for one in expressions}
    held = {"tokens": tokens}
    for one in expressions:
        if one.kind != "tokens":
            rule = mechanism(one, known, causal=program.causal)
            try:
                held[one.name] = rule(**{name: held[name] for name in one.parents or ("tokens",)})
            except Undefined:
                return None
    return held


def test_drafts_are_defined_where_their_mechanisms_are():
    """Drafts are seldom defined everywhere: they reach the borders that programs stay away from."""
    undefined = 0
    for number in range(60):
        rng = np.random.default_rng([5, number])
        program = draft(rng).program("drawn")
        if not any("tokens" in step.arguments for step in program.build.steps):
            continue
        expressions = read(program)
        inputs = [program.sample(rng) for _ in range(12)]
        made = tables(expressions, program)
        runs = run(made, inputs)
        for row, tokens in enumerate(inputs):
            expected = plain(expressions, program, tokens)
            assert (expected is not None) == bool(runs.defined[row]), (program.summary, tokens)
            undefined += expected is None
            for name in expected or ():
                assert values(made, runs, name, [row]) == [expected[name]], (program.summary, name, tokens)
    assert undefined > 20


@pytest.mark.parametrize("program", ["sort", "frac_prevs", "shift", "shuffle_dyck2"])
def test_a_revision_is_the_causal_models(program, truth_of):
    known = truth_of(program)
    made, model = tables(known.compiled.expressions, known.program), causal_model(known.compiled)
    rng = np.random.default_rng(0)
    inputs = [known.program.sample(rng) for _ in range(20)]
    runs = run(made, inputs)
    for name in known.program.variables:
        held = runs.values[name].copy()
        numerical = made.by_name[name].encoding == "numerical"
        options = np.array(made.by_name[name].values) if numerical else np.arange(len(made.by_name[name].values))
        held[:, -1] = rng.choice(options, size=len(inputs))  # the last token, whatever the length
        changed = revise(made, runs, name, held)
        for row, tokens in enumerate(inputs):
            [wanted] = values(made, changed, name, [row])
            try:
                expected = model.intervene({"tokens": tokens}, {name: wanted})
            except Undefined:
                assert not changed.defined[row]
                continue
            assert changed.defined[row]
            assert all(values(made, changed, each, [row]) == [expected[each]] for each in made.by_name)


def test_none_is_found_at_the_end_of_every_table(truth_of):
    shift = truth_of("shift")
    made = tables(shift.compiled.expressions, shift.program)
    runs = run(made, [("a", "b", "c")])
    output = made.expressions[-1].name
    assert runs.values[output][0][runs.real[0]].tolist()[:2] == [NONE, NONE]
    assert values(made, runs, output, [0]) == [(None, None, "b")]


def test_a_predicate_sees_earlier_positions_only_if_the_program_is_causal():
    def build(rasp):
        return rasp.SelectorWidth(rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.TRUE)).named("seen")

    for causal, expected in ((True, (1, 2)), (False, (2, 2))):
        program = Program("seen", "How many are seen.", ("a", "b"), 3, build, (), causal)
        made = tables(read(program), program)
        assert values(made, run(made, [("a", "b")]), "seen", [0]) == [expected]
