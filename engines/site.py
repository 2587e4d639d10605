"""Where a vector lives in a network.

    L12.resid_post@last         the residual stream after layer 12 at the position named "last"
    L9.head11.z@all             one head's mixed values at every position
    L3.mlp.neuron17@last        one hidden neuron
    L1.resid_post[4:10]@target  coordinates 4..9 of the residual stream
    L0.state@t2                 a recurrent state after step 2
    embed@last                  token plus position embedding, before layer 0

``Site.parse(str(site)) == site`` for every site. A position is a name that the task resolves for each input
(``last``, ``target``, ``correct_symbol``), ``t<k>`` (the k-th token, from 0, of the unpadded input) or ``all``.
"""

import re
from dataclasses import dataclass, replace

from engines.errors import InvalidSite

RESIDUAL = ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post", "state")
"""Components of a layer that are no part of a head or of the MLP's hidden layer."""
HEAD = ("q_in", "k_in", "v_in", "q", "k", "v", "z", "result")
"""Components of one attention head; ``*_in`` and ``result`` are d_model wide, the others d_head."""
MLP = ("mlp.pre", "mlp.post")
"""The MLP's hidden layer before and after its nonlinearity."""

PATTERN = re.compile(
    r"(?:L(?P<layer>\d+)\.)?(?P<component>[a-z_]+)?(?:(?<=head)(?P<head>\d+)\.(?P<part>[a-z_]+))?"
    r"(?P<mlp>\.(?:pre|post|neuron\d+))?(?:\[(?P<start>\d+):(?P<stop>\d+)\])?@(?P<position>[A-Za-z_]\w*)"
)
HINT = (
    "write for example 'L3.resid_post@last', 'L9.head11.z@all', 'L3.mlp.neuron17@last', 'L1.mlp_out[4:10]@t2', "
    "'embed@last'"
)


@dataclass(frozen=True)
class Port:
    """A named activation tensor of a network: all heads, coordinates and positions. ``embed`` has no layer."""

    layer: int | None
    component: str

    def __str__(self) -> str:
        return self.component if self.layer is None else f"L{self.layer}.{self.component}"


@dataclass(frozen=True)
class Site:
    """One vector: a component of a layer, perhaps of one head, perhaps only a span of coordinates, at a named position.

    ``span`` is half open. Raises ``InvalidSite`` when the parts cannot belong together.
    """

    layer: int | None
    component: str
    position: str
    head: int | None = None
    span: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        known = (*RESIDUAL, *HEAD, *MLP, "embed")
        if self.component not in known:
            raise InvalidSite(f"unknown component {self.component!r}; known: {', '.join(known)}; {HINT}")
        if (self.component == "embed") != (self.layer is None):
            raise InvalidSite(f"{self.component!r} with layer {self.layer}: only 'embed' has no layer; {HINT}")
        if (self.component in HEAD) != (self.head is not None):
            raise InvalidSite(
                f"{self.component!r} with head {self.head}: exactly {', '.join(HEAD)} need a head; {HINT}"
            )
        if self.span is not None and not 0 <= self.span[0] < self.span[1]:
            raise InvalidSite(
                f"span {self.span} of {self.component!r} is empty or negative; a span is [start:stop] with start < stop"
            )
        if not re.fullmatch(r"[A-Za-z_]\w*", self.position):
            raise InvalidSite(f"position {self.position!r} is no name; {HINT}")

    def __str__(self) -> str:
        layer = "" if self.layer is None else f"L{self.layer}."
        span = "" if self.span is None else f"[{self.span[0]}:{self.span[1]}]"
        body = self.component
        if self.head is not None:
            body = f"head{self.head}.{self.component}"
        if self.component == "mlp.post" and self.span is not None and self.span[1] == self.span[0] + 1:
            body, span = f"mlp.neuron{self.span[0]}", ""
        return f"{layer}{body}{span}@{self.position}"

    @staticmethod
    def parse(text: str) -> "Site":
        """Read a site as ``str`` writes it; raises ``InvalidSite`` with an example when the text is none."""
        match = PATTERN.fullmatch(text.strip())
        if match is None or match["component"] is None:
            raise InvalidSite(f"{text!r} is no site; {HINT}")
        part = match.groupdict()
        span = None if part["start"] is None else (int(part["start"]), int(part["stop"]))
        component = part["component"]
        if part["head"] is not None:
            component = part["part"]
        elif part["mlp"] is not None:
            if component != "mlp":
                raise InvalidSite(f"{text!r} is no site; {HINT}")
            component = "mlp" + part["mlp"]
            if component.startswith("mlp.neuron"):
                if span is not None:
                    raise InvalidSite(f"{text!r}: a neuron has no span; write 'mlp.post[3:9]' for several neurons")
                neuron = int(component.removeprefix("mlp.neuron"))
                component, span = "mlp.post", (neuron, neuron + 1)
        layer = None if part["layer"] is None else int(part["layer"])
        head = None if part["head"] is None else int(part["head"])
        return Site(layer, component, part["position"], head, span)

    @property
    def port(self) -> Port:
        """The activation tensor that holds this site."""
        return Port(self.layer, self.component)

    @property
    def whole(self) -> "Site":
        """The same site without its span."""
        return replace(self, span=None)

    def order(self) -> tuple[int, int, int, tuple[int, int], str]:
        """A key that sorts sites in the order in which a forward pass computes them."""
        stage = ("embed", "resid_pre", "q_in", "k_in", "v_in", "q", "k", "v", "z", "result", "attn_out")
        stage += ("resid_mid", "mlp.pre", "mlp.post", "mlp_out", "resid_post", "state")
        layer = -1 if self.layer is None else self.layer
        return (
            layer,
            stage.index(self.component),
            -1 if self.head is None else self.head,
            self.span or (-1, -1),
            self.position,
        )
