"""Answers to the exercises of notebook 12."""

import numpy as np
import torch

from utils.exercises.definitions import Answers

# --- 12.2


def by_one_distance(one, other):
    """Chan, Golub and LeVeque's form."""
    n = one[0] + other[0]
    delta = other[1] - one[1]
    return n, one[1] + delta * other[0] / n, one[2] + other[2] + delta**2 * (one[0] * other[0] / n)


def by_sums_of_squares(one, other):
    n = one[0] + other[0]
    mean = sum(count * mean for count, mean, _ in (one, other)) / n
    squares = sum(m2 + count * mean**2 for count, mean, m2 in (one, other))
    return [torch.tensor(n), mean, squares - n * mean**2]


def in_numpy(one, other):
    counts = np.array([[one[0]], [other[0]]], dtype=float)
    means = np.stack([one[1].numpy(), other[1].numpy()])
    m2s = np.stack([one[2].numpy(), other[2].numpy()])
    mean = np.average(means, axis=0, weights=counts[:, 0])
    return counts.sum(), mean, (m2s + counts * (means - mean) ** 2).sum(0)


def just_added(one, other):
    n = one[0] + other[0]
    return n, (one[0] * one[1] + other[0] * other[1]) / n, one[2] + other[2]


def averaged(one, other):
    mean = (one[1] + other[1]) / 2
    m2 = one[2] + other[2] + one[0] * (one[1] - mean).square() + other[0] * (other[1] - mean).square()
    return one[0] + other[0], mean, m2


def averaged_and_added(one, other):
    return one[0] + other[0], torch.stack([one[1], other[1]]).mean(0), one[2] + other[2]


def crosswise(one, other):
    (n, a, s), (k, b, t) = one, other
    mean = (k * a + n * b) / (n + k)
    return n + k, mean, s + t + n * (a - mean) ** 2 + k * (b - mean) ** 2


def with_between(between):
    def answer(one, other):
        (n, a, s), (k, b, t) = one, other
        mean = (n * a + k * b) / (n + k)
        return n + k, mean, s + t + between(n, a, k, b, mean)

    return answer


def divided(one, other):
    n, mean, m2 = by_one_distance(one, other)
    return n, mean, m2 / n


def two_of_three(one, other):
    return by_one_distance(one, other)[1:]


def in_place(one, other):
    n, mean, m2 = by_one_distance(one, other)
    one[1].copy_(mean)
    return n, mean, m2


# --- 12.3


def joined_and_split(normal, d, std):
    x, g = torch.cat(normal), torch.cat(d)
    dx = (g - g.mean(0) - x * (g * x).mean(0)) / std
    return dx.split([len(each) for each in d])


def by_autograd(normal, d, std):
    x = (torch.cat(normal) * std).requires_grad_()
    out = (x - x.mean(0)) / x.std(0, correction=0)
    (dx,) = torch.autograd.grad(out, x, torch.cat(d))
    return list(dx.split([len(each) for each in d]))


def by_a_table(normal, d, std):
    rows = torch.stack([torch.stack([g.sum(0), (g * x).sum(0)]) for g, x in zip(d, normal, strict=True)])
    a, b = rows.sum(0) / sum(g.shape[0] for g in d)
    return [(g - a - x * b) / std for g, x in zip(d, normal, strict=True)]


def each_alone(normal, d, std):
    return [(g - g.mean(0) - x * (g * x).mean(0)) / std for x, g in zip(normal, d, strict=True)]


def own_sums(normal, d, std):
    n = sum(map(len, d))
    return [(g - g.sum(0) / n - x * ((g * x).sum(0) / n)) / std for x, g in zip(normal, d, strict=True)]


def means_averaged(normal, d, std):
    a = sum(g.mean(0) for g in d) / len(d)
    b = sum((g * x).mean(0) for g, x in zip(d, normal, strict=True)) / len(d)
    return [(g - a - x * b) / std for x, g in zip(normal, d, strict=True)]


def from_totals(count=lambda g, n: n, first=1, second=1, sigma=True):
    def answer(normal, d, std):
        n = sum(map(len, d))
        a = sum(g.sum(0) for g in d)
        b = sum((g * x).sum(0) for g, x in zip(d, normal, strict=True))
        divisor = std if sigma else 1
        pairs = zip(normal, d, strict=True)
        return [(g - first * a / count(g, n) - second * x * b / count(g, n)) / divisor for x, g in pairs]

    return answer


def sign_lost(normal, d, std):
    return from_totals(second=-1)(normal, d, std)


ANSWERS = {
    "one-share-after-the-other": Answers(
        right=[by_one_distance, by_sums_of_squares, in_numpy],
        wrong=[
            ("m2_added", just_added),
            ("mean_of_means", averaged),
            ("mean_of_means_and_m2_added", averaged_and_added),
            ("weights_exchanged", crosswise),
            ("not_squared", with_between(lambda n, a, k, b, mean: n * abs(a - mean) + k * abs(b - mean))),
            ("without_counts", with_between(lambda n, a, k, b, mean: (a - mean).pow(2) + (b - mean).pow(2))),
            ("from_the_first_mean", with_between(lambda n, a, k, b, mean: k * (a - b).square())),
            ("one_share_only", with_between(lambda n, a, k, b, mean: k * (mean - b) ** 2)),
            ("variance", divided),
            ("unusable", two_of_three),
            ("changes_input", in_place),
            ("raises", lambda one, other: one / other),
            ("not_callable", (1, torch.ones(3), torch.ones(3))),
        ],
    ),
    "way-back": Answers(
        right=[joined_and_split, by_autograd, by_a_table],
        wrong=[
            ("each_its_own", each_alone),
            ("one_way", own_sums),
            ("mean_of_means", means_averaged),
            ("not_divided", from_totals(lambda g, n: 1)),
            ("divided_by_own_count", from_totals(lambda g, n: len(g))),
            ("constant_statistics", lambda normal, d, std: [g / std for g in d]),
            ("mean_only", from_totals(second=0)),
            ("deviation_only", from_totals(first=0)),
            ("not_by_sigma", from_totals(sigma=False)),
            ("wrong_values", sign_lost),
            ("unusable", lambda normal, d, std: torch.cat(joined_and_split(normal, d, std))),
            ("raises", lambda normal, d, std: joined_and_split(normal, d - normal, std)),
        ],
    ),
}
