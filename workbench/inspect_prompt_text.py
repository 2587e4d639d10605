"""Inspections of language models as linear text, from their JSON records only: no colour, no boxes, a fact a line."""

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.inspect_forms import activations, effects, number, rank, score, strip, swaps
from workbench.text import columns, safe

Record = Mapping[str, Any]
KEYS = 8
"""Keys that are listed of a query, the others pooled."""
NO_TRUTH = "no compiled truth for this model"
NORMED = "not defined: a norm stands between these parts and the stream"


def text(tokens: Sequence[str]) -> str:
    """A prompt as it was, in quotes."""
    return safe(f'"{"".join(tokens)}"')


def likely(found: Sequence[Record]) -> str:
    """Tokens of the vocabulary with their values."""
    return safe("  ".join(f'"{one["token"]}" {number(one["value"])}' for one in found))


def overview(record: Record) -> str:
    """What the model is and which rows were kept."""
    rows = [(key, _said(value)) for key, value in record.items()]
    return columns(rows)


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_said(each)}" for key, each in value.items())
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def examples(record: Record) -> str:
    """Pairs, some lines each."""
    head = f"{len(record['examples'])} of {record['n']} kept pairs; {record['filtered']}; label: {record['variable']}"
    parts = [f"{head}\ndifference: {record['contrast']}"]
    for one in record["examples"]:
        rows = [(f"example {one['example']}", one["set"])]
        for name in ("base", "source"):
            side = one[name]
            at = " ".join(f"{key}={place}" for key, place in side["at"].items())
            right = {True: "right", False: "wrong", None: "not known"}[side["right"]]
            rows += [(f"  {name}", text(side["tokens"])), ("    positions", at)]
            rows.append(("    gives", f"{text(side['given'])} among the answers, {right}; {likely(side['top'][:3])}"))
        label = "not defined" if one["label"] is None else text(one["label"])
        rows.append(
            (
                f"  {record['variable']} of the source",
                f"makes {label}, {'informs' if one['informative'] else 'does not inform'}",
            )
        )
        between = " less ".join("none" if each is None else text([each]) for each in one["between"])
        rows.append(("  difference", f"{number(one['difference'])}: {between}"))
        parts.append(columns(rows))
    return "\n\n".join(parts)


def own(record: Record) -> str:
    """A prompt of the user's own."""
    tokens = " ".join(f"{place}:{token!r}" for place, token in enumerate(record["tokens"]))
    return columns(
        [("prompt", text(record["tokens"])), ("tokens", safe(tokens)), ("goes on with", likely(record["top"]))]
    )


def heads(record: Record) -> str:
    """The heads of a layer, a line each; effects are on the difference of two answers' logits."""
    rows: list[tuple[str, ...]] = [
        ("HEAD", "DIRECT", "ESTIMATE", "ENTROPY", "SELF", "PREVIOUS", "FIRST", "SIZE", "RANK")
    ]
    for one in record["heads"]:
        seen = one["attention"]
        names = ("entropy", "self", "previous", "first", "size")
        each = (number(seen[name] and seen[name]["value"]) for name in names)
        rows.append((one["site"], score(one["direct"]), score(one["estimate"]), *each, rank(one)))
    return _listed(record, rows)


def _listed(record: Record, rows: Sequence[Sequence[str]]) -> str:
    counts = f"statistics over {record['inputs']} bases, exact effects on {record['ablated']} of one asked for"
    lines = [f"layer {record['layer']}, {counts}", columns(rows), f"effects: {record['contrast']}"]
    return "\n".join([*lines, f"note: {record['note']}"])


def head(record: Record) -> str:
    """One head: statistics, effects with controls, whom it attends to and what it writes on a pair."""
    rows = [("head", record["site"]), ("truth", NO_TRUTH), ("direct", score(record["direct"]))]
    rows.append(("estimate", score(record["estimate"])))
    rows += [(name, score(found)) for name, found in record["attention"].items()]
    parts = [
        columns([*rows, ("rank", _ranked(record))]),
        effects(record, "random_head"),
        _differences(record, "random_head"),
    ]
    parts.append(swaps(record["swaps"], "random_heads"))
    parts += [_seen(name, record[name]) for name in ("base", "source") if name in record]
    return "\n\n".join([*parts, _note(record)])


def _seen(name: str, side: Record) -> str:
    """Whom the last token attends to, what the head writes there, and what each key's value would."""
    tokens, weights = side["tokens"], side["pattern"][-1]
    order = sorted(range(len(tokens)), key=lambda key: (-weights[key], key))
    rows: list[tuple[str, ...]] = [(f"{name.upper()} KEY", "WEIGHT", "DIRECT", "OV PROMOTES", "OV DEMOTES")]
    for key in order[:KEYS]:
        found = side["keys"][key]
        both = ("-", "-") if found is None else (likely(found["promoted"][:3]), likely(found["demoted"][:3]))
        part = None if side["by_key"] is None else side["by_key"][key]
        rows.append((f"{key} {text([tokens[key]])}", number(weights[key]), number(part), *both))
    if rest := order[KEYS:]:
        rows.append((f"the other {len(rest)}", number(sum(weights[key] for key in rest)), "", "", ""))
    written = side["written"][-1]
    if written is None:
        return columns([("prompt", text(tokens)), ("writes", NORMED)]) + "\n" + columns(rows)
    facts = [("prompt", text(tokens)), ("writes at its last token", likely(written["promoted"]))]
    facts += [("  and less of", likely(written["demoted"])), ("direct", number(side["direct"]))]
    return columns([*facts, ("scale of the final norm", number(side["scale"]))]) + "\n" + columns(rows)


def neurons(record: Record) -> str:
    """The neurons of a layer, a line each."""
    rows: list[tuple[str, ...]] = [("NEURON", "ESTIMATE", "MAX", "MEAN", "ACTIVE", "AT", "RANK")]
    for one in record["neurons"]:
        size = number(one["max"]), number(one["mean"]), number(one["active"]["value"])
        rows.append((one["site"], score(one["estimate"]), *size, text([one["strongest"]]), rank(one)))
    return _listed(record, rows)


def neuron(record: Record) -> str:
    """One neuron: quantiles, what it writes, effects with controls, and where it is strong."""
    what = "act(gate) x up, what the output projection reads" if record["gated"] else "after the nonlinearity"
    rows = [("neuron", f"{record['site']}: {what}"), ("truth", NO_TRUTH)]
    rows += [("max", f"{number(record['max'])}  mean {number(record['mean'])}  n={record['n']} tokens")]
    rows += [(f"quantile {at}", number(value)) for at, value in record["quantiles"].items()]
    rows += [("active", score(record["active"])), ("direct", score(record["direct"]))]
    rows += [("estimate", score(record["estimate"])), ("rank", _ranked(record))]
    if (written := record["writes"]) is None:
        rows += [("writes", NORMED)]
    else:
        rows += [("promotes", likely(written["promoted"])), ("demotes", likely(written["demoted"]))]
        rows += [("  by unit of activation, scale of the final norm", number(written["scale"]))]
    parts = [columns(rows), effects(record, "random_neuron"), _differences(record, "random_neuron")]
    parts += [swaps(record["swaps"], "random_neurons"), "top\n" + activations(record["top"])]
    for group in record["groups"]:
        title = f"quantiles {group['low']} to {group['high']}, {len(group['inputs'])} of {group['of']}"
        parts.append(f"{title}\n{activations(group['inputs'])}")
    nonzero = record["nonzero"]
    parts.append(f"not zero, {len(nonzero['inputs'])} of {nonzero['of']}\n{activations(nonzero['inputs'])}")
    if record["own"] is not None:
        parts.append("own\n" + strip(record["own"]))
    return "\n\n".join([*parts, _note(record)])


def residual(record: Record) -> str:
    """The residual stream's principal components with their means, and the logit lens by layer."""
    rows: list[tuple[str, ...]] = [("COMPONENT", "MEAN", "FIRST VALUES")]
    for one in record["dims"]:
        rows.append((one["dim"], score(one["mean"]), " ".join(number(value) for value in one["values"][:KEYS])))
    lens = "logit lens on example 0\n" + _lens(record["layers"])
    return f"{record['site']}  n={record['n']}\n{columns(rows)}\n\n{lens}\ndifference: {record['contrast']}"


def _lens(layers: Sequence[Record]) -> str:
    rows: list[tuple[str, ...]] = [("LAYER", "LENGTH", "DIFFERENCE", "LIKELIEST")]
    for one in layers:
        name = "embedding" if one["layer"] < 0 else f"L{one['layer']}"
        rows.append((name, number(one["length"]), number(one["difference"]), likely(one["top"])))
    return columns(rows)


def site(record: Record) -> str:
    """A site as a vector: its principal components with their means, and its effects with controls."""
    rows: list[tuple[str, ...]] = [("ROW", "MEAN", "PROMOTES", "DEMOTES")]
    for one in record["rows"]:
        found = one["writes"]
        both = ("-", "-") if found is None else (likely(found["promoted"]), likely(found["demoted"]))
        rows.append((one["name"], score(one["mean"]), *both))
    head = f"{record['site']}  n={record['bases']} distinct bases, {len(record['rows'])} {record['kind']}; {NO_TRUTH}"
    parts = [f"{head}\n{columns(rows)}", effects(record, "random_site"), _differences(record, "random_site")]
    others = f"random sites are of {len(record['peers'])} others of its kind"
    parts.append(swaps(record["swaps"], "random_sites"))
    return "\n\n".join([*parts, f"{others}\neffects: {record['contrast']}\nnote: {record['note']}"])


def states(record: Record) -> str:
    """A site's component at every token of an example's sides, or of an own prompt, and the lens by layer."""
    own = record["example"] is None
    parts = [f"{record['site']}  {'own prompt' if own else 'example ' + str(record['example'])}"]
    for name in ("base", "source"):
        if (side := record.get(name)) is None:
            continue
        tokens = [safe(f"{token}{'*' if place == side['at'] else ''}") for place, token in enumerate(side["tokens"])]
        rows: list[tuple[str, ...]] = [("OWN" if own else name.upper(), *tokens)]
        each = zip(*side["values"], strict=True)
        rows += [(row, *map(number, line)) for row, line in zip(record["names"], each, strict=True)]
        if side["top"] is not None:
            rows.append(("lens", *(safe(repr(top[0]["token"])) for top in side["top"])))
        at = f"logit lens at {side['at']} {text([side['tokens'][side['at']]])}"
        parts += [columns(rows), f"{at}\n{_lens(side['layers'])}"]
    return "\n\n".join([*parts, f"difference: {record['contrast']}"])


def truth(record: Record) -> str:
    """What is known of where the variable is."""
    return f"truth  {record['why']}"


def _differences(record: Record, others: str) -> str:
    rows = [("ABLATION", "LOGIT DIFFERENCE ADDED")]
    random = record["controls"][others]
    for kind, found in record["ablations"].items():
        rows.append((kind, score(found and found["difference"])))
        if random is not None:
            told = f"  {others.replace('_', ' ')} ({random['count']} pooled)"
            rows.append((told, score(random[kind] and random[kind]["difference"])))
    return columns([*rows, ("none", score(record["controls"]["no_op"]["difference"]))])


def _note(record: Record) -> str:
    return f"effects: {record['contrast']}\nnote: {record['note']}\n{record['filtered']}"


def _ranked(record: Record) -> str:
    return f"{rank(record)} by {record['rank']['by']}"


FORMS = {
    "overview": overview,
    "examples": examples,
    "own": own,
    "heads": heads,
    "head": head,
    "neurons": neurons,
    "neuron": neuron,
    "residual": residual,
    "site": site,
    "states": states,
    "truth": truth,
}
