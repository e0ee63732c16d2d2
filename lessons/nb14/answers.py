"""Answers to the exercises of notebook 14."""

from copy import deepcopy

import torch

from utils.exercises.definitions import Answers

# --- does-it-look-ahead


@torch.no_grad()
def on_a_copy(model, read, size):
    tried = deepcopy(model)
    said = tried(read)
    for place in range(read.shape[1] - 1, 0, -1):
        other = torch.cat([read[:, :place], (read[:, place:] + 3) % size], 1)
        if not torch.allclose(tried(other)[:, :place], said[:, :place], atol=1e-6, rtol=0):
            return True
    return False


@torch.no_grad()
def one_at_a_time(model, read, size):
    kept = deepcopy(model.state_dict())
    said, found = model(read), []
    for place in range(1, read.shape[1]):
        for by in (1, 2):
            other = read.clone()
            other[:, place] = (other[:, place] + by) % size
            found.append((model(other) - said)[:, :place].abs().max().item() > 1e-6)
    model.load_state_dict(kept)
    return any(found)


def in_evaluation(model, read, size):
    mode = model.training
    found = on_a_copy(model.eval(), read, size)
    model.train(mode)
    return found


def moves_them(model, read, size):
    model(read)
    return on_a_copy(model, read, size)


def only_the_first(model, read, size):
    return on_a_copy(model, read[:, :2], size)


def a_tensor(model, read, size):
    return torch.tensor(on_a_copy(model, read, size))


# --- only-what-has-been


def by_cumsum(x, eps=1e-5):
    n = x.shape[0] * (torch.arange(x.shape[1], dtype=x.dtype) + 1).unsqueeze(1)
    mean = x.sum(0).cumsum(0) / n
    var = (x * x).sum(0).cumsum(0) / n - mean**2
    return (x - mean) * (var + eps).rsqrt()


def by_a_mask(x, eps=1e-5):
    length = x.shape[1]
    past = torch.tril(torch.ones(length, length, dtype=x.dtype))
    past = past / (past.sum(1, keepdim=True) * x.shape[0])
    mean = torch.einsum("ts,nsc->tc", past, x)
    square = torch.einsum("ts,nstc->tc", past, (x[:, :, None] - mean[None, None]) ** 2)
    return (x - mean) / torch.sqrt(square + eps)


def all_of_it(x, eps=1e-5):
    return (x - x.mean((0, 1))) / (x.var((0, 1), correction=0) + eps).sqrt()


def mean_of_means(x, eps=1e-5):
    n = torch.arange(1, x.shape[1] + 1, dtype=x.dtype)[:, None]
    mean = x.mean(0).cumsum(0) / n
    var = x.var(0, correction=0).cumsum(0) / n
    return (x - mean) / (var + eps).sqrt()


def centred_only(x, eps=1e-5):
    n = x.shape[0] * torch.arange(1, x.shape[1] + 1, dtype=x.dtype)[:, None]
    return x - x.sum(0).cumsum(0) / n


def the_last(x, eps=1e-5):
    return by_cumsum(x, eps)[:, -1]


ANSWERS = {
    "does-it-look-ahead": Answers(
        right=[on_a_copy, one_at_a_time],
        wrong=[
            ("evaluation", in_evaluation),
            ("statistics_moved", moves_them),
            ("wrong_values", only_the_first),
        ],
    ),
    "only-what-has-been": Answers(
        right=[by_cumsum, by_a_mask],
        wrong=[
            ("whole", all_of_it),
            ("wrong_values", mean_of_means),
            ("wrong_values", centred_only),
            ("wrong_shape", the_last),
        ],
    ),
}
