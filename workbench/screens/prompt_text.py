"""What is told of a language model's parts, as lines: tokens of the vocabulary, the logit lens, direct effects."""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from workbench.screens.effect_text import Record, alone, effects, number, score, swaps
from workbench.screens.inspecting import ASIDE
from workbench.screens.sheet import title

NO_TRUTH = "no compiled truth for this model"
KEYS = 12
"""Keys that are listed of a row of attention, the others pooled."""
BAR = 16
"""Cells of the longest bar."""


NORMED = "not defined: a norm stands between these parts and the stream"
LONG = "not computed: only the last tokens of a long prompt are"
COMPUTING = "computing"
LEAST = 24
"""Cells of a prompt of which only the end is told, where the answer comes."""


def text(tokens: Sequence[str], most: int = 10**6) -> str:
    """A prompt as it was, in quotes; one that has no room for that from behind."""
    whole = "".join(tokens)
    return f'"{whole}"' if len(whole) + 2 <= most else f'..{whole[4 - max(most, LEAST) :]}"'


def tokens(found: Sequence[Record], most: int = 4) -> str:
    """Tokens of the vocabulary with their values."""
    return "  ".join(f'"{one["token"]}" {number(abs(one["value"]))}' for one in found[:most])


def written(found: Record | None, why: str = NORMED) -> list[str]:
    """What a vector promotes and demotes, or why that is not told."""
    if found is None:
        return [f"  {why}"]
    return [f"  + {tokens(found['promoted'])}", f"  - {tokens(found['demoted'])}"]


def pair(record: Record, one: Record, width: int) -> tuple[str, str]:
    """An example as two lines: base and counterfactual with what they give; prompts have the room that is left."""
    base, source, between = one["base"], one["source"], one["between"]
    first, told = f" {one['example'] + 1}/{record['n']} ", f" gives {_given(base)}"
    if one["difference"] is not None:
        asked = "" if base["right"] else f', "{between[0]}"'
        told += f'{asked} by {number(one["difference"])} over "{between[1]}"'
    at = "   " + " ".join(f"{name} {place}" for name, place in base["at"].items())
    makes = "nothing defined" if one["label"] is None else f'"{one["label"][0]}"'
    second, rest = " cf   ", f" gives {_given(source)}   its {record['variable']} makes {makes}"
    lines = (
        first + text(base["tokens"], width - len(first) - len(told)) + told,
        second + text(source["tokens"], width - len(second) - len(rest)) + rest,
    )
    more = zip(lines, (at, f"   {one['set']}"), strict=True)
    above, below = (line + tail * (len(line) + len(tail) <= width) for line, tail in more)
    return above, below


def _given(side: Record) -> str:
    right = {True: " (right)", False: " (wrong)", None: ""}[side["right"]]
    return f'"{side["given"][0]}"{right}'


def own(record: Record, width: int) -> str:
    """A prompt of the user's own, with the likeliest next tokens."""
    told = f" goes on with {tokens(record['top'], 3)}"
    return f" own {text(record['tokens'], width - 5 - len(told))}{told}   J/K: back to examples"


def attended(weights: Sequence[tuple[float, int]], names: Sequence[str], at: Mapping[str, int], bar: str) -> list[str]:
    """The keys that a query attends to most, with named positions, and what is left."""
    places = {place: name for name, place in at.items()}
    lines = []
    for weight, key in weights[:KEYS]:
        name = f" ({places[key]})" if key in places else ""
        lines.append(f"  {number(weight):>5} {key:>3} {names[key] + name:19} {bar * round(BAR * abs(weight))}")
    if rest := weights[KEYS:]:
        lines.append(f"  {number(sum(weight for weight, _ in rest)):>5}     the other {len(rest)} keys")
    return lines


def head_row(side: Record, record: Record, query: int, key: int) -> list[str]:
    """What a head writes at a query, and what the value of the key under the cursor alone would (OV)."""
    names, why = side["tokens"], LONG if side["adds"] else NORMED
    lines = ["", title(f'writes at {query} "{names[query]}", of size {number(side["size"][query])}: logits added')]
    lines += written(side["written"][query], why)
    lines += [f"  there the final norm divides by {number(side['scales'][query])}"] * side["adds"]
    lines += ["", title(f'OV of key {key} "{names[key]}": logits added if attended to alone')]
    lines += written(side["keys"][key], why)
    lines += ["  if the last token attends to it, as the direct effect"] * side["adds"]
    lines += ["", title("direct effect from the last token")]
    if side["direct"] is None:
        if not side["adds"]:
            return [*lines, f"  {NORMED}"]
        own = "an own prompt has no two answers" if record["example"] is None else "the pair has no two answers"
        return [*lines, f"  none: {own}"]
    lines += [f"  {number(side['direct'])} in all, {number(side['by_key'][key])} by key {key}"]
    lines += [
        f"  of the {line}" if not at else f"  {line}" for at, line in enumerate(wrap(record["contrast"], ASIDE - 10))
    ]
    return [*lines, f"  through the final norm, which divides by {number(side['scale'])}"]


def about_head(record: Record) -> list[str]:
    """A head's direct and estimated effects and its statistics."""
    lines = [title(record["site"]), f"  {NO_TRUTH}", "", title("effect on the difference")]
    lines += [alone("  direct", record["direct"])]
    lines += [alone("  estimate", record["estimate"]) if "estimate" in record else f"  estimate   {COMPUTING}"]
    lines += ["", title("mean over inputs")]
    widest = max(len(name) for name in record["attention"])
    for name, found in record["attention"].items():
        if found is not None:
            lines.append(f"  {name:{widest}} {score(found, 5)}  n {found['n']}")
    lacking = [name for name, found in record["attention"].items() if found is None]
    if "size" in lacking:
        lacking.remove("size")
        lines += [f"  {line}" if not at else f"    {line}" for at, line in enumerate(wrap(f"size {NORMED}", ASIDE - 8))]
    lines += [f"  {', '.join(lacking)}: no input repeats a token"] * bool(lacking)
    return lines


def computing(part: str) -> list[str]:
    """What stands where exact effects are to come."""
    return ["", title("ablations and full swaps"), f"  {COMPUTING}, also of some other {part}s for the control"]


def about_neuron(record: Record) -> list[str]:
    """What a neuron is and writes, and its direct and estimated effects."""
    what = "act(gate) x up, what the output projection reads" if record["gated"] else "after the nonlinearity"
    lines = [title(record["site"]), f"  {what}", f"  {NO_TRUTH}"]
    lines += ["", title("writes, by unit of activation: logits added"), *written(record["writes"])]
    if record["writes"] is not None:
        lines += [f"  where the final norm divides by {number(record['writes']['scale'])}, its mean"]
    lines += ["", title("effect on the difference")]
    return [*lines, alone("  direct", record["direct"]), alone("  estimate", record["estimate"])]


def lens(values: Record, side: str) -> list[str]:
    """The logit lens after every layer at the site's token, the last layer first."""
    found = values.get(side) or values["base"]
    place = found["at"]
    lines = [title(f'logit lens at {place} "{found["tokens"][place]}", by layer'), "      length  diff  likeliest"]
    for one in reversed(found["layers"]):
        name = "emb" if one["layer"] < 0 else f"L{one['layer']}"
        lines.append(f"  {name:>3} {number(one['length']):>6} {number(one['difference']):>5}  {tokens(one['top'], 3)}")
    return [*lines, *wrap(f"diff: {values['contrast']}", ASIDE - 2), ""]


def component(one: Record) -> str:
    """What a principal component writes, in a line."""
    found = one["writes"]
    return "writes nothing by itself" if found is None else "  ".join(line.strip() for line in written(found))


def likely(found: Any) -> str:
    """The logit lens of one vector."""
    return "none: the unembedding does not read this vector" if found is None else tokens(found, 3)


def note(record: Record) -> list[str]:
    """What must be known of the numbers."""
    rows = (
        f"statistics over {record['inputs']} bases, ablations on {record['ablated']}, swaps on {record['pairs']} pairs"
    )
    return ["", *wrap(f"note: {record['note']}; {rows}", ASIDE - 2), *wrap(record["filtered"], ASIDE - 2)]


def neuron(one: Record) -> str:
    """A neuron of a list in a line: its estimate, its activations, and where exact effects are."""
    found = one["estimate"]
    told = "not defined" if found is None else f"{score(found)} n {found['n']}"
    rank = f"rank {one['rank']['rank']} of {one['rank']['of']}"
    active = (
        f"active {score(one['active'])} n {one['active']['n']}   mean {number(one['mean'])}   max {number(one['max'])}"
    )
    return f"n{one['neuron']}  estimate {told}, {rank}   {active}   exact effects: w"


def site(record: Record) -> list[str]:
    """A site's effects beside their controls, its principal components with what they write."""
    lines = [*swaps(record, "random_sites"), "", *effects(record, "random_site"), ""]
    lines.append(title(f"{record['kind']}: means over {record['bases']} distinct bases"))
    if any(one["writes"] for one in record["rows"]):
        lines.append("  + and -: logits added by 1 of it, at the final norm's mean")
    for one in record["rows"]:
        lines.append(f"  {one['name']:10} {score(one['mean'])}")
        lines += ["  " + line for line in written(one["writes"])] if one["writes"] else []
    peers = ", ".join(record["peers"]) or "none: there is no other site of its kind"
    return [*lines, "", *wrap(f"random sites are of: {peers}", ASIDE - 2), *wrap(f"note: {record['note']}", ASIDE - 2)]
