"""Answers to the exercises of notebook 11."""

import numpy as np
import torch
import torch.nn.functional as F

from utils.exercises.definitions import Answers

# --- 11.2


def by_sums(network, x, y, size):
    network.zero_grad(set_to_none=False)
    for start in range(0, len(x), size):
        loss = F.cross_entropy(network(x[start : start + size]), y[start : start + size], reduction="sum")
        (loss / y.numel()).backward()


def layer_by_layer(network, x, y, size):
    network.zero_grad()
    for part, target in zip(x.split(size), y.split(size), strict=True):
        share = len(part) / len(x)
        for layer in network:
            part = layer(part)
        (F.cross_entropy(part, target) * share).backward()


def by_autograd(network, x, y, size):
    """The gradients of each piece, averaged by hand."""
    parameters = list(network.parameters())
    totals = [torch.zeros_like(p) for p in parameters]
    for part, target in zip(x.split(size), y.split(size), strict=True):
        gradients = torch.autograd.grad(F.cross_entropy(network(part), target), parameters)
        for total, g in zip(totals, gradients, strict=True):
            total += g * len(target)
    for p, total in zip(parameters, totals, strict=True):
        p.grad = total / len(x)


def divided_by_the_pieces(network, x, y, size):
    network.zero_grad()
    pieces = x.split(size)
    for part, target in zip(pieces, y.split(size), strict=True):
        (F.cross_entropy(network(part), target) / len(pieces)).backward()


def in_chunks(network, x, y, size):
    """`size` is the number of pieces here."""
    network.zero_grad()
    for part, target in zip(x.chunk(size), y.chunk(size), strict=True):
        (F.cross_entropy(network(part), target) * len(part) / len(x)).backward()


def losses_collected(network, x, y, size):
    network.zero_grad()
    loss = 0
    for part, target in zip(x.split(size), y.split(size), strict=True):
        loss = loss + F.cross_entropy(network(part), target) * len(part) / len(x)
    loss.backward()


def graphs_retained(network, x, y, size):
    network.zero_grad()
    losses = []
    for part, target in zip(x.split(size), y.split(size), strict=True):
        losses.append(F.cross_entropy(network(part), target) * len(part) / len(x))
        losses[-1].backward(retain_graph=True)


def a_step_each(network, x, y, size):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for part, target in zip(x.split(size), y.split(size), strict=True):
        optimizer.zero_grad()
        F.cross_entropy(network(part), target).backward()
        optimizer.step()


def full_pieces(network, x, y, size):
    network.zero_grad()
    for i in range(len(x) // size):
        part, target = x[i * size : (i + 1) * size], y[i * size : (i + 1) * size]
        (F.cross_entropy(network(part), target) * size / len(x)).backward()


def returns_them(network, x, y, size):
    network.zero_grad()
    return torch.autograd.grad(F.cross_entropy(network(x), y), list(network.parameters()))


# --- 11.3


def others(x):
    return [0, *range(2, x.dim())]


def by_pytorch(x, size):
    starts = [size * k for k in range(len(x) // size)]
    pairs = zip(starts, [*starts[1:], len(x)], strict=True)
    return torch.cat([F.batch_norm(x[a:b], None, None, training=True, eps=1e-5) for a, b in pairs])


def in_numpy(x, size):
    a = x.numpy()
    pieces = np.split(a, [size * k for k in range(1, len(a) // size)])
    axes = tuple(others(x))
    return np.concatenate(
        [(p - p.mean(axes, keepdims=True)) / np.sqrt(p.var(axes, keepdims=True) + 1e-5) for p in pieces]
    )


def normal(ghost, eps=1e-5, dims=None):
    dims = others(ghost) if dims is None else dims
    return (ghost - ghost.mean(dims, keepdim=True)) / torch.sqrt(ghost.var(dims, False, keepdim=True) + eps)


def cut(x, size):
    first = [x[k * size : (k + 1) * size] for k in range(len(x) // size - 1)]
    return [*first, x[len(first) * size :]]


def as_in_the_notebook(x, size):
    groups = x.view(-1, size, *x.shape[1:])
    return normal(groups, dims=(1, *range(3, groups.ndim))).flatten(0, 1)


def for_pictures(x, size):
    return torch.cat([normal(ghost, dims=(0, 2, 3)) for ghost in cut(x, size)])


def last_one_apart(x, size):
    """Where the last ghost begins is only found if there is one before it."""
    normalized = []
    for k in range(len(x) // size - 1):
        end = (k + 1) * size
        normalized.append(normal(x[k * size : end]))
    return torch.cat([*normalized, normal(x[end:])])


def without_eps(x, size):
    return torch.cat([normal(ghost, eps=0) for ghost in cut(x, size)])


def in_place(x, size):
    for ghost in cut(x, size):
        ghost.copy_(normal(ghost))
    return x


ANSWERS = {
    "accumulate-and-leave-nothing-out": Answers(
        right=[by_sums, layer_by_layer, by_autograd],
        wrong=[
            ("equal_weights", divided_by_the_pieces),
            ("all_at_once", losses_collected),
            ("all_at_once", graphs_retained),
            ("step", a_step_each),
            ("wrong_values", full_pieces),
            ("wrong_values", in_chunks),
            ("unusable", returns_them),
        ],
    ),
    "ghosts-of-any-batch": Answers(
        right=[by_pytorch, in_numpy],
        wrong=[
            ("does_not_divide", as_in_the_notebook),
            ("only_pictures", for_pictures),
            ("wrong_values", without_eps),
            ("raises", last_one_apart),
            ("changes_input", in_place),
        ],
    ),
}
