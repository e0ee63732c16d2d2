"""The exercises of notebook 15: batch normalization over many processes."""

from collections.abc import Callable

import torch
from torch import Tensor

from utils.exercises.definitions import Code, Unusable
from utils.exercises.differences import compare

__all__ = ["EXERCISES"]

Share = tuple[float, Tensor, Tensor]
FAR = 500.0


def made_up(*sizes: int, channels: int = 3, seed: int = 0) -> list[Tensor]:
    """One tensor (size, channels) for each share; their means lie far apart."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(size, channels, generator=generator) * torch.arange(1.0, channels + 1) + 2 * place
        for place, size in enumerate(sizes)
    ]


# --- one-share-after-the-other


def share(x: Tensor) -> Share:
    mean = x.mean(0) if len(x) else torch.zeros(x.shape[1])
    return len(x), mean, (x - mean).square().sum(0)


def two_shares(*sizes: int, seed: int, around: float = 0.0) -> tuple[Share, Share]:
    one, other = made_up(*sizes, seed=seed)
    return share(one + around), share(other + around)


def try_merge(answer, one: Share, other: Share) -> dict:
    """Far from zero, M is told in words: what rounding makes of it differs from one order of sums to another."""
    right = merged_with()(one, other)[2]  # before the answer is called: it might change its input
    merged = answer(one, other)
    if not isinstance(merged, (tuple, list)) or len(merged) != 3:
        raise Unusable("Return three things: the count, the means, and M.")
    found = dict(zip(("count", "means", "M"), merged, strict=True))
    if one[1].min() > FAR:
        found["M"] = "wrong" if compare(found["M"], right, torch.squeeze) else "right"
    return found


def weighted(one: Share, other: Share) -> Tensor:
    return (one[0] * one[1] + other[0] * other[1]) / (one[0] + other[0])


def between(one: Share, other: Share, mean: Tensor) -> Tensor:
    return one[0] * (one[1] - mean) ** 2 + other[0] * (other[1] - mean) ** 2


def merged_with(
    m2: Callable[[Share, Share, Tensor], Tensor | float] = between, mean: Callable[[Share, Share], Tensor] = weighted
) -> Callable[[Share, Share], Share]:
    """A merging of which a mistake may replace a step. `m2`: what comes on top of the two M."""

    def merge(one: Share, other: Share) -> Share:
        joint = mean(one, other)
        return one[0] + other[0], joint, one[2] + other[2] + m2(one, other, joint)

    return merge


def squares(one: Share, other: Share, mean: Tensor) -> Tensor:
    """What lies between the shares, as a difference of sums of squares."""
    return one[0] * one[1] ** 2 + other[0] * other[1] ** 2 - (one[0] + other[0]) * mean**2


def variance_for_m2(one: Share, other: Share) -> Share:
    count, mean, m2 = merged_with()(one, other)
    return count, mean, m2 / count


# --- way-back


def whole_batch(*sizes: int, seed: int) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Normalized shares, gradients whose sums differ from share to share, and the standard deviation."""
    x, std = torch.cat(made_up(*sizes, seed=seed)), torch.tensor([0.5, 2.0, 3.0])
    normal = (x - x.mean(0)) / x.std(0, correction=0)
    return list(normal.split(sizes)), [d + 1 for d in made_up(*sizes, seed=seed + 10)], std


def try_backward(answer, normal: list[Tensor], d: list[Tensor], std: Tensor) -> dict:
    parts = answer(normal, d, std)
    if not isinstance(parts, (tuple, list)) or len(parts) != len(d):
        raise Unusable("Return a list with one tensor for each process.")
    return {f"gradient of process {place}": part for place, part in enumerate(parts)}


Parts = list[Tensor]


def backward(normal: Parts, d: Parts, std: Tensor, means: Callable[[Parts], Parts], second: bool = True) -> Parts:
    """`means`: tensors (n_p, C), one for each process → the mean, (C,), that each process takes."""
    products = [a * b for a, b in zip(d, normal, strict=True)]
    rows = zip(normal, d, means(d), means(products), strict=True)
    return [(own - mean - x_hat * second * product) / std for x_hat, own, mean, product in rows]


def of_all(parts: Parts) -> Parts:
    return [torch.cat(parts).mean(0)] * len(parts)


def of_each(parts: Parts) -> Parts:
    return [part.mean(0) for part in parts]


def own_sum_over_all(parts: Parts) -> Parts:
    return [part.sum(0) / sum(map(len, parts)) for part in parts]


def mean_of_means(parts: Parts) -> Parts:
    return [torch.stack(of_each(parts)).mean(0)] * len(parts)


EXERCISES = {
    "one-share-after-the-other": Code(
        truth=merged_with(),
        trial=try_merge,
        cases=lambda: {
            "shares of 6 and 2": two_shares(6, 2, seed=0),
            "shares of 3 and 9": two_shares(3, 9, seed=1),
            "a share of 4 and an empty one": two_shares(4, 0, seed=2),
            "an empty share and one of 4": two_shares(0, 4, seed=2),
            "shares of 5 and 3 with means near 1000": two_shares(5, 3, seed=3, around=1000.0),
        },
        form=torch.squeeze,
        axes=("channel",),
        mistakes={
            "m2_added": merged_with(lambda one, other, mean: 0.0),
            "mean_of_means": merged_with(mean=lambda one, other: (one[1] + other[1]) / 2),
            "without_counts": merged_with(lambda one, other, mean: (one[1] - mean) ** 2 + (other[1] - mean) ** 2),
            "from_the_first_mean": merged_with(lambda one, other, mean: other[0] * (other[1] - one[1]) ** 2),
            "sums_of_squares": merged_with(squares),
            "variance": variance_for_m2,
        },
    ),
    "way-back": Code(
        truth=lambda *given: backward(*given, of_all),
        trial=try_backward,
        cases=lambda: {
            "shares of 6 and 2": whole_batch(6, 2, seed=0),
            "shares of 5, 1 and 3": whole_batch(5, 1, 3, seed=1),
        },
        axes=("value", "channel"),
        mistakes={
            "each_its_own": lambda *given: backward(*given, of_each),
            "one_way": lambda *given: backward(*given, own_sum_over_all),
            "mean_of_means": lambda *given: backward(*given, mean_of_means),
            "not_divided": lambda *given: backward(*given, lambda parts: [torch.cat(parts).sum(0)] * len(parts)),
            "constant_statistics": lambda normal, d, std: [each / std for each in d],
            "mean_only": lambda *given: backward(*given, of_all, second=False),
        },
    ),
}
