"""Answers to the exercises of notebook 10."""

import numpy as np
import torch
import torch.nn.functional as F

from utils.exercises.definitions import Answers

# --- 10.2


def by_sums(network, x, y, size):
    network.zero_grad(set_to_none=False)
    for start in range(0, len(x), size):
        loss = F.cross_entropy(network(x[start : start + size]), y[start : start + size], reduction="sum")
        (loss / y.numel()).backward()


def by_autograd(network, x, y, size):
    """The gradients of each piece, averaged by hand."""
    parameters = list(network.parameters())
    totals = [torch.zeros_like(p) for p in parameters]
    i = 0
    while i < len(x):
        part, target = x[i : i + size], y[i : i + size]
        for total, g in zip(
            totals, torch.autograd.grad(F.cross_entropy(network(part), target), parameters), strict=True
        ):
            total += g * len(target)
        i += size
    for p, total in zip(parameters, totals, strict=True):
        p.grad = total / len(x)


def divided_at_the_end(network, x, y, size):
    network.zero_grad()
    for part, target in zip(x.split(size), y.split(size), strict=True):
        F.cross_entropy(network(part), target, reduction="sum").backward()
    for p in network.parameters():
        p.grad /= len(x)


def loop(network, x, y, size, weight):
    for part, target in zip(x.split(size), y.split(size), strict=True):
        (weight(part) * F.cross_entropy(network(part), target)).backward()


def mean_of_means(network, x, y, size):
    network.zero_grad()
    pieces = x.split(size)
    loop(network, x, y, size, lambda part: 1 / len(pieces))


def by_chunks_that_divide(network, x, y, size):
    network.zero_grad()
    loop(network, x, y, size, lambda part: 1 / (len(x) // size))


def undivided(network, x, y, size):
    network.zero_grad()
    loop(network, x, y, size, lambda part: 1)


def weighed_by_size(network, x, y, size):
    network.zero_grad()
    loop(network, x, y, size, lambda part: size / len(x))


def summed(network, x, y, size):
    network.zero_grad()
    for part, target in zip(x.split(size), y.split(size), strict=True):
        F.cross_entropy(network(part), target, reduction="sum").backward()


def zero_in_the_loop(network, x, y, size):
    for i in range(0, len(x), size):
        part = x[i : i + size]
        network.zero_grad()
        (F.cross_entropy(network(part), y[i : i + size]) * len(part) / len(x)).backward()


def never_zero(network, x, y, size):
    loop(network, x, y, size, lambda part: len(part) / len(x))


def full_pieces(network, x, y, size):
    network.zero_grad()
    for i in range(len(x) // size):
        part, target = x[i * size : (i + 1) * size], y[i * size : (i + 1) * size]
        (F.cross_entropy(network(part), target) * size / len(x)).backward()


def at_once(network, x, y, size):
    network.zero_grad()
    F.cross_entropy(network(x), y).backward()


def collects_answers(network, x, y, size):
    """Right in the number, and one piece at a time: nothing is saved, but that is not what is checked."""
    network.zero_grad()
    F.cross_entropy(torch.cat([network(part) for part in x.split(size)]), y).backward()


def trains(network, x, y, size):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    optimizer.zero_grad()
    loop(network, x, y, size, lambda part: len(part) / len(x))
    optimizer.step()


def trains_in_pieces(network, x, y, size):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    optimizer.zero_grad()
    for part, target in zip(x.split(size), y.split(size), strict=True):
        (F.cross_entropy(network(part), target) * (len(part) / len(x))).backward()
        optimizer.step()


def returns_them(network, x, y, size):
    return torch.autograd.grad(F.cross_entropy(network(x), y), list(network.parameters()))


def twice_backward(network, x, y, size):
    loss = sum(F.cross_entropy(network(part), y[:size]) for part in x.split(size))
    loss.backward()


# --- 10.3


def others(x):
    return [0, *range(2, x.dim())]


def by_pytorch(x, size):
    starts = [size * k for k in range(len(x) // size)]
    ends = [*starts[1:], len(x)]
    return torch.cat(
        [F.batch_norm(x[a:b], None, None, training=True, eps=1e-5) for a, b in zip(starts, ends, strict=True)]
    )


def with_indices(x, size):
    """Writes each ghost into a new tensor."""
    out, last = torch.zeros_like(x), len(x) // size - 1
    for k in range(last + 1):
        where = slice(k * size, None if k == last else (k + 1) * size)
        rows = x[where].transpose(0, 1).flatten(1)
        column = [-1] + [1] * (x.dim() - 2)
        centred = x[where] - rows.mean(1).view(column)
        out[where] = centred * (rows.var(1, correction=0) + 0.00001).rsqrt().view(column)
    return out


def in_numpy(x, size):
    a = x.numpy()
    pieces = np.split(a, [size * k for k in range(1, len(a) // size)])
    axes = tuple(others(x))
    return np.concatenate(
        [(p - p.mean(axes, keepdims=True)) / np.sqrt(p.var(axes, keepdims=True) + 1e-5) for p in pieces]
    )


def normal(ghost, unbiased=False, eps=1e-5, dims=None):
    dims = others(ghost) if dims is None else dims
    var = ghost.var(dims, unbiased=unbiased, keepdim=True)
    return (ghost - ghost.mean(dims, keepdim=True)) / torch.sqrt(var + eps)


def cut(x, size):
    first = [x[k * size : (k + 1) * size] for k in range(len(x) // size - 1)]
    return [*first, x[len(first) * size :]]


def split_only(x, size):
    return torch.cat([normal(ghost) for ghost in x.split(size)])


def drops_the_rest(x, size):
    return torch.cat([normal(x[k * size : (k + 1) * size]) for k in range(len(x) // size)])


def keeps_the_rest(x, size):
    out = x.clone()
    for k in range(len(x) // size):
        out[k * size : (k + 1) * size] = normal(x[k * size : (k + 1) * size])
    return out


def as_in_the_notebook(x, size):
    groups = x.unflatten(0, (-1, size))
    dims = (1, *range(3, groups.ndim))
    mean, var = groups.mean(dims, keepdim=True), groups.var(dims, keepdim=True, unbiased=False)
    return ((groups - mean) / (var + 1e-5).sqrt()).flatten(0, 1)


def by_view(x, size):
    groups = x.view(len(x) // size, size, *x.shape[1:])
    return normal(groups, dims=[1, *range(3, groups.dim())]).view(x.shape)


def for_pictures(x, size):
    return torch.cat([normal(ghost, dims=(0, 2, 3)) for ghost in cut(x, size)])


def the_batch(x, size):
    return F.batch_norm(x, None, None, training=True)


def instances(x, size):
    return torch.stack([normal(picture[None])[0] for picture in x])


def so_many_ghosts(x, size):
    return torch.cat([normal(ghost) for ghost in cut(x, max(1, len(x) // size))])


def dealt_out(x, size):
    k, out = len(x) // size, torch.zeros_like(x)
    for i in range(k):
        out[i::k] = normal(x[i::k])
    return out


def unbiased(x, size):
    return torch.cat([normal(ghost, unbiased=True) for ghost in cut(x, size)])


def without_eps(x, size):
    return torch.cat([normal(ghost, eps=0) for ghost in cut(x, size)])


def eps_outside(x, size):
    ghosts = []
    for g in cut(x, size):
        ghosts.append((g - g.mean(others(g), keepdim=True)) / (g.std(others(g), False, keepdim=True) + 1e-5))
    return torch.cat(ghosts)


def one_mean(x, size):
    return torch.cat([(g - g.mean()) / (g.var(unbiased=False) + 1e-5).sqrt() for g in cut(x, size)])


def over_pictures(x, size):
    return torch.cat([normal(ghost, dims=0) for ghost in cut(x, size)])


def in_place(x, size):
    for ghost in cut(x, size):
        ghost.copy_(normal(ghost))
    return x


def a_list(x, size):
    return [normal(ghost) for ghost in cut(x, size)]


ANSWERS = {
    "accumulate-and-leave-nothing-out": Answers(
        right=[by_sums, by_autograd, divided_at_the_end, collects_answers],
        wrong=[
            ("equal_weights", mean_of_means),
            ("sum_of_means", undivided),
            ("whole_pieces", by_chunks_that_divide),
            ("size_for_length", weighed_by_size),
            ("sum_over_pictures", summed),
            ("last_piece_alone", zero_in_the_loop),
            ("old_gradient", never_zero),
            ("left_out", full_pieces),
            ("one_batch", at_once),
            ("step", trains),
            ("step_each", trains_in_pieces),
            ("unusable", returns_them),
            ("wrong_values", twice_backward),
        ],
    ),
    "ghosts-of-any-batch": Answers(
        right=[by_pytorch, with_indices, in_numpy],
        wrong=[
            ("last_alone", split_only),
            ("left_out", drops_the_rest),
            ("last_as_it_was", keeps_the_rest),
            ("does_not_divide", as_in_the_notebook),
            ("does_not_divide", by_view),
            ("only_pictures", for_pictures),
            ("whole_batch", the_batch),
            ("each_picture", instances),
            ("as_many_ghosts", so_many_ghosts),
            ("every_kth", dealt_out),
            ("divided_by_n_minus_1", unbiased),
            ("no_eps", without_eps),
            ("eps_outside", eps_outside),
            ("all_channels", one_mean),
            ("each_place", over_pictures),
            ("changes_input", in_place),
            ("wrong_shape", a_list),
            ("not_callable", torch.zeros(3)),
        ],
    ),
}
