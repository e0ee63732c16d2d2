"""Answers to the exercises of notebook 15."""

import numpy as np
import torch

from utils.exercises.definitions import Answers

# --- one-share-after-the-other


def by_one_distance(one, other):
    """Chan, Golub and LeVeque's form."""
    n = one[0] + other[0]
    delta = other[1] - one[1]
    return n, one[1] + delta * other[0] / n, one[2] + other[2] + delta**2 * (one[0] * other[0] / n)


def in_numpy(one, other):
    counts = np.array([[one[0]], [other[0]]], dtype=float)
    means = np.stack([one[1].numpy(), other[1].numpy()])
    m2s = np.stack([one[2].numpy(), other[2].numpy()])
    mean = np.average(means, axis=0, weights=counts[:, 0])
    return counts.sum(), mean, (m2s + counts * (means - mean) ** 2).sum(0)


def by_sums_of_squares(one, other):
    n = one[0] + other[0]
    mean = sum(count * mean for count, mean, _ in (one, other)) / n
    squares = sum(m2 + count * mean**2 for count, mean, m2 in (one, other))
    return [torch.tensor(n), mean, squares - n * mean**2]


def weights_exchanged(one, other):
    (n, a, s), (k, b, t) = one, other
    mean = (k * a + n * b) / (n + k)
    return n + k, mean, s + t + n * (a - mean) ** 2 + k * (b - mean) ** 2


def by_ratio(one, other):
    ratio = other[0] / one[0]
    return one[0] + other[0], (one[1] + ratio * other[1]) / (1 + ratio), by_one_distance(one, other)[2]


def two_of_three(one, other):
    return by_one_distance(one, other)[1:]


def in_place(one, other):
    n, mean, m2 = by_one_distance(one, other)
    one[1].copy_(mean)
    return n, mean, m2


# --- way-back


def joined_and_split(normal, d, std):
    x, g = torch.cat(normal), torch.cat(d)
    dx = (g - g.mean(0) - x * (g * x).mean(0)) / std
    return dx.split([len(each) for each in d])


def by_autograd(normal, d, std):
    x = (torch.cat(normal) * std).requires_grad_()
    out = (x - x.mean(0)) / x.std(0, correction=0)
    (dx,) = torch.autograd.grad(out, x, torch.cat(d))
    return list(dx.split([len(each) for each in d]))


def own_sums(normal, d, std):
    n = sum(map(len, d))
    return [(g - g.sum(0) / n - x * ((g * x).sum(0) / n)) / std for x, g in zip(normal, d, strict=True)]


def not_divided_by_sigma(normal, d, std):
    return joined_and_split(normal, d, torch.ones(3))


ANSWERS = {
    "one-share-after-the-other": Answers(
        right=[by_one_distance, in_numpy],
        wrong=[
            ("sums_of_squares", by_sums_of_squares),
            ("wrong_values", weights_exchanged),
            ("raises", by_ratio),
            ("unusable", two_of_three),
            ("changes_input", in_place),
        ],
    ),
    "way-back": Answers(
        right=[joined_and_split, by_autograd],
        wrong=[
            ("one_way", own_sums),
            ("wrong_values", not_divided_by_sigma),
            ("unusable", lambda normal, d, std: torch.cat(joined_and_split(normal, d, std))),
            ("raises", lambda normal, d, std: joined_and_split(normal, d - normal, std)),
        ],
    ),
}
