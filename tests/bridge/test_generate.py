"""Random programs: the same for ever, distinct, verified by other routes, and worth asking about."""

import functools
import json
import pickle
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from engines.errors import InvalidProgram, Undefined
from tracr_bridge import generate
from tracr_bridge.agreement import Agreement, agreement, spread
from tracr_bridge.certificate import TOLERANCE, verify, weight_hash
from tracr_bridge.compile import compile
from tracr_bridge.draft import Draft
from tracr_bridge.generate import DEFECTS, REASONS, Manifest, Rejected, examined, manifest, random_program, refuse
from tracr_bridge.lower import lower
from tracr_bridge.recipe import Recipe, Step, listed, pruned
from tracr_bridge.tables import run, tables, values
from tracr_bridge.truth import Truth, truth
from tracr_bridge.worth import INFORMATIVE, OUTPUTS, VALID

COUNT, SEED = 40, 0


@functools.cache
def drawn() -> Manifest:
    """The manifest that most tests look at."""
    return manifest(COUNT, SEED)


@functools.cache
def known(name: str) -> Truth:
    """The truth about one of its programs, by the causal model and not by tables."""
    return truth(random_program(name))


some = pytest.mark.parametrize("entry", drawn().entries[:12], ids=lambda entry: entry.name)


def test_a_name_is_one_program_in_every_process():
    script = (
        "from tracr_bridge.generate import manifest; import json; "
        f"print(json.dumps(manifest(5, {SEED}).to_record()['entries']))"
    )
    environment = {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1", "PATH": ""}  # ours is another, drawn at the start
    again = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == json.loads(json.dumps(drawn().to_record()["entries"][:5]))


def test_an_index_needs_no_other():
    name = drawn().entries[7].name
    generate.forget()
    assert examined_recipe(name) == drawn().entries[7].recipe


def examined_recipe(name: str) -> str:
    recipe = random_program(name).build
    assert isinstance(recipe, Recipe)
    return recipe.text


def test_programs_are_pairwise_distinct_and_various():
    found = drawn()
    assert len({entry.key for entry in found.entries}) == COUNT
    assert len({entry.weights for entry in found.entries}) == COUNT
    assert {entry.causal for entry in found.entries} == {True, False}
    assert {entry.numerical for entry in found.entries} == {True, False}
    assert {len(entry.vocabulary) for entry in found.entries} == {2, 3, 4}
    assert {type(entry.vocabulary[0]) for entry in found.entries} == {int, str}
    assert len({entry.layers for entry in found.entries}) >= 4
    assert max(entry.layers for entry in found.entries) <= 6
    assert max(entry.heads for entry in found.entries) >= 2
    assert {len(entry.variables) for entry in found.entries} == {1, 2, 3, 4}
    kinds = {step.kind for entry in found.entries for step in random_program(entry.name).build.steps}
    assert kinds == {"Map", "SequenceMap", "LinearSequenceMap", "Select", "SelectorWidth", "Aggregate"}


def test_duplicates_are_passed_over_and_named(monkeypatch):
    kept = generate._kept
    monkeypatch.setattr(generate, "_kept", lambda seed, index: kept(seed, index // 2))
    found = manifest(3, SEED)
    assert [entry.name for entry in found.entries] == ["random_0_0", "random_0_1", "random_0_2"]
    assert found.duplicates == {}  # equal entries are the same program twice

    def again(seed, index):
        program, entry, rejected = kept(seed, index // 2)
        return program, replace(entry, name=f"random_{seed}_{index}"), rejected

    monkeypatch.setattr(generate, "_kept", again)
    found = manifest(3, SEED)
    assert [entry.name for entry in found.entries] == ["random_0_0", "random_0_2", "random_0_4"]
    assert found.duplicates == {"random_0_1": "random_0_0", "random_0_3": "random_0_2"}


def test_every_draft_is_accounted_for(monkeypatch):
    drafts = Counter()

    def counted(rng):
        drafts["all"] += 1
        return draft(rng)

    draft = generate.draft
    monkeypatch.setattr(generate, "draft", counted)
    generate.forget()
    found = manifest(6, 3)
    assert drafts["all"] == sum(found.rejections.values()) + len(found.entries) + len(found.duplicates)
    assert set(found.rejections) == set(REASONS)
    assert not any(found.rejections[reason] for reason in DEFECTS)


def test_a_manifest_survives_json():
    record = json.loads(json.dumps(drawn().to_record()))
    assert Manifest.from_record(record) == drawn()
    with pytest.raises(TypeError):
        Manifest.from_record({**record, "more": 1})


@some
def test_programs_are_verified_by_the_certificate(entry):
    """Input by input, by the causal model and by Tracr's evaluator, on networks of their own."""
    compiled = compile(random_program(entry.name))
    decoder = lower(compiled)
    certificate = verify(compiled, decoder, reference=False)
    assert certificate.exhaustive
    assert certificate.inputs == random_program(entry.name).count() <= 400
    assert certificate.mismatches == 0
    assert certificate.encoding_deviation <= TOLERANCE
    assert certificate.weights == entry.weights == weight_hash(decoder)
    assert (decoder.shape.n_layers, decoder.shape.n_heads, decoder.shape.d_model) == (
        entry.layers,
        entry.heads,
        entry.d_model,
    )


def test_tracrs_own_model_agrees_with_one():
    compiled = compile(random_program(drawn().entries[0].name))
    assert verify(compiled, lower(compiled)).verified


@some
def test_answers_vary_and_need_other_tokens(entry):
    found = known(entry.name)
    whole, own = set(), {}
    for setting in found.causal.enumerate():
        tokens = setting["tokens"]
        answers = found.causal.run(setting)[found.causal.output]
        whole |= {answers} if len(answers) == entry.length else set()
        for position, (token, answer) in enumerate(zip(tokens, answers, strict=True)):
            own.setdefault((token, position, len(tokens)), set()).add(answer)
    assert len(whole) >= OUTPUTS
    assert max(map(len, own.values())) > 1


@some
def test_variables_are_no_copies(entry):
    found = known(entry.name)
    runs = [found.causal.run(setting) for setting in found.causal.enumerate()]
    columns = {
        name: [value for one in runs for value in one[name]]
        for name in ("tokens", found.causal.output, *entry.variables)
    }
    for name in entry.variables:
        assert len({value for value in columns[name] if value is not None}) >= 2
        for other, column in columns.items():
            pairs = set(zip(columns[name], column, strict=True))
            assert name == other or not len(pairs) == len(set(columns[name])) == len(set(column)), (name, other)


@some
def test_variables_change_answers(entry):
    """Interchanges drawn anew, as the exam draws them, and computed from the whole program."""
    found, rng = known(entry.name), np.random.default_rng(17)
    for name in entry.variables:
        outcomes: Counter[str] = Counter()
        for _ in range(150):
            outcomes[interchanged(found, name, rng)] += 1
        valid = outcomes["same"] + outcomes["differs"]
        assert valid / 150 >= VALID - 0.15
        assert outcomes["differs"] / valid >= INFORMATIVE / 5  # 150 draws of a share of 5% have 7.5 +- 2.7


def interchanged(found: Truth, name: str, rng: np.random.Generator) -> str:
    """What one random interchange of a variable does."""
    base, source = found.program.sample(rng), found.program.sample(rng)
    before = found.causal.run({"tokens": base})
    held = list(before[name])
    held[int(rng.integers(len(base)))] = theirs = found.causal.run({"tokens": source})[name][
        int(rng.integers(len(source)))
    ]
    if theirs is None:
        return "nothing"
    try:
        after = found.causal.intervene({"tokens": base}, {name: tuple(held)})
    except Undefined:
        return "nothing"
    pairs = zip(before[found.causal.output], after[found.causal.output], strict=True)
    return "differs" if any(None not in (x, y) and x != y for x, y in pairs) else "same"


TOKENS, FLAG = ("tokens",), Step("flag", "Map", ("tokens",), "flag_is", (0,), numerical=True)
WIDTH = Step("width", "SelectorWidth", ("same",))
ZERO = Step("zero", "Select", ("tokens", "tokens"), "is", (0,))
SAME = Step("same", "Select", ("tokens", "tokens"), "EQ")
OFF = Step("off", "Select", ("indices", "indices"), "off", (-1,))
FAR = Step("far", "Select", ("indices", "indices"), "off", (-3,))
EARLIER = Step("earlier", "Select", ("indices", "indices"), "LEQ")
EMPTY = {
    "no tokens": (Step("out", "Map", ("indices",), "is", (0,)),),
    "refused": (Step("out", "Aggregate", ("same", "flag")), SAME, FLAG),
    "undefined": (Step("all", "Select", TOKENS * 2, "TRUE"), Step("out", "Aggregate", ("all", "tokens"))),
    "few answers": (ZERO, Step("zeros", "SelectorWidth", ("zero",)), Step("out", "Map", ("zeros",), "above", (1,))),
    "missing answers": (FAR, Step("out", "Aggregate", ("far", "tokens"))),
    "positional": (Step("all", "Select", TOKENS * 2, "TRUE"), Step("out", "SelectorWidth", ("all",))),
    "alone": (Step("out", "Map", TOKENS, "mirrored", (2,)),),
    "close numbers": (
        SAME,
        FLAG,
        EARLIER,
        Step("x", "Aggregate", ("same", "flag"), numerical=True),
        Step("y", "Aggregate", ("earlier", "flag"), numerical=True),
        Step("out", "LinearSequenceMap", ("x", "y"), "", (1, -1), numerical=True),
    ),
    "no live variable": (OFF, Step("copy", "Map", TOKENS, "mirrored", (2,)), Step("out", "Aggregate", ("off", "copy"))),
    "too large": (
        SAME,
        WIDTH,
        *(Step(f"m{n}", "SequenceMap", (f"m{n - 1}" if n else "width", "tokens"), "sum", (3,)) for n in range(8)),
        Step("out", "SequenceMap", ("m7", "width"), "difference"),
    ),
}
"""A recipe for each reason that a draft can give."""


@pytest.mark.parametrize("reason", EMPTY)
def test_empty_drafts_are_rejected(reason):
    steps = sorted(EMPTY[reason], key=lambda step: step.name == "out")
    with pytest.raises(Rejected) as caught:
        examined(Draft(Recipe(tuple(steps)), (0, 1, 2), 5, causal=False), "drawn")
    assert caught.value.reason == reason
    assert REASONS[reason] in str(caught.value)


def test_every_reason_is_reachable():
    assert set(EMPTY) | set(DEFECTS) == set(REASONS)


def checked(name: str, weight: str = "", factor: float = 1.0) -> Agreement:
    """The agreement of a program with its network, in which the weight of one token or answer may be changed."""
    program = random_program(name)
    compiled = compile(program)
    decoder = lower(compiled)
    made, inputs = tables(compiled.expressions, program), list(program.inputs())
    runs = run(made, inputs)
    if weight == "W_E":
        row, column = compiled.tokens.index(program.vocabulary[0]), compiled.coordinates("tokens")[0]
        decoder.W_E[row, column] *= factor
    elif weight == "W_U":
        given = values(made, runs, "out", range(len(inputs)))
        answer = next(value for row in given for value in row if value is not None)
        column = 0 if compiled.outputs is None else compiled.outputs.index(answer)
        decoder.W_U[compiled.coordinates("out")[column], column] *= factor
    return agreement(compiled, decoder, made, runs, spread(inputs, 8))


@some
def test_a_broken_weight_is_caught(entry):
    """Turned round, the output gives other answers; a hundredth off, it gives the same ones of a blended variable."""
    refuse(checked(entry.name))
    with pytest.raises(Rejected) as caught:
        refuse(checked(entry.name, "W_U", -1.0))
    assert caught.value.reason == "network disagrees"
    with pytest.raises(Rejected) as caught:
        refuse(checked(entry.name, "W_E", 1.01))
    assert caught.value.reason in ("blended", "network disagrees")


def test_a_slightly_wrong_embedding_is_a_blend():
    name = next(entry.name for entry in drawn().entries if not entry.numerical)
    with pytest.raises(Rejected, match="an encoding is off by") as caught:
        refuse(checked(name, "W_E", 1.0001))
    assert caught.value.reason == "blended"


def test_a_misread_program_is_disputed():
    program = random_program(drawn().entries[0].name)
    compiled = compile(program)
    made, inputs = tables(compiled.expressions, program), list(program.inputs())
    runs = run(made, inputs)
    name = program.variables[0]
    wrong = replace(runs, values={**runs.values, name: np.roll(runs.values[name], 1, axis=0)})
    found = agreement(compiled, lower(compiled), made, wrong, spread(inputs, 30))
    with pytest.raises(Rejected, match=f"the causal model says {name} is") as caught:
        refuse(found)
    assert caught.value.reason == "disputed"


@pytest.mark.parametrize(
    "given",
    ["random_", "random_0", "random_0_x", "random_00_1", "random_-1_2", "random_1_2_3", "reverse", "random_0_1 "],
)
def test_malformed_names_are_refused(given):
    with pytest.raises(InvalidProgram, match=r"names no random program; write random_<seed>_<index> .* 'random_0_17'"):
        random_program(given)


def test_a_manifest_of_nothing_is_refused():
    with pytest.raises(InvalidProgram, match="count is 0 and seed 0; write a count from 1 and a seed from 0"):
        manifest(0)
    with pytest.raises(InvalidProgram, match="count is 1 and seed -1"):
        manifest(1, -1)


def test_an_index_without_a_program_says_what_was_drawn(monkeypatch):
    monkeypatch.setattr(generate, "DRAFTS", 0)
    with pytest.raises(InvalidProgram, match="random_77_0: none of 0 drafts was kept"):
        random_program("random_77_0")


def test_recipes_are_data():
    program = random_program(drawn().entries[3].name)
    assert pickle.loads(pickle.dumps(program)) == program
    first, second = compile(program), compile(program)
    assert first.source.expression is not second.source.expression
    assert not {id(one.function) for one in first.expressions if one.function} & {
        id(one.function) for one in second.expressions if one.function and one.kind != "Select"
    }


def test_recipes_are_pruned_and_named_alike():
    steps = (
        Step("dead", "Map", TOKENS, "is", (0,)),
        Step("pattern", "Select", TOKENS * 2, "EQ"),
        Step("count", "SelectorWidth", ("pattern",)),
        Step("many", "Map", ("count",), "above", (1,)),
        Step("last", "SequenceMap", ("tokens", "many"), "pick", (0,)),
    )
    recipe = listed(pruned(Recipe(steps)), ("many",))
    assert recipe.text == (
        "s1 = Select(key == query, tokens, tokens); u1 = SelectorWidth(s1); v1 = Map(x > 1, u1); "
        "out = SequenceMap(x if y else 0, tokens, v1)"
    )
    assert listed(pruned(Recipe(steps[1:])), ("many",)) == recipe
    with pytest.raises(ValueError, match="give at least one step"):
        pruned(Recipe(()))


def test_thresholds_stand_between_the_numbers_that_they_part():
    """On a number itself rounding would decide, which differs from one way of computing it to the next."""
    seen = 0
    for number in range(150):
        candidate = generate.draft(np.random.default_rng([8, number]))
        thresholds = [step for step in candidate.recipe.steps if step.rule in ("above", "flag_above", "compared")]
        if thresholds and any("tokens" in step.arguments for step in candidate.recipe.steps):
            held = {one.name: one for one in generate.read(candidate.program("drawn"))}
            for step in thresholds:
                parent = held[step.arguments[0]]
                if parent.encoding == "numerical":
                    seen += 1
                    assert min(abs(bound - value) for bound in step.constants for value in parent.values) > 1e-3
    assert seen > 10
