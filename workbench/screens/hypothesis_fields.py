"""What can be edited of a node: how it is asked for, what it is now, what it may be, and the change that it makes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engines.hypothesis import DRAWS, SOURCES, Hypothesis, InterpNode
from workbench import hypothesis_edits as edits
from workbench.screens import hypothesis_ask as asking
from workbench.screens.hypothesis_ask import Candidates
from workbench.screens.hypothesis_choices import Choices


@dataclass(frozen=True)
class Field:
    """A part of what a node says. ``change`` takes the hypothesis, the node's name and what was typed."""

    about: str
    now: Callable[[InterpNode], str]
    candidates: Callable[[Choices], Candidates]
    change: Callable[[Hypothesis, str, str], Hypothesis]


FIELDS: Mapping[str, Field] = {
    "feature": Field(
        "features (commas between; none: any datum)",
        lambda node: ", ".join(node.feature),
        lambda choices: asking.words(choices.features),
        edits.set_feature,
    ),
    "paths": Field(
        "paths (semicolons between)",
        lambda node: "; ".join(node.paths),
        lambda choices: choices.paths,
        edits.set_paths,
    ),
    "others": Field(
        "source of other inputs",
        lambda node: str(node.other),
        lambda choices: asking.one(choices.sources(SOURCES)),
        edits.set_other,
    ),
    "groups": Field(
        "groups (PATH; PATH by SOURCE | ..)",
        edits.groups_text,
        lambda _: asking.one(()),
        edits.set_groups,
    ),
    "draw": Field(
        "draw",
        lambda node: str(node.draw),
        lambda choices: asking.one(choices.sources(DRAWS)),
        edits.set_draw,
    ),
    "via": Field(
        "via (commas between)",
        lambda node: ", ".join(node.via),
        lambda choices: choices.parts,
        edits.set_via,
    ),
}
"""By the name of the key that edits it."""
