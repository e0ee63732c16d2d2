"""The exercises of notebook 06: the gradient of a normalization."""

import torch
from torch import Tensor

from utils.exercises.definitions import Code, Unusable

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
    "normalization-without-the-mean": Code(
        truth=Backward(),
        trial=try_backward,
        cases=lambda: {
            "three channels of eight values and ε = 0.00001": channels(3, 8, seed=0, eps=1e-5),
            "two channels of five values and ε = 0.5": channels(2, 5, seed=1, eps=0.5),
        },
        form=torch.squeeze,
        axes=("channel", "value"),
        mistakes={
            "boxed": Boxed(),
            "detached": Detached(),
            "sum_for_mean": WithSum(),
            "wrong_sign": Added(),
            "input_for_normal": InputForNormal(),
            "one_factor_missing": OneFactorMissing(),
            "without_gamma": WithoutGamma(),
            "without_r": WithoutR(),
            "without_eps": WithoutEps(),
            "eps_outside": EpsOutside(),
            "centred": Centred(),
            "mean_for_gamma": MeanForGamma(),
            "input_for_gamma": InputForGamma(),
            "each_for_gamma": EachForGamma(),
            "exchanged": lambda *arguments: Backward()(*arguments)[::-1],
        },
    ),
}
