"""The exercises of notebook 08: depth, the gradient's way back, and residual blocks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.exercises.definitions import Choice, Code, Mistake, Number, Unusable
from utils.exercises.nb02 import pictures

__all__ = ["EXERCISES"]


# --- 8.3 Block


def try_block(answer, x: Tensor) -> dict:
    """The block at its start, the gradient of its last γ, and the block with other parameters."""
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
    found = {
        "output at the start": start,
        "first γ at the start": norms[0].weight.detach().clone(),
        "last γ at the start": norms[-1].weight.detach().clone(),
        "last convolution at the start": "all 0" if not convs[-1].weight.any() else "random",
        "gradient of the last γ": last_gradient(norms[-1].weight, start),
    }
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
    if not out.requires_grad or gamma is None:
        return "missing"
    weights = torch.linspace(-1, 2, out.numel()).view_as(out)
    (gradient,) = torch.autograd.grad((weights * out).sum(), gamma, allow_unused=True, retain_graph=True)
    return "missing" if gradient is None else "not 0" if gradient.abs().max() > 1e-4 else "0"


class Block(nn.Module):
    """A right answer, each step of which a mistake may override."""

    bias = False

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=self.bias)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=self.bias)
        self.norm2 = nn.BatchNorm2d(channels)
        self.start()

    def start(self) -> None:
        nn.init.zeros_(self.norm2.weight)

    def branch(self, x: Tensor) -> Tensor:
        return self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class GammaOne(Block):
    def start(self) -> None:
        pass


class BothZero(Block):
    def start(self) -> None:
        nn.init.zeros_(self.norm1.weight)
        nn.init.zeros_(self.norm2.weight)


class FirstZero(Block):
    def start(self) -> None:
        nn.init.zeros_(self.norm1.weight)


class ConvolutionZero(Block):
    def start(self) -> None:
        nn.init.zeros_(self.conv2.weight)


class BothConvolutionAndGamma(Block):
    def start(self) -> None:
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.norm2.weight)


class WithoutSkip(Block):
    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x)


class ReluBehindTheSum(Block):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.branch(x))


class ReluBehindTheBranch(Block):
    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.branch(x))


class WithoutRelu(Block):
    def branch(self, x: Tensor) -> Tensor:
        return self.norm2(self.conv2(self.norm1(self.conv1(x))))


class NormalizationFirst(Block):
    def branch(self, x: Tensor) -> Tensor:
        return self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))


class NormalizedAfterRelu(Block):
    def branch(self, x: Tensor) -> Tensor:
        return self.norm2(self.conv2(self.norm1(F.relu(self.conv1(x)))))


class WithBias(Block):
    bias = True


class Scaled(Block):
    def forward(self, x: Tensor) -> Tensor:
        return x + 0 * self.branch(x)


EXERCISES = {
    "8.1": Number(
        minutes=3,
        difficulty="★☆☆ easy",
        right=10_000,
        tolerance=1,
        mistakes=[
            Mistake(
                "doubled",
                "Twice the layers, but not twice the factor: does a layer add to the gradient, or multiply it?",
                value=200,
            ),
            Mistake("unchanged", "The second 25 layers are not without effect. What do they receive?", value=100),
            Mistake(
                "squared_depth",
                "That would be so if the size grew with the square of the depth. It grows by a factor a layer.",
                value=400,
            ),
            Mistake(
                "root",
                "You took the root, as for half as many layers.",
                value=10,
            ),
            Mistake(
                "times_layers",
                "You multiplied by the number of layers. What does each of them do to the gradient?",
                value=5000,
            ),
            Mistake("times_25", "You multiplied by 25, a number of layers. It is the exponent.", value=2500),
        ],
        hints=[
            "Cut the 50 layers into two halves. What does the first half do to the gradient, and what the second?",
            "On a logarithmic axis the curve is a straight line.",
        ],
        look='the section "A law: 1.21 a layer"',
        remark="A straight line on a logarithmic axis: what is a hundred after 25 layers is a million after 75.",
    ),
    "8.2": Choice(
        minutes=4,
        difficulty="★★☆ medium",
        right="d",
        wrong={
            "a": "Going back, the gradient meets the last γ before the convolutions. What is it multiplied by?",
            "b": "Nothing passes *through* the zero. But what is the gradient *for* γ itself, in γ · n + β?",
            "c": "The gradient for a parameter does not have that parameter as its factor. What is the derivative of "
            "γ · n + β with respect to γ?",
            "e": "On its way back to the convolutions, the gradient is multiplied by the last γ.",
        },
        hints=[
            "The branch ends in γ · n + β. Write down the derivatives with respect to γ, to β, and to n.",
            "Which of the three is 0 when γ is?",
            "Try it: `Bottleneck(64, 16)` with `nn.init.zeros_(block.bn3.weight)`, and print the gradients.",
        ],
        look="the line with `bn3.weight` in `all_ways`",
        remark="So the first step opens the last γ, and from the second on the whole branch learns. The zero is a "
        "start, and no trap.",
    ),
    "8.3": Code(
        minutes=15,
        difficulty="★★★ hard",
        truth=Block,
        trial=try_block,
        cases=lambda: {
            "pictures of three channels, (4, 3, 5, 6)": (pictures(4, 3, 5, 6) - 5,),
            "pictures of two channels, (3, 2, 4, 4)": (pictures(3, 2, 4, 4, seed=1) - 4,),
        },
        mistakes=[
            Mistake(
                "gamma_one",
                "The block would be right after training. At the start it is not the identity: what does the branch "
                "add? Of `weight` and `bias`, the γ is the first.",
                like=GammaOne,
            ),
            Mistake(
                "both_zero",
                "The block is the identity, and stays it for ever: with both γ at 0 the second convolution sees "
                "nothing but zeros, and no gradient arrives anywhere.",
                like=BothZero,
            ),
            Mistake(
                "first_zero",
                "You set the γ of the *first* normalization to 0, and not the last: what comes behind sees "
                "nothing but zeros.",
                like=FirstZero,
            ),
            Mistake(
                "convolution_zero",
                "You set the weights of the last convolution to 0. What comes out is the identity, but the "
                "normalization behind it has nothing to normalize. The task asks for its γ.",
                like=ConvolutionZero,
            ),
            Mistake(
                "convolution_and_gamma_zero",
                "With the last convolution at 0 as well as the last γ, neither of them receives a gradient. "
                "One zero is enough.",
                like=BothConvolutionAndGamma,
            ),
            Mistake("without_skip", "The skip is missing: nothing but the branch comes out.", like=WithoutSkip),
            Mistake(
                "relu_behind_the_sum",
                "A ReLU behind the sum cuts off what is negative in x: that is no identity.",
                like=ReluBehindTheSum,
            ),
            Mistake(
                "relu_behind_the_branch",
                "There is a ReLU behind the second normalization. The branch could only ever add.",
                like=ReluBehindTheBranch,
            ),
            Mistake("without_relu", "The ReLU between the two halves is missing.", like=WithoutRelu),
            Mistake(
                "normalization_first",
                "Your branch has each normalization before its convolution, as `half` in this notebook. There, a last "
                "γ of 0 leaves nothing but zeros at the ReLU, and no gradient comes through.",
                like=NormalizationFirst,
            ),
            Mistake(
                "normalized_after_relu",
                "The first normalization comes behind the ReLU. The task has it before.",
                like=NormalizedAfterRelu,
            ),
            Mistake(
                "with_bias",
                "All is right but the convolutions' bias. The normalization behind takes it away with the mean.",
                like=WithBias,
            ),
            Mistake(
                "multiplied_by_zero",
                "You multiply the branch by 0, which nothing can learn to change. Which *parameter* is to be 0?",
                like=Scaled,
            ),
            Mistake(
                "without_padding",
                "Without padding, a convolution of 3 × 3 loses a row and a column on each side, and the sum "
                "does not fit.",
                raising=r"size of tensor a .* must match the size of tensor b .* at non-singleton dimension [23]",
            ),
        ],
        hints=[
            "First the branch, for example as an `nn.Sequential`; then `forward` in one line.",
            "γ is the parameter `weight` of an `nn.BatchNorm2d`, β is its `bias`.",
            "`nn.init.zeros_` sets a parameter to 0 and leaves it a parameter.",
        ],
        look='the section "ResNet-152, with and without"',
        axes=("picture", "channel", "row", "column"),
        remark="torchvision's block has a ReLU behind the sum, and is the identity at the start all the same: what "
        "comes in has been through a ReLU already.",
    ),
}
