"""The exercises of notebook 06: the gradient of a normalization."""

from functools import partial

import torch
from torch import Tensor

from utils.exercises.definitions import Code, Unusable
from utils.exercises.inputs import Calls

__all__ = ["EXERCISES"]


# --- 6.3 backward


def channels(count: int, values: int, seed: int, eps: float) -> tuple[Tensor, Tensor, Tensor, float]:
    """What arrives, the input, γ, ε; no mean is near 0."""
    generator = torch.Generator().manual_seed(seed)
    dy, x = torch.randn(2, count, values, generator=generator, dtype=torch.float64)
    gamma = torch.linspace(0.5, -2, count, dtype=torch.float64)[:, None]
    return dy + 0.7, x * 1.5 + 1, gamma, eps


def try_backward(answer, *arguments) -> dict:
    """Whether autograd has recorded anything, or gone forwards; if not, the two gradients by their names."""
    kept = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), Calls() as calls:
        result = answer(*arguments)
    if kept or "_make_dual" in calls.names:
        return {"way": "autograd"}
    if result is None:
        return {"way": "by hand", "gradient of x": None}
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise Unusable("Return two tensors: `return dx, dgamma`.")
    return {"way": "by hand", "gradient of x": result[0], "gradient of γ": result[1]}


def backward(dy: Tensor, x: Tensor, gamma: Tensor, eps: float, shift=0.0, stretch=1.0) -> tuple[Tensor, Tensor]:
    """A right answer; `shift` and `stretch` say how much is taken back of either, in the boxed formula 1 and 1."""
    r = (x.square().mean(1, keepdim=True) + eps).rsqrt()
    xhat = x * r
    taken_back = shift * dy.mean(1, keepdim=True) + stretch * xhat * (dy * xhat).mean(1, keepdim=True)
    return gamma * r * (dy - taken_back), (dy * xhat).sum(1, keepdim=True)


def by_autograd(dy: Tensor, x: Tensor, gamma: Tensor, eps: float) -> tuple[Tensor, ...]:
    x, gamma = x.clone().requires_grad_(), gamma.clone().requires_grad_()
    y = gamma * x * (x.square().mean(1, keepdim=True) + eps).rsqrt()
    return torch.autograd.grad(y, (x, gamma), dy)


EXERCISES = {
    "normalization-without-the-mean": Code(
        truth=backward,
        trial=try_backward,
        cases=lambda: {
            "four channels of eight values and ε = 0.00001": channels(4, 8, seed=0, eps=1e-5),
            "two channels of five values and ε = 0.5": channels(2, 5, seed=1, eps=0.5),
        },
        axes=("channel", "value"),
        mistakes={
            "autograd": by_autograd,
            "boxed": partial(backward, shift=1.0),
            "detached": partial(backward, stretch=0.0),
            "sum_for_mean": lambda dy, x, gamma, eps: backward(dy, x, gamma, eps, stretch=x.shape[1]),
            "wrong_sign": partial(backward, stretch=-1.0),
            "without_gamma": lambda dy, x, gamma, eps: backward(dy, x, torch.ones_like(gamma), eps),
        },
    ),
}
