"""The exercises of notebook 06: the gradient of a normalization."""

import torch
from torch import Tensor

from utils.exercises.definitions import Choice, Code, Mistake, Number, Unusable

__all__ = ["EXERCISES"]


# --- 6.3 backward


def channels(count: int, values: int, seed: int, eps: float) -> tuple[Tensor, Tensor, Tensor, float]:
    """What arrives, the input, γ, ε; no mean is near 0."""
    generator = torch.Generator().manual_seed(seed)
    dy, x = torch.randn(2, count, values, generator=generator, dtype=torch.float64)
    gamma = torch.linspace(0.5, -2, count, dtype=torch.float64)[:, None]
    return dy + 0.7, x * 1.5 + 1, gamma, eps


def try_backward(answer, *arguments) -> dict:
    """The two gradients by their names."""
    result = answer(*arguments)
    if result is None:
        return {"gradient of x": None, "gradient of γ": None}
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise Unusable("Return two tensors: `return dx, dgamma`.")
    return {"gradient of x": result[0], "gradient of γ": result[1]}


def mean(values: Tensor) -> Tensor:
    return values.mean(1, keepdim=True)


class Backward:
    """A right answer in steps, each of which a mistake may override."""

    def factor(self, x: Tensor, eps: float) -> Tensor:
        return (mean(x.square()) + eps).rsqrt()

    def inner(self, dy: Tensor, xhat: Tensor, r: Tensor) -> Tensor:
        return dy - xhat * mean(dy * xhat)

    def outer(self, gamma: Tensor, r: Tensor) -> Tensor:
        return gamma * r

    def of_gamma(self, dy: Tensor, x: Tensor, r: Tensor) -> Tensor:
        return (dy * x * r).sum(1, keepdim=True)

    def __call__(self, dy: Tensor, x: Tensor, gamma: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        r = self.factor(x, eps)
        return self.outer(gamma, r) * self.inner(dy, x * r, r), self.of_gamma(dy, x, r)


class Boxed(Backward):
    def inner(self, dy: Tensor, xhat: Tensor, r: Tensor) -> Tensor:
        return dy - mean(dy) - xhat * mean(dy * xhat)


class Detached(Backward):
    def inner(self, dy: Tensor, xhat: Tensor, r: Tensor) -> Tensor:
        return dy


class WithSum(Backward):
    def inner(self, dy: Tensor, xhat: Tensor, r: Tensor) -> Tensor:
        return dy - xhat * (dy * xhat).sum(1, keepdim=True)


class Added(Backward):
    def inner(self, dy: Tensor, xhat: Tensor, r: Tensor) -> Tensor:
        return dy + xhat * mean(dy * xhat)


class InputForNormal(Backward):
    def inner(self, dy: Tensor, xhat: Tensor, r: Tensor) -> Tensor:
        return dy - xhat / r * mean(dy * xhat / r)


class OneFactorMissing(Backward):
    def inner(self, dy: Tensor, xhat: Tensor, r: Tensor) -> Tensor:
        return dy - xhat / r * mean(dy * xhat)


class WithoutGamma(Backward):
    def outer(self, gamma: Tensor, r: Tensor) -> Tensor:
        return r


class WithoutR(Backward):
    def outer(self, gamma: Tensor, r: Tensor) -> Tensor:
        return gamma


class WithoutEps(Backward):
    def factor(self, x: Tensor, eps: float) -> Tensor:
        return mean(x.square()).rsqrt()


class EpsOutside(Backward):
    def factor(self, x: Tensor, eps: float) -> Tensor:
        return 1 / (mean(x.square()).sqrt() + eps)


class Centred(Backward):
    def __call__(self, dy: Tensor, x: Tensor, gamma: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        d = x - mean(x)
        r = self.factor(d, eps)
        return gamma * r * Boxed().inner(dy, d * r, r), self.of_gamma(dy, d, r)


class MeanForGamma(Backward):
    def of_gamma(self, dy: Tensor, x: Tensor, r: Tensor) -> Tensor:
        return mean(dy * x * r)


class InputForGamma(Backward):
    def of_gamma(self, dy: Tensor, x: Tensor, r: Tensor) -> Tensor:
        return (dy * x).sum(1, keepdim=True)


class EachForGamma(Backward):
    def of_gamma(self, dy: Tensor, x: Tensor, r: Tensor) -> Tensor:
        return dy * x * r


EXERCISES = {
    "6.1": Choice(
        minutes=4,
        difficulty="★☆☆ easy",
        right="c",
        wrong={
            "a": "If all inputs become smaller by the same factor, what does the normalization do to the factor? The "
            "loss would not change, so the gradient has no reason to point there.",
            "b": "Squeeze the channel towards its mean: its standard deviation shrinks by the same factor, and nothing "
            "comes out differently.",
            "d": "Shift the whole channel: its mean shifts as well. What is left of it in y?",
            "e": "That is the gradient with detached statistics. The boxed formula subtracts two things from it.",
        },
        hints=[
            "Write `y` as γ x̂ + β, with the two numbers put in, and this into the boxed formula.",
            "x̂ has mean 0. And what is the mean of its square, if ε is 0?",
            "Try it: autograd, for a few made-up values, with `0.5 * y.square().sum()`.",
        ],
        look="the boxed formula",
        remark="A loss on the size of what leaves a normalization teaches the layers before it nothing. It can only "
        "move γ and β.",
    ),
    "6.2": Number(
        minutes=5,
        difficulty="★★☆ medium",
        right=100,
        tolerance=0.001,
        mistakes=[
            Mistake(
                "gradient_only",
                "With that, the step is as long as it was, for the gradient is a tenth as large. But how long is the "
                "weight vector that it is to turn?",
                value=10,
            ),
            Mistake(
                "nothing",
                "The network computes the same as before, but it does not learn as before: the angle depends on the "
                "lengths of the step and of the weights.",
                value=1,
            ),
            Mistake(
                "wrong_way",
                "That turns them less still. Is the gradient larger than before, or smaller?",
                value=0.1,
            ),
            Mistake(
                "inverse",
                "That is by how much the angle has become smaller. With which learning rate is it as before?",
                value=0.01,
            ),
            Mistake("once_too_often", "You counted a factor of 10 once too often.", value=1000),
            Mistake("added", "Two effects come together here. Are they added, or multiplied?", value=20),
        ],
        hints=[
            "The step is at right angles to the weights. Draw the two as arrows: what makes the angle?",
            "The cell with `scale` prints what becomes of the gradient. The step is η times that.",
            "The angle is about the length of the step divided by the length of the weights.",
        ],
        look='the section "Under plain SGD, the weights before it only grow"',
        remark="So what counts is η / ‖W‖²: as the weights grow, the learning rate lowers itself. Weight decay, which "
        "keeps them short, keeps it up.",
    ),
    "6.3": Code(
        minutes=15,
        difficulty="★★★ hard",
        truth=Backward(),
        trial=try_backward,
        cases=lambda: {
            "three channels of eight values and ε = 0.00001": channels(3, 8, seed=0, eps=1e-5),
            "two channels of five values and ε = 0.5": channels(2, 5, seed=1, eps=0.5),
        },
        mistakes=[
            Mistake(
                "boxed",
                "You subtract the mean of `dy`, as in the boxed formula. There, that came back through μ. Is there a μ "
                "in this graph?",
                like=Boxed(),
            ),
            Mistake(
                "detached",
                "That treats r as a constant: the way back through it is missing.",
                like=Detached(),
            ),
            Mistake(
                "sum_for_mean",
                "The way back through r carries a factor of 1/n, from the mean of the squares. You take the sum.",
                like=WithSum(),
            ),
            Mistake(
                "wrong_sign",
                "The sign of the way back through r is wrong: if the squares grow, does r grow or shrink?",
                like=Added(),
            ),
            Mistake(
                "input_for_normal",
                "You put `x` where the formula needs the normalized values: two factors r are missing.",
                like=InputForNormal(),
            ),
            Mistake(
                "one_factor_missing",
                "One factor r is missing on the way back through the statistics: r is to the power of three in the "
                "derivative of r, as in the second detour above.",
                like=OneFactorMissing(),
            ),
            Mistake("without_gamma", "γ is missing in the gradient of x.", like=WithoutGamma()),
            Mistake(
                "without_r",
                "The gradient of x̂ is right; from there to x, every value was multiplied by r.",
                like=WithoutR(),
            ),
            Mistake("without_eps", "ε is missing in your r.", like=WithoutEps()),
            Mistake(
                "eps_outside", "Your ε is outside the root. It is added to the mean of the squares.", like=EpsOutside()
            ),
            Mistake(
                "centred",
                "You subtract the mean of x, and get batch normalization again. This one divides only.",
                like=Centred(),
            ),
            Mistake(
                "mean_for_gamma",
                "The gradient of x is right. γ went to all n values, and what comes back from many places is added.",
                like=MeanForGamma(),
            ),
            Mistake(
                "input_for_gamma",
                "The gradient of x is right. What stands beside γ in the formula of y: x, or x̂?",
                like=InputForGamma(),
            ),
            Mistake(
                "each_for_gamma",
                "The gradient of x is right. For γ, you return one number a value: it is one a channel.",
                like=EachForGamma(),
            ),
            Mistake(
                "exchanged",
                "These are the right two tensors in the wrong order: first the gradient of x, then that of γ.",
                like=lambda *arguments: Backward()(*arguments)[::-1],
            ),
        ],
        hints=[
            "The graph has one detour only: from x through s, the mean of the squares, through r, to x̂.",
            "x goes to two places, straight to x̂ and into s. The gradients from the two are added.",
            "Compare with autograd while you work: `y.backward(dy)` and then `x.grad`, in double precision.",
        ],
        look='the section "Backwards, line by line"',
        form=torch.squeeze,
        axes=("channel", "value"),
        remark="Compare it with the boxed formula: the subtraction of the mean is gone with the mean itself. It is "
        "called RMSNorm when it runs over the features of one example.",
    ),
}
