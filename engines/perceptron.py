"""A multilayer perceptron over a few entities: each token's embedding has a slot of the input vector to itself.

    x = (e_1, e_2, ..., e_n)      h_1 = relu(W_1 x + b_1)      h_l = relu(W_l h_{l-1} + b_l)      y = W_U h_L + b_U

At every position the slots of the tokens that have been read so far are filled, so that the last position sees all.
Source: the hierarchical equality task of Geiger et al. (2024), "Finding Alignments Between Interpretable Causal
Variables and Distributed Neural Representations", section 4, as PLOT (arXiv 2605.06979) sizes it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils import skip_init
from transformer_lens import HookedRootModule
from transformer_lens.hook_points import HookPoint

from engines.errors import InvalidModel
from engines.model import Shape
from engines.site import Port

HOOKS = {"resid_pre": "hook_resid_pre", "mlp.pre": "hook_pre", "mlp.post": "hook_post", "resid_post": "hook_resid_post"}


@dataclass(frozen=True)
class PerceptronShape:
    """Sizes: how many entities there are and how many an input has, the width of an embedding, layers, classes."""

    entities: int
    slots: int
    d_entity: int
    n_layers: int
    classes: int

    @property
    def width(self) -> int:
        """Of the input vector and of every hidden layer."""
        return self.slots * self.d_entity


class HiddenLayer(nn.Module):
    """One hidden layer: ``mlp.pre`` before and ``mlp.post`` after ReLU; ``resid_post`` is the same vector again."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear: nn.Linear = skip_init(nn.Linear, width, width)  # type: ignore[assignment]
        self.hook_resid_pre, self.hook_pre = HookPoint(), HookPoint()
        self.hook_post, self.hook_resid_post = HookPoint(), HookPoint()

    def forward(self, x: Float[Tensor, "rows pos width"]) -> Float[Tensor, "rows pos width"]:
        """The layer's neurons."""
        return self.hook_resid_post(self.hook_post(torch.relu(self.hook_pre(self.linear(self.hook_resid_pre(x))))))


class Perceptron(HookedRootModule):
    """The network; parameters start unset and are to be drawn or loaded, the embedding too, which is not trained."""

    components = frozenset(HOOKS)
    embedding: Tensor

    def __init__(self, shape: PerceptronShape) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("embedding", torch.zeros(shape.entities, shape.d_entity))
        self.blocks = nn.ModuleList([HiddenLayer(shape.width) for _ in range(shape.n_layers)])
        self.readout: nn.Linear = skip_init(nn.Linear, shape.width, shape.classes)  # type: ignore[assignment]
        self.setup()

    @property
    def sizes(self) -> Shape:
        """Hidden layers are MLPs without a residual stream beside them."""
        return Shape(self.shape.n_layers, 0, 0, self.shape.width, 0, self.shape.width)

    def read_hook(self, port: Port) -> str:
        """Each port has one hook point."""
        return f"blocks.{port.layer}.{HOOKS[port.component]}"

    def edit_hook(self, port: Port) -> str:
        """The same that shows it."""
        return self.read_hook(port)

    def embed(self, tokens: Int[Tensor, "rows pos"], mask: Bool[Tensor, "rows pos"]) -> Float[Tensor, "rows pos width"]:
        """The filled slots at every position; raises ``InvalidModel`` for more tokens than slots."""
        if mask.shape[1] > self.shape.slots and int(mask.sum(1).max()) > self.shape.slots:
            raise InvalidModel(f"an input has {int(mask.sum(1).max())} tokens; this network takes {self.shape.slots}")
        place = mask.long().cumsum(1) - 1
        slot = (place[..., None] == torch.arange(self.shape.slots)) & mask[..., None]
        spread = slot[..., None] * self.embedding[tokens * mask][..., None, :]
        return spread.flatten(2).cumsum(1)

    def layers(
        self, x: Float[Tensor, "rows pos width"], mask: Bool[Tensor, "rows pos"], start: int, stop: int
    ) -> Float[Tensor, "rows pos width"]:
        """Hidden layers ``start`` to ``stop - 1``, position by position: no ``mask`` is needed."""
        _ = mask
        for block in self.blocks[start:stop]:
            x = block(x)
        return x

    def unembed(self, x: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows classes"]:
        """Logits of the classes."""
        return self.readout(x)
