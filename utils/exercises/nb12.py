"""The exercises of notebook 12: batch normalization over many processes."""

from collections.abc import Callable

import torch
from torch import Tensor

from utils.exercises.definitions import Code, Mistake, Number, Unusable

__all__ = ["EXERCISES"]

Share = tuple[float, Tensor, Tensor]


def made_up(*sizes: int, channels: int = 3, seed: int = 0) -> list[Tensor]:
    """One tensor (size, channels) for each share; their means lie far apart."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(size, channels, generator=generator) * torch.arange(1.0, channels + 1) + 2 * place
        for place, size in enumerate(sizes)
    ]


# --- 12.2 merge


def share(x: Tensor) -> Share:
    mean = x.mean(0) if len(x) else torch.zeros(x.shape[1])
    return len(x), mean, (x - mean).square().sum(0)


def two_shares(*sizes: int, seed: int) -> tuple[Share, Share]:
    one, other = made_up(*sizes, seed=seed)
    return share(one), share(other)


def try_merge(answer, one: Share, other: Share) -> dict:
    merged = answer(one, other)
    if not isinstance(merged, (tuple, list)) or len(merged) != 3:
        raise Unusable("Return three things: the count, the means, and M.")
    return dict(zip(("count", "means", "M"), merged, strict=True))


def weighted(one: Share, other: Share) -> Tensor:
    return (one[0] * one[1] + other[0] * other[1]) / (one[0] + other[0])


def merged_with(
    m2: Callable[[Share, Share, Tensor], Tensor] = lambda a, b, mean: between(a, b, mean),
    mean: Callable[[Share, Share], Tensor] = weighted,
    count: Callable[[float, float], float] = lambda a, b: a + b,
) -> Callable[[Share, Share], Share]:
    """A merging in steps, each of which a mistake may replace. `m2`: what comes on top of the two M."""

    def merge(one: Share, other: Share) -> Share:
        joint = mean(one, other)
        return count(one[0], other[0]), joint, one[2] + other[2] + m2(one, other, joint)

    return merge


def between(one: Share, other: Share, mean: Tensor) -> Tensor:
    return one[0] * (one[1] - mean) ** 2 + other[0] * (other[1] - mean) ** 2


def variance_for_m2(one: Share, other: Share) -> Share:
    count, mean, m2 = merged_with()(one, other)
    return count, mean, m2 / count


# --- 12.3 the way back


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


def backward(
    normal: Parts, d: Parts, std: Tensor, means: Callable[[Parts], Parts], first: bool = True, second: bool = True
) -> Parts:
    """`means`: tensors (n_p, C), one for each process → the mean, (C,), that each process takes."""
    products = [a * b for a, b in zip(d, normal, strict=True)]
    rows = zip(normal, d, means(d), means(products), strict=True)
    return [(own - first * mean - x_hat * second * product) / std for x_hat, own, mean, product in rows]


def of_all(parts: Parts) -> Parts:
    return [torch.cat(parts).mean(0)] * len(parts)


def of_each(parts: Parts) -> Parts:
    return [part.mean(0) for part in parts]


def own_sum_over_all(parts: Parts) -> Parts:
    return [part.sum(0) / sum(map(len, parts)) for part in parts]


def mean_of_means(parts: Parts) -> Parts:
    return [torch.stack(of_each(parts)).mean(0)] * len(parts)


def sums(parts: Parts) -> Parts:
    return [torch.cat(parts).sum(0)] * len(parts)


def sum_over_own(parts: Parts) -> Parts:
    return [torch.cat(parts).sum(0) / len(part) for part in parts]


EXERCISES = {
    "12.1": Number(
        minutes=4,
        difficulty="★☆☆ easy",
        right=4.5,
        tolerance=0.02,
        mistakes=[
            Mistake(
                "within_only",
                "That is the spread within the shares. But their means lie apart, too.",
                value=1.5,
            ),
            Mistake(
                "mean_of_variances",
                "That is the mean of the two variances. One of the shares is three times as large, and the shares' "
                "means lie apart.",
                value=2,
            ),
            Mistake("between_only", "That is the spread of the shares' means alone.", value=3),
            Mistake(
                "even_shares",
                "That would be right for two shares of the same size. Here a mean and a variance of process 0 stand "
                "for three times as many values.",
                value=6,
            ),
            Mistake(
                "variances_evenly",
                "What lies between the shares is right. The variances within them must count by their sizes, too.",
                value=5,
            ),
            Mistake(
                "n_minus_1",
                "You divided by n - 1. The variances here are divided by the number of values.",
                value=180 / 39,
            ),
            Mistake("deviation", "That is the standard deviation. Asked for is the variance.", value=4.5**0.5),
            Mistake("sum_of_variances", "Variances of *sums* add up. Here values are put together.", value=4),
        ],
        hints=[
            "First the mean of all 40: nearer to 2 or to 6?",
            "Then the formula above: what does each share contribute to the sum of squared distances from that mean?",
        ],
        look='the formula in the section "What do they have to tell each other?"',
        remark="Two thirds of it lie between the shares. Local statistics see nothing of that part.",
    ),
    "12.2": Code(
        minutes=8,
        difficulty="★★☆ medium",
        truth=merged_with(),
        trial=try_merge,
        cases=lambda: {
            "shares of 6 and 2": two_shares(6, 2, seed=0),
            "shares of 3 and 9": two_shares(3, 9, seed=1),
            "a share of 4 and an empty one": two_shares(4, 0, seed=2),
        },
        mistakes=[
            Mistake(
                "m2_added",
                "Count and means are right. For M you added the two: that is the spread within the shares, and the "
                "one between them is missing.",
                like=merged_with(lambda one, other, mean: 0),
            ),
            Mistake(
                "mean_of_means",
                "The mean of two means is the mean of all only if the shares are of the same size.",
                like=merged_with(mean=lambda one, other: (one[1] + other[1]) / 2),
            ),
            Mistake(
                "mean_of_means_and_m2_added",
                "Two things: the mean of two means is right for shares of the same size only, and in M the spread "
                "between the shares is missing.",
                like=merged_with(lambda one, other, mean: 0, mean=lambda one, other: (one[1] + other[1]) / 2),
            ),
            Mistake(
                "weights_exchanged",
                "Each mean has got the other share's count as its weight.",
                like=merged_with(mean=lambda one, other: (other[0] * one[1] + one[0] * other[1]) / (one[0] + other[0])),
            ),
            Mistake(
                "not_squared",
                "In what you add to M, the distance of the means is not squared.",
                like=merged_with(
                    lambda one, other, mean: one[0] * (one[1] - mean).abs() + other[0] * (other[1] - mean).abs()
                ),
            ),
            Mistake(
                "without_counts",
                "The squared distances of the means count once each. How many values are that far away?",
                like=merged_with(lambda one, other, mean: (one[1] - mean) ** 2 + (other[1] - mean) ** 2),
            ),
            Mistake(
                "from_the_first_mean",
                "You measure the second share's distance from the first share's mean. Both must be measured from the "
                "mean of all.",
                like=merged_with(lambda one, other, mean: other[0] * (other[1] - one[1]) ** 2),
            ),
            Mistake(
                "one_share_only",
                "One share's distance from the mean of all is counted. The other one has moved away from it as well.",
                like=merged_with(lambda one, other, mean: other[0] * (other[1] - mean) ** 2),
            ),
            Mistake(
                "variance",
                "You return the variance. Asked for is M, the sum, so that the result can be merged again.",
                like=variance_for_m2,
            ),
        ],
        hints=[
            "The count is the sum of counts. What weight has each mean?",
            "M is a sum over values of squared distances from the mean of *both*. What does each share's sum become, "
            "if its mean is not that one?",
            "The formula for σ² above, without its 1/n, and with two shares.",
        ],
        look="the function `combine`",
        form=torch.squeeze,
        axes=("channel",),
        remark="Merging may be done in any order, two shares at a time: so it works along a ring or up a tree of "
        "processes, and over the batches of a stream.",
    ),
    "12.3": Code(
        minutes=15,
        difficulty="★★★ hard",
        truth=lambda *given: backward(*given, of_all),
        trial=try_backward,
        cases=lambda: {
            "shares of 6 and 2": whole_batch(6, 2, seed=0),
            "shares of 5, 1 and 3": whole_batch(5, 1, 3, seed=1),
        },
        mistakes=[
            Mistake(
                "each_its_own",
                "Each process takes the means of its own share. That is the gradient of local statistics: nothing was "
                "exchanged.",
                like=lambda *given: backward(*given, of_each),
            ),
            Mistake(
                "one_way",
                "You divide by the count of all, but each process has only its own sums. This is the exchange "
                "without its way back, as in claim 12.4.",
                like=lambda *given: backward(*given, own_sum_over_all),
            ),
            Mistake(
                "mean_of_means",
                "You take the mean of the shares' means. A share of few values counts as much as one of many: exchange "
                "something else than means.",
                like=lambda *given: backward(*given, mean_of_means),
            ),
            Mistake(
                "not_divided",
                "You subtract sums. Which number do they have to be divided by?",
                like=lambda *given: backward(*given, sums),
            ),
            Mistake(
                "divided_by_own_count",
                "The sums are those of all, and you divide them by the count of one share.",
                like=lambda *given: backward(*given, sum_over_own),
            ),
            Mistake(
                "constant_statistics",
                "You only divide by σ, as if mean and standard deviation did not depend on the values. They do.",
                like=lambda *given: backward(*given, of_all, first=False, second=False),
            ),
            Mistake(
                "mean_only",
                "What comes through the mean is right; what comes through the standard deviation is missing.",
                like=lambda *given: backward(*given, of_all, second=False),
            ),
            Mistake(
                "deviation_only",
                "What comes through the standard deviation is right; what comes through the mean is missing.",
                like=lambda *given: backward(*given, of_all, first=False),
            ),
            Mistake(
                "not_by_sigma",
                "All is there but for the division by σ.",
                like=lambda normal, d, std: backward(normal, d, torch.ones_like(std), of_all),
            ),
        ],
        hints=[
            "Which parts of the formula can a process compute alone, and for which must it know of the others?",
            "Two sums for each channel go over all processes. What may each process add to them, and what is n?",
            "Check yourself on one process: `torch.cat` everything, compute the formula, and `split` the result.",
        ],
        look='the section "An exchange that knows its gradient"',
        axes=("value", "channel"),
        remark="So the way back, too, needs sums of two numbers a channel. They are what autograd finds "
        "by itself when all-reduce knows its gradient.",
    ),
}
