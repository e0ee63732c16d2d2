"""Answers to the exercises of notebook 10."""

from copy import deepcopy

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from utils.exercises.definitions import Answers

INF, NAN = float("inf"), float("nan")

# --- 10.2


def in_a_loop(losses, rates):
    best = []
    for network in losses:
        usable = [(network[:, i].mean(), rates[i]) for i in range(len(rates)) if network[:, i].isfinite().all()]
        best.append(min(usable)[1] if usable else torch.tensor(0.0))
    return torch.stack(best)


def in_numpy(losses, rates):
    a = losses.numpy()
    usable = np.isfinite(a).all(axis=1)
    mean = np.where(usable, np.where(np.isfinite(a), a, 0).mean(axis=1), np.inf)
    return np.where(usable.any(axis=1), rates.numpy()[mean.argmin(axis=1)], 0.0)


def always_one(losses, rates):
    mean = losses.mean(1)
    mean[mean.isnan()] = INF
    return rates[mean.argmin(1)]


def over_survivors(losses, rates):
    finite = losses.isfinite()
    mean = torch.where(finite, losses, torch.zeros(())).sum(1) / finite.sum(1)  # 0 / 0 where none is left
    mean[mean.isnan()] = INF
    best = rates[mean.argmin(1)].clone()
    best[~mean.isfinite().any(1)] = 0
    return best


def worst_seed(losses, rates):
    return in_a_loop(losses.amax(1, keepdim=True), rates)


def nan_if_none(losses, rates):
    best = in_a_loop(losses, rates)
    return torch.where(best > 0, best, NAN)


def in_place(losses, rates):
    losses[~losses.isfinite()] = INF
    mean = losses.mean(1)
    return torch.where(mean.isfinite().any(1), rates[mean.argmin(1)], 0.0)


# --- 10.3


def by_vectors(network, x, y, etas):
    network.zero_grad()
    F.cross_entropy(network(x), y).backward()
    gradient = torch.cat([p.grad.flatten() for p in network.parameters()])
    network.zero_grad()
    start = parameters_to_vector(network.parameters()).detach().clone()
    losses = []
    for eta in etas:
        vector_to_parameters(start - eta * gradient, network.parameters())
        losses.append(F.cross_entropy(network(x), y).item())
    vector_to_parameters(start, network.parameters())
    return torch.tensor(losses)


def on_copies(network, x, y, etas, walked=None):
    """What is walked is a copy, unless another network is given."""
    losses = []
    for eta in etas:
        copy = walked or deepcopy(network)
        optimizer = torch.optim.SGD(copy.parameters(), lr=eta)
        optimizer.zero_grad()
        F.cross_entropy(copy(x), y).backward()
        optimizer.step()
        losses.append(F.cross_entropy(copy(x), y).item())
    return losses


def training(network, x, y, etas):
    return on_copies(network, x, y, etas, walked=network)


@torch.no_grad()
def step(network, gradients, eta):
    for p, g in zip(network.parameters(), gradients, strict=True):
        p += eta * g


def there_and_back(network, x, y, etas):
    gradients, losses = torch.autograd.grad(F.cross_entropy(network(x), y), list(network.parameters())), []
    for eta in etas:
        step(network, gradients, -eta)
        losses.append(F.cross_entropy(network(x), y).item())
        step(network, gradients, eta)
    return losses


def by_backward(network, x, y, etas, reset=True):
    F.cross_entropy(network(x), y).backward()
    start, losses = deepcopy(network.state_dict()), []
    for eta in etas:
        step(network, [p.grad for p in network.parameters()], -eta)
        losses.append(F.cross_entropy(network(x), y).item())
        if reset:
            network.load_state_dict(start)
    return losses


def onwards(network, x, y, etas):
    return by_backward(network, x, y, etas, reset=False)


def recorded(network, x, y, etas):
    gradients = torch.autograd.grad(F.cross_entropy(network(x), y), list(network.parameters()))
    for p, g in zip(network.parameters(), gradients, strict=True):
        p -= etas[0] * g


def changes(network, x, y, etas):
    return torch.tensor(on_copies(network, x, y, etas)) - F.cross_entropy(network(x), y).detach()


ANSWERS = {
    "best-rate-with-breakdowns": Answers(
        right=[in_a_loop, in_numpy],
        wrong=[
            ("no_way_out", always_one),
            ("survivors", over_survivors),
            ("wrong_values", worst_seed),
            ("nan", nan_if_none),
            ("changes_input", in_place),
        ],
    ),
    "how-far-does-the-promise-hold": Answers(
        right=[by_vectors, on_copies],
        wrong=[
            ("training", training),
            ("from_step_to_step", onwards),
            ("not_back", there_and_back),
            ("gradient_left", by_backward),
            ("recorded", recorded),
            ("wrong_values", changes),
        ],
    ),
}
