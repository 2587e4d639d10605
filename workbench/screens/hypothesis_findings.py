"""What is known of a hypothesis in its editor: its rules and draws, the plan of a scrub, or why there is none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engines.hypothesis import InterpNode
from workbench.screens import hypothesis_text as words

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Findings:
    """Answers about a hypothesis: of its rules, with each draw and one swap of it, and of what a scrub would cost."""

    record: Record | None = None
    plan: Record | None = None
    refusals: Mapping[str, str] = field(default_factory=dict)
    """Why there is no answer, by the kind of the question."""

    def learned(self, record: Record) -> "Findings":
        """With an answer about the rules."""
        return replace(self, record=record, refusals=self._without("check"))

    def measured(self, plan: Record) -> "Findings":
        """With a plan."""
        return replace(self, plan=plan, refusals=self._without("plan"))

    def refused(self, kind: str, sentence: str) -> "Findings":
        """With why a question has no answer."""
        return replace(self, refusals={**self.refusals, kind: sentence})

    def _without(self, kind: str) -> dict[str, str]:
        return {each: why for each, why in self.refusals.items() if each != kind}

    @property
    def is_broken(self) -> bool:
        """Whether a rule is known to be broken."""
        return self.record is not None and not self.record["admissible"]

    @property
    def references(self) -> int:
        """How many references there are for the swaps; 0 before that is known."""
        return (self.record or {}).get("references") or 0

    @property
    def nodes(self) -> dict[str, Record]:
        """What is known of each node."""
        return {one["name"]: one for one in (self.record or {}).get("nodes", ())}

    @property
    def classes(self) -> dict[str, int]:
        """How many classes the nodes have that are drawn."""
        return {name: one["vacuity"]["classes"] for name, one in self.nodes.items() if one["vacuity"]}

    def swap(self, name: str) -> str:
        """Which datum is put in place of which at a node."""
        fact = self.nodes.get(name)
        return (
            "" if fact is None or fact["before"] is None else f"swap {fact['before']['row']} -> {fact['after']['row']}"
        )

    def lines(self, last: Sequence[str], glyphs: str, width: int) -> list[str]:
        """Rules, plan, bits and the last scrub, which ``last`` tells."""
        trouble = self.refusals.get("check", "")
        found = words.checks(self.record, trouble, width)
        if self.is_broken:
            found += ["", "plan  none before every rule is kept"]
        else:
            found += ["", *words.planned(self.plan, self.refusals.get("plan", "") or trouble, width)]
        found += words.bits(self.record, glyphs, width)
        return [*found, "", *(part for one in last for part in words.hung(one, width, 6))]

    def about(self, node: InterpNode, width: int) -> list[str]:
        """Everything about a node."""
        return words.node(node, self.nodes.get(node.name), self.record, width)

    def brief(self, node: InterpNode) -> str:
        """A node in a line."""
        return words.brief(node, self.nodes.get(node.name))
