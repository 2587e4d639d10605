"""Inspections as linear text, from their JSON records only: no colour, no boxes, a fact a line."""

from collections.abc import Mapping, Sequence
from typing import Any

from workbench import inspect_prompt_text
from workbench.inspect_forms import activations, effects, number, rank, score, strip, swaps
from workbench.text import columns, safe

Record = Mapping[str, Any]
STRONGEST = 8
"""Directions that are shown of what a part writes."""
SMALL = 1e-4
"""What is smaller is not shown among directions."""


def text(what: str, record: Record) -> str:
    """The answer to a request, by the request's name."""
    if record.get("language"):
        return inspect_prompt_text.FORMS[what](record)
    return FORMS[what](record)


def overview(record: Record) -> str:
    """What the network is."""
    rows = [
        (key, " ".join(map(str, value)) if isinstance(value, list) else str(value)) for key, value in record.items()
    ]
    return columns(rows)


def examples(record: Record) -> str:
    """Pairs, a line each."""
    rows = [("EXAMPLE", "BASE", "ANSWERS", "NETWORK", "COUNTERFACTUAL", "LABEL", "INFORMS")]
    for one in record["examples"]:
        base = one["base"]
        sides = _words(base["tokens"]), _words(base["answers"]), _words(base["given"]), _words(one["source"]["tokens"])
        rows.append((str(one["example"]), *sides, _words(one["label"]), "yes" if one["informative"] else "no"))
    head = (
        f"{len(record['examples'])} of {record['n']} pairs, {record['shown']} can be shown; label: {record['variable']}"
    )
    return f"{head}\n{columns(rows)}"


def own(record: Record) -> str:
    """A prompt of the user's own."""
    right = {True: "yes", False: "no", None: "not known"}[record["right"]]
    rows = [("prompt", _words(record["tokens"])), ("answers", _words(record["answers"]))]
    return columns([*rows, ("network", _words(record["given"])), ("right", right)])


def heads(record: Record) -> str:
    """The heads of a layer, a line each; effects are shares of inputs that are still right."""
    rows = [("HEAD", "WRITES", "PATTERN", "ENTROPY", "SELF", "PREVIOUS", "SIZE", "MEAN ABLATED", "RANK")]
    for one in record["heads"]:
        label, seen = one["label"] or {"writes": [], "selects": []}, one["attention"]
        entropy, itself, previous, size = (
            number(seen[name]["value"]) for name in ("entropy", "self", "previous", "size")
        )
        ablated = score(one["ablations"]["mean"]["right"])
        carries = _listed(label["writes"]), _listed(label["selects"])
        rows.append((one["site"], *carries, entropy, itself, previous, size, ablated, rank(one)))
    nothing = record["heads"][0]["controls"]["no_op"]["right"] if record["heads"] else None
    lines = [columns(rows), f"no ablation  {score(nothing)}", f"note: {record['note']}"]
    return "\n".join([f"layer {record['layer']}, {record['inputs']} inputs, {record['pairs']} pairs", *lines])


def head(record: Record) -> str:
    """One head: labels, statistics, effects with controls, and its pattern on a pair."""
    label = record["label"]
    rows = [("head", record["site"]), *_labelled(label)]
    if label is not None:
        rows += [(f"  {part} reads", _listed(names)) for part, names in label["reads"].items()]
    rows += [(name, score(found)) for name, found in record["attention"].items()]
    parts = [columns([*rows, ("rank", rank(record))]), effects(record, "random_head")]
    parts += [swaps(record["swaps"], "random_heads")]
    parts += [_seen(name, record[name], record["directions"]) for name in ("base", "source") if name in record]
    return "\n\n".join(parts)


def neurons(record: Record) -> str:
    """The neurons of a layer, a line each."""
    rows = [("NEURON", "VARIABLE", "MAX", "ACTIVE", "AT", "ZERO ABLATED", "RANK")]
    for one in record["neurons"]:
        variable = (one["label"] or {}).get("variable") or "-"
        active, zero = number(one["active"]["value"]), score(one["ablations"]["zero"]["right"])
        rows.append((one["site"], variable, number(one["max"]), active, one["strongest"], zero, rank(one)))
    nothing = score(record["neurons"][0]["controls"]["no_op"]["right"])
    lines = [columns(rows), f"no ablation  {nothing}", f"note: {record['note']}"]
    return "\n".join([f"layer {record['layer']}, {record['inputs']} inputs", *lines])


def neuron(record: Record) -> str:
    """One neuron: quantiles, what it reads and writes, effects with controls, and where it is strong."""
    label = record["label"]
    rows = [("neuron", record["site"]), ("max", f"{number(record['max'])}  n={record['n']} tokens")]
    rows += [(f"quantile {at}", number(value)) for at, value in record["quantiles"].items()]
    rows += [("active", score(record["active"])), ("rank", rank(record))]
    if label is not None:
        writes = [f"{one['name']} {number(one['weight'])}" for one in label["writes"]]
        rows += [
            ("variable", label["variable"] or "-"),
            ("writes", _listed(writes)),
            ("reads", _listed(label["reads"])),
        ]
    if record["answer"] is not None:
        added = zip(record["answers"], record["answer"], strict=True)
        rows.append(("adds to", _listed([f"{answer} {number(value)}" for answer, value in added])))
    parts = [columns(rows), effects(record, "random_neuron"), swaps(record["swaps"], "random_neurons")]
    parts.append("top\n" + activations(record["top"]))
    for group in record["groups"]:
        title = f"quantiles {group['low']} to {group['high']}, {len(group['inputs'])} of {group['of']}"
        parts.append(f"{title}\n{activations(group['inputs'])}")
    nonzero = record["nonzero"]
    parts.append(f"not zero, {len(nonzero['inputs'])} of {nonzero['of']}\n{activations(nonzero['inputs'])}")
    if record["own"] is not None:
        parts.append("own\n" + strip(record["own"]))
    return "\n\n".join(parts)


def residual(record: Record) -> str:
    """The residual stream's directions, or coordinates where nothing is known, with their means."""
    named = record["directions"]
    rows = [("DIRECTION", "MEAN", "FIRST VALUES")]
    for one in named if named is not None else record["dims"]:
        name = one["label"]["name"] if named is not None else str(one["dim"])
        rows.append((name, score(one["mean"]), " ".join(number(value) for value in one["values"][:STRONGEST])))
    return f"{record['site']}  n={record['n']}, {record['shown']} shown\n{columns(rows)}"


def site(record: Record) -> str:
    """A site as a vector: its rows with their means, and its effects with controls."""
    rows, answers = [("ROW", "MEAN", "STANDS FOR", "SAYS")], [{"name": str(one)} for one in record["answers"]]
    for one in record["rows"]:
        label, says = one["label"], one["says"]
        stands = f"{label['variable'] or '-'} ({label['role']})" if label else "-"
        said = "-" if says is None else safe(_largest(says, answers))
        rows.append((safe(one["name"]), score(one["mean"]), stands + (" *" if one["asked"] else ""), said))
    head = f"{record['site']}  n={record['n']} bases, {len(record['rows'])} {record['kind']}, * is {record['variable']}"
    others = f"random sites are of {len(record['peers'])}: {_listed(record['peers'])}"
    parts = [f"{head}\n{columns(rows)}", effects(record, "random_site"), swaps(record["swaps"], "random_sites")]
    return "\n\n".join([*parts, f"rank {rank(record)}\n{others}\nnote: {record['note']}"])


def states(record: Record) -> str:
    """A site's component at every token of an example's sides, or of an own prompt: rows down, tokens across."""
    own = record["example"] is None
    title = f"{record['site']}  {'own prompt' if own else 'example ' + str(record['example'])}"
    parts = []
    for name in ("base", "source"):
        if (side := record.get(name)) is None:
            continue
        tokens = [safe(token) + ("*" if place == side.get("at") else "") for place, token in enumerate(side["tokens"])]
        rows = [("OWN" if own else name.upper(), *tokens)]
        each = zip(*side["values"], strict=True)
        rows += [(safe(row), *map(number, line)) for row, line in zip(record["names"], each, strict=True)]
        if side["lens"] is not None:
            lens = zip(*side["lens"], strict=True)
            answers = map(str, record["answers"])
            rows += [(f"lens {safe(answer)}", *map(number, line)) for answer, line in zip(answers, lens, strict=True)]
        parts.append(columns(rows))
    return "\n\n".join([title, *parts])


def window(record: Record) -> str:
    """A site's component on the examples around one, counted from 0: rows down, examples across."""
    parts = [f"{record['site']}  on examples"]
    first = record["examples"]["start"]
    for name in ("base", "source"):
        lines = record["examples"][name]
        rows = [(name.upper(), *(str(first + at) for at in range(len(lines))))]
        each = zip(*lines, strict=True)
        rows += [(safe(row), *map(number, line)) for row, line in zip(record["names"], each, strict=True)]
        parts.append(columns(rows))
    return "\n\n".join(parts)


def truth(record: Record) -> str:
    """The sites that carry the variable."""
    if not record["known"]:
        return "truth  not known: this network was trained, not compiled"
    rows = [("whole sites", _listed(record["whole"])), ("in subspaces", _listed(record["subspace"]))]
    return columns([*rows, ("established", f"n={record['n']} informative pairs, regime {record['regime']}")])


def _words(values: Sequence[Any] | None) -> str:
    return "-" if values is None else safe(" ".join("_" if value is None else str(value) for value in values))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "-"


def _labelled(label: Record | None) -> list[tuple[str, str]]:
    if label is None:
        return [("label", "not known, or it writes what nothing reads")]
    again = [("copy", "does what another head does")] if label["copy"] else []
    return [("writes", _listed(label["writes"])), ("pattern of", _listed(label["selects"])), *again]


def _seen(name: str, side: Record, directions: Sequence[Record] | None) -> str:
    """A pattern, queries down and keys across, and the largest directions written at each query."""
    tokens = [safe(token) for token in side["tokens"]]
    rows = [(f"{name.upper()} QUERY", *tokens, "WRITES")]
    for place, (token, weights) in enumerate(zip(tokens, side["pattern"], strict=True)):
        written = "-" if directions is None else _largest(side["writes"][place], directions)
        rows.append((token, *(number(weight) for weight in weights), written))
    return columns(rows)


def _largest(values: Sequence[float], directions: Sequence[Record]) -> str:
    order = sorted(range(len(values)), key=lambda at: -abs(values[at]))[:STRONGEST]
    return _listed([f"{directions[at]['name']} {number(values[at])}" for at in order if abs(values[at]) > SMALL])


def angles(record: Record) -> str:
    """What a run learned against the true subspaces, site by site."""
    parts = [f"run {record['run']}, {record['method']} on {record['variable']}"]
    for one in record["sites"]:
        head = f"{one['site']}: " + ("not claimed" if one["claim"] is None else f"claim {one['claim']}")
        rows = [(head, "" if one["featurizer"] is None else f"{one['featurizer']} of rank {one['rank']}")]
        rows.append(("  true", ", ".join(f"{block['block']} of rank {block['rank']}" for block in one["true"]) or "-"))
        if one["audit"] is not None:
            rows.append(("  alone", f"right on {one['audit']['right']} of {one['audit']['n']} valid audit pairs"))
        if one["note"] is not None:
            rows.append(("  angles", one["note"]))
        else:
            random, degrees = one["random"], ", ".join(f"{angle:.1f}" for angle in one["angles"])
            rows.append(("  angles", f"{degrees} degrees with {one['block']}"))
            rows.append(("  mean cos", f"{number(one['mean_cos'])}  k {len(one['angles'])} of {one['true_rank']}"))
            rows.append(("  share of the true subspace", number(one["share"])))
            rows.append(("  random subspaces' mean cos", f"{score(random)} draws, seed {random['seed']}"))
        parts.append(columns(rows))
    return "\n\n".join(parts)


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
    "angles": angles,
}
