"""Answers to the exercises of notebook 09."""

from copy import deepcopy

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from utils.exercises.definitions import Answers

INF, NAN = float("inf"), float("nan")

# --- 9.2


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


def with_masked_fill(losses, rates):
    broken = (~torch.isfinite(losses)).any(dim=1)
    mean = losses.sum(dim=1).masked_fill(broken, INF)
    best = rates[mean.min(dim=1).indices].clone()
    best[broken.all(dim=1)] = 0
    return best


def plain_argmin(losses, rates):
    return rates[losses.mean(1).argmin(1)]


def nan_wins(losses, rates):
    best = rates[losses.mean(1).argmin(1)].clone()
    best[(~losses.isfinite()).any(1).all(1)] = 0
    return best


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


def by_nanmean(losses, rates):
    mean = losses.nanmean(1).nan_to_num(nan=INF, posinf=INF)
    return torch.where(mean.isfinite().any(1), rates[mean.argmin(1)], 0.0)


def of_the_best_seed(losses, rates):
    low = losses.nan_to_num(nan=INF, posinf=INF).amin(1)
    return torch.where(low.isfinite().any(1), rates[low.argmin(1)], 0.0)


def places(losses, rates):
    return torch.stack([torch.tensor(0) if b == 0 else (rates == b).nonzero()[0, 0] for b in in_a_loop(losses, rates)])


def lowest(losses, rates):
    mean = losses.mean(1).nan_to_num(nan=INF, posinf=INF).amin(1)
    mean[mean == INF] = 0
    return mean


def largest(losses, rates):
    usable = [[r for r, column in zip(rates, rows.T, strict=True) if column.isfinite().all()] for rows in losses]
    return torch.tensor([max(each) if each else 0.0 for each in usable])


def highest_loss(losses, rates):
    mean = losses.mean(1)
    mean[~mean.isfinite()] = -INF
    return torch.where((mean > -INF).any(1), rates[mean.argmax(1)], 0.0)


def the_same_for_all(losses, rates):
    mean = losses.mean((0, 1)).nan_to_num(nan=INF, posinf=INF)
    best = rates[mean.argmin()] if mean.isfinite().any() else torch.tensor(0.0)
    return best.repeat(len(losses))


def nan_if_none(losses, rates):
    best = in_a_loop(losses, rates)
    return torch.where(best > 0, best, NAN)


def in_place(losses, rates):
    losses[~losses.isfinite()] = INF
    mean = losses.mean(1)
    return torch.where(mean.isfinite().any(1), rates[mean.argmin(1)], 0.0)


def along_seeds(losses, rates):
    return rates[losses.mean(2).argmin(1)]


# --- 9.3


def by_vectors(network, x, y, etas):
    network.zero_grad()
    F.cross_entropy(network(x), y).backward()
    gradient = torch.cat([p.grad.flatten() for p in network.parameters()])
    start = parameters_to_vector(network.parameters()).detach().clone()
    losses = []
    for eta in etas:
        vector_to_parameters(start - eta * gradient, network.parameters())
        losses.append(F.cross_entropy(network(x), y).item())
    vector_to_parameters(start, network.parameters())
    return torch.tensor(losses)


def on_copies(network, x, y, etas):
    losses = []
    for eta in etas:
        copy = deepcopy(network)
        optimizer = torch.optim.SGD(copy.parameters(), lr=eta)
        optimizer.zero_grad()
        F.cross_entropy(copy(x), y).backward()
        optimizer.step()
        losses.append(F.cross_entropy(copy(x), y).item())
    return losses


def functional(network, x, y, etas):
    weights = dict(network.named_parameters())
    gradients = torch.autograd.grad(F.cross_entropy(network(x), y), list(weights.values()))
    moved = [{name: p - eta * g for (name, p), g in zip(weights.items(), gradients, strict=True)} for eta in etas]
    return torch.stack([F.cross_entropy(torch.func.functional_call(network, m, (x,)), y) for m in moved])


def gradient(network, x, y):
    return torch.autograd.grad(F.cross_entropy(network(x), y), list(network.parameters()))


class Walk:
    """A walk whose faults are said by the arguments."""

    def __init__(self, sign=-1, reset=True, new=False, restore=True, scale=lambda gs: gs):
        self.sign, self.reset, self.new, self.restore, self.scale = sign, reset, new, restore, scale

    def __call__(self, network, x, y, etas):
        start = deepcopy(network.state_dict())
        gs, losses = self.scale(gradient(network, x, y)), []
        for eta in etas:
            if self.new:
                gs = self.scale(gradient(network, x, y))
            if self.reset:
                network.load_state_dict(start)
            with torch.no_grad():
                for p, g in zip(network.parameters(), gs, strict=True):
                    p += self.sign * eta * g
                losses.append(F.cross_entropy(network(x), y))
        if self.restore:
            network.load_state_dict(start)
        return torch.stack(losses)


def unit(gs):
    length = sum((g * g).sum() for g in gs) ** 0.5
    return [g / length for g in gs]


def unit_each(gs):
    return [F.normalize(g.flatten(), dim=0).view(g.shape) for g in gs]


def without_a_step(network, x, y, etas):
    return torch.stack([F.cross_entropy(network(x), y) for _ in etas])


def changes(network, x, y, etas):
    return Walk()(network, x, y, etas) - F.cross_entropy(network(x), y)


def linear(network, x, y, etas):
    loss = F.cross_entropy(network(x), y)
    slope = sum((g * g).sum() for g in gradient(network, x, y))
    return torch.stack([loss - eta * slope for eta in etas])


def evaluated(network, x, y, etas):
    network.eval()
    return Walk()(network, x, y, etas)


def recorded(network, x, y, etas):
    losses = []
    for eta in etas:
        for p, g in zip(network.parameters(), gradient(network, x, y), strict=True):
            p -= eta * g
        losses.append(F.cross_entropy(network(x), y))
    return torch.stack(losses)


def largest_only(network, x, y, etas):
    return Walk()(network, x, y, [max(etas)])


def no_return(network, x, y, etas):
    Walk()(network, x, y, etas)


ANSWERS = {
    "best-rate-with-breakdowns": Answers(
        right=[in_a_loop, in_numpy, with_masked_fill],
        wrong=[
            ("nan_wins_everywhere", plain_argmin),
            ("nan_wins", nan_wins),
            ("no_way_out", always_one),
            ("survivors", over_survivors),
            ("only_nan_left_out", by_nanmean),
            ("best_seed", of_the_best_seed),
            ("places", places),
            ("losses", lowest),
            ("largest_usable", largest),
            ("worst", highest_loss),
            ("one_for_all", the_same_for_all),
            ("nan", nan_if_none),
            ("losses_changed", in_place),
            ("wrong_values", along_seeds),
            ("not_callable", torch.tensor([0.1, 0.03])),
        ],
    ),
    "how-far-does-the-promise-hold": Answers(
        right=[by_vectors, on_copies, functional],
        wrong=[
            ("from_step_to_step", Walk(reset=False)),
            ("from_step_to_step_and_away", Walk(reset=False, restore=False)),
            ("training", Walk(reset=False, new=True)),
            ("training_and_away", Walk(reset=False, new=True, restore=False)),
            ("gradient_from_there", Walk(new=True)),
            ("not_back", Walk(restore=False)),
            ("uphill", Walk(sign=1)),
            ("unit_length", Walk(scale=unit)),
            ("unit_length_each", Walk(scale=unit_each)),
            ("no_step", without_a_step),
            ("differences", changes),
            ("promised", linear),
            ("evaluation_mode", evaluated),
            ("recorded", recorded),
            ("wrong_shape", largest_only),
            ("returns_none", no_return),
            ("not_callable", nn.Linear(2, 2).weight),
        ],
    ),
}
