"""The exercises of notebook 08: depth, the gradient's way back, and residual blocks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.exercises.definitions import Code, Unusable
from utils.exercises.inputs import pictures

__all__ = ["EXERCISES"]


# --- 8.3 Block


def try_block(answer, x: Tensor) -> dict:
    """The two γ; if the last is 0, the block at its start, that γ's gradient, and the block with other parameters.

    Which normalization and which convolution is the first is told by the order in which the block calls them.
    """
    block = answer(x.shape[1])
    if not isinstance(block, nn.Module):
        raise Unusable("The class has to be an `nn.Module`.")
    called, modules = [], list(block.train().modules())
    handles = [module.register_forward_pre_hook(lambda one, _: called.append(one)) for module in modules]
    start = block(x.clone())
    for handle in handles:
        handle.remove()
    if not isinstance(start, Tensor):
        return {"output at the start": start}
    in_order = dict.fromkeys([*called, *modules])
    convs = [module for module in in_order if isinstance(module, nn.Conv2d)]
    norms = [module for module in in_order if getattr(module, "running_var", None) is not None]
    if len(convs) != 2 or len(norms) != 2:
        raise Unusable(
            "The block needs two convolutions and two batch normalizations, made in `__init__`; "
            f"it has {len(convs)} and {len(norms)}."
        )
    if any(norm.weight is None or norm.bias is None for norm in norms):
        raise Unusable("Each batch normalization needs its γ and β.")
    found = {f"{name} γ at the start": norms[i].weight.detach().clone() for i, name in ((0, "first"), (-1, "last"))}
    if found["last γ at the start"].any():
        return found
    found |= {"output at the start": start, "gradient of the last γ": last_gradient(norms[-1].weight, start)}
    defaults = all(starts_as_pytorch(conv.weight) for conv in convs)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for conv in convs:
            conv.weight.copy_(torch.randn(conv.weight.shape, generator=generator) / 3)
        for norm in norms:
            norm.weight.copy_(torch.rand(norm.weight.shape, generator=generator) + 0.5)
            norm.bias.copy_(torch.randn(norm.bias.shape, generator=generator))
            norm.reset_running_stats()  # they have seen weights that are random
    found |= through(block, x)
    learned = sum(parameter.numel() for parameter in block.parameters() if parameter.requires_grad)
    return found | {
        "number of learned numbers": str(learned),
        "start of the convolutions": "PyTorch's default" if defaults else "another",
    }


def starts_as_pytorch(weight: Tensor) -> bool:
    """Whether the largest of a convolution's weights fits PyTorch's default: uniform up to 1/√(numbers per output)."""
    return 0.7 < weight.abs().max().item() * weight[0].numel() ** 0.5 <= 1


def through(block: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """What comes out in both modes, in evaluation mode of x itself, and the gradient of what goes in."""
    inputs = x.clone().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda tensor: tensor):  # `x += …` spoils no gradient
        out = block(inputs.clone()) + 0 * inputs  # a gradient even if nothing of the block lets one through
        (gradient,) = torch.autograd.grad((weights_for(out) * out).sum(), inputs)
    found = {"output with other parameters": out.detach(), "gradient of the input with other parameters": gradient}
    return found | {"output in evaluation mode": block.eval()(x).detach().clone()}


def weights_for(out: Tensor) -> Tensor:
    return torch.linspace(-1, 2, out.numel()).view_as(out)


def last_gradient(gamma: Tensor, out: Tensor) -> str:
    """Whether the last γ hears of the loss; how much depends on random weights."""
    if not out.requires_grad:
        return "missing"
    (gradient,) = torch.autograd.grad((weights_for(out) * out).sum(), gamma, allow_unused=True, retain_graph=True)
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
