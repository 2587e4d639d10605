"""A gated recurrent network that adds two binary numbers, one bit of each a step, least significant bits first.

Tokens are a_t + 2 b_t, and ``END`` after the last bits: that step leaves the state alone and reads out the carry.

    h_t = GRUCell((a_t, b_t), h_{t-1})       s_t = w_S . h_t + b_S  (bits)       s_end = w_C . h_T + b_C  (carry)

Outputs at every position are the logits (0, s_t) of the bits 0 and 1, so that their softmax is sigmoid(s_t).
Source: the 4-bit adder of PLOT (arXiv 2605.06979): one head for all sum bits, one for the carry at the end.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils import skip_init
from transformer_lens import HookedRootModule
from transformer_lens.hook_points import HookPoint

from engines.errors import InvalidModel
from engines.model import Shape
from engines.site import Port

END = 4
"""The token after the last bits."""


class AdderGru(HookedRootModule):
    """The network; parameters start unset and are to be drawn or loaded.

    ``hook_input`` is [rows, pos, 3]: both bits, and whether this is the end. ``hook_state`` is [rows, pos, width], all
    states after any edit. An edit must reach the later steps, so ``hook_step`` is called at every step t with the
    states up to t (zeros after it) and column t of what it gives back goes on.
    """

    components = frozenset(("resid_pre", "state"))

    def __init__(self, width: int) -> None:
        super().__init__()
        if width < 1:
            raise InvalidModel(f"a state of {width} units is none; give at least 1, such as 16")
        self.width = width
        self.cell: nn.GRUCell = skip_init(nn.GRUCell, 2, width)  # type: ignore[assignment]
        self.sum_head: nn.Linear = skip_init(nn.Linear, width, 1)  # type: ignore[assignment]
        self.carry_head: nn.Linear = skip_init(nn.Linear, width, 1)  # type: ignore[assignment]
        self.hook_input, self.hook_step, self.hook_state = HookPoint(), HookPoint(), HookPoint()
        self.setup()

    @property
    def sizes(self) -> Shape:
        """One layer, whose input is 3 wide."""
        return Shape(1, 0, 0, 3, 0, 0, d_state=self.width)

    def read_hook(self, port: Port) -> str:
        """The input, or all states."""
        return "hook_input" if port.component == "resid_pre" else "hook_state"

    def edit_hook(self, port: Port) -> str:
        """The input, or the states step by step."""
        return "hook_input" if port.component == "resid_pre" else "hook_step"

    def embed(self, tokens: Int[Tensor, "rows pos"], mask: Bool[Tensor, "rows pos"]) -> Float[Tensor, "rows pos 3"]:
        """Both bits of every token and whether it is the end; raises ``InvalidModel`` for a token that is none."""
        if bool(((tokens < 0) | (tokens > END))[mask].any()):
            raise InvalidModel(f"tokens go from 0 to {END}: a + 2 b for the bits a and b, {END} at the end")
        bits = torch.stack([(tokens & 1).float(), ((tokens >> 1) & 1).float(), (tokens == END).float()], -1)
        return self.hook_input(bits)

    def layers(
        self, x: Float[Tensor, "rows pos 3"], mask: Bool[Tensor, "rows pos"], start: int, stop: int
    ) -> Float[Tensor, "rows pos _"]:
        """The logits (0, s_t) at every position; padded steps leave the state at zero."""
        if not start < 1 <= stop:
            return x
        end = x[..., 2:] > 0.5
        moves = mask[..., None] & ~end
        state = torch.zeros(x.shape[0], self.width, dtype=x.dtype)
        states: list[Tensor] = []
        for step in range(x.shape[1]):
            state = torch.where(moves[:, step], self.cell(x[:, step, :2], state), state)
            if self.hook_step.has_hooks():
                state = self.hook_step(_padded([*states, state], x.shape[1]))[:, step]
            states.append(state)
        known = self.hook_state(torch.stack(states, 1))
        logit = torch.where(end, self.carry_head(known), self.sum_head(known))
        return torch.cat([torch.zeros_like(logit), logit], -1)

    def unembed(self, x: Float[Tensor, "rows answers 2"]) -> Float[Tensor, "rows answers 2"]:
        """The layer gives the outputs themselves."""
        return x


def _padded(states: list[Tensor], length: int) -> Float[Tensor, "rows pos width"]:
    known = torch.stack(states, 1)
    return torch.cat([known, known.new_zeros(known.shape[0], length - len(states), known.shape[2])], 1)
