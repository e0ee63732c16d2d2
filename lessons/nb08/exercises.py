"""The exercises of notebook 08: depth, the gradient's way back, and residual blocks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.exercises.definitions import Code, Unusable
from utils.exercises.inputs import pictures

__all__ = ["EXERCISES"]


# --- 8.3 Block


def try_block(answer, x: Tensor) -> dict:
    """The two γ; if the last is 0, the block at its start, that γ's gradient, and the block with other parameters."""
    block = answer(x.shape[1])
    if not isinstance(block, nn.Module):
        raise Unusable("The class has to be an `nn.Module`.")
    block.train()
    start = block(x)
    if start is None:
        return {"output at the start": None}
    convs = [module for module in block.modules() if isinstance(module, nn.Conv2d)]
    norms = [module for module in block.modules() if getattr(module, "running_var", None) is not None]
    if len(convs) != 2 or len(norms) != 2:
        raise Unusable(
            "The block needs two convolutions and two batch normalizations, made in `__init__`, in the order in which "
            f"they are used; it has {len(convs)} and {len(norms)}."
        )
    if any(norm.weight is None or norm.bias is None for norm in norms):
        raise Unusable("Each batch normalization needs its γ and β.")
    found = {f"{name} γ at the start": norms[i].weight.detach().clone() for i, name in ((0, "first"), (-1, "last"))}
    if found["last γ at the start"].any():
        return found
    found |= {"output at the start": start, "gradient of the last γ": last_gradient(norms[-1].weight, start)}
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for conv in convs:
            conv.weight.copy_(torch.randn(conv.weight.shape, generator=generator) / 3)
        for norm in norms:
            norm.weight.copy_(torch.rand(norm.weight.shape, generator=generator) + 0.5)
            norm.bias.copy_(torch.randn(norm.bias.shape, generator=generator))
        found["output with other parameters"] = block(x)
    return found | {"number of learned numbers": sum(parameter.numel() for parameter in block.parameters())}


def last_gradient(gamma: Tensor, out: Tensor) -> str:
    """Whether the last γ hears of the loss; how much depends on random weights."""
    if not out.requires_grad:
        return "missing"
    weights = torch.linspace(-1, 2, out.numel()).view_as(out)
    (gradient,) = torch.autograd.grad((weights * out).sum(), gamma, allow_unused=True, retain_graph=True)
    return "missing" if gradient is None else "more than 0" if gradient.abs().max() > 1e-4 else "0"


class Block(nn.Module):
    """A right answer; what differs in a mistake is said by the class's attributes or its methods."""

    bias, gamma = False, 0.0

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=self.bias)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=self.bias)
        self.norm2 = nn.BatchNorm2d(channels)
        nn.init.constant_(self.norm2.weight, self.gamma)

    def branch(self, x: Tensor) -> Tensor:
        return self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class GammaOne(Block):
    gamma = 1.0


class WithBias(Block):
    bias = True


class WithoutSkip(Block):
    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x)


class ReluBehindTheSum(Block):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.branch(x))


class NormalizationFirst(Block):
    def branch(self, x: Tensor) -> Tensor:
        return self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))


EXERCISES = {
    "block-that-begins-as-nothing": Code(
        truth=Block,
        trial=try_block,
        cases=lambda: {
            "pictures of three channels, (4, 3, 5, 6)": (pictures(4, 3, 5, 6) - 5,),
            "pictures of two channels, (3, 2, 4, 4)": (pictures(3, 2, 4, 4, seed=1) - 4,),
        },
        axes=("picture", "channel", "row", "column"),
        mistakes={
            "gamma_one": GammaOne,
            "without_skip": WithoutSkip,
            "relu_behind_the_sum": ReluBehindTheSum,
            "normalization_first": NormalizationFirst,
            "with_bias": WithBias,
        },
    ),
}
