"""Answers to the exercises of notebook 16."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import update_bn

from utils.exercises.definitions import Answers

# --- get-it-back


@torch.no_grad()
def by_hand(net, batches):
    seen = {}

    def look(norm, inputs, _):
        x = inputs[0].transpose(0, 1).flatten(1)
        seen.setdefault(norm, []).append((x.mean(1), x.var(1)))

    modes = {module: module.training for module in net.modules()}
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_hook(look) for norm in norms]
    net.eval()
    for norm in norms:
        norm.train()
    for x in batches:
        net(x)
    for hook in hooks:
        hook.remove()
    for norm in norms:
        mean, var = (torch.stack(each).mean(0) for each in zip(*seen[norm], strict=True))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)
    for module, mode in modes.items():
        module.training = mode


def by_update_bn(net, batches):
    """`update_bn` would switch Dropout on, and gives back one mode to all modules."""
    rates = [(module, module.p) for module in net.modules() if isinstance(module, nn.Dropout)]
    for module, _ in rates:
        module.p = 0.0
    modes = [(module, module.training) for module in net.modules()]
    update_bn(batches, net)
    for module, mode in modes:
        module.training = mode
    for module, rate in rates:
        module.p = rate


def update_bn_alone(net, batches):
    net.train()
    update_bn(batches, net)


def without_reset(net, batches):
    modes = [(module, module.training) for module in net.modules()]
    net.train()
    with torch.no_grad():
        for x in batches:
            net(x)
    for module, mode in modes:
        module.training = mode


def all_in_training(net, batches):
    modes = {module: module.training for module in net.modules()}
    norms = {module: module.momentum for module in net.modules() if isinstance(module, nn.BatchNorm2d)}
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    net.train()
    with torch.no_grad():
        for x in batches:
            net(x)
    for norm, momentum in norms.items():
        norm.momentum = momentum
    for module, mode in modes.items():
        module.training = mode


def returns_it(net, batches):
    by_hand(net, batches)
    return net


def of_the_first_batch(net, batches):
    by_hand(net, batches[:1])


# --- pictures-with-a-frame


def by_batch_norm(x, there, gamma, beta, eps=1e-5):
    rows = x.movedim(1, -1)
    y = torch.zeros_like(rows)
    y[there] = F.batch_norm(rows[there], None, None, gamma, beta, training=True, eps=eps)
    return y.movedim(-1, 1)


def with_where(x, there, gamma, beta, eps=1e-5):
    mask = there.unsqueeze(1)
    clean = x.masked_fill(~mask, 0)
    n = there.sum()
    mean = clean.sum((0, 2, 3), keepdim=True) / n
    d = (clean - mean).masked_fill(~mask, 0)
    var = d.square().sum((0, 2, 3), keepdim=True) / n
    y = d * (var + eps).rsqrt() * gamma.view(1, -1, 1, 1) + beta.view(1, -1, 1, 1)
    return y.masked_fill(~mask, 0)


def multiplied(x, there, gamma, beta, eps=1e-5):
    m = there[:, None].float()
    n = m.sum()
    mean = (x * m).sum((0, 2, 3)) / n
    d = (x - mean[:, None, None]) * m
    var = d.pow(2).sum((0, 2, 3)) / n
    return (d / (var + eps).sqrt()[:, None, None] * gamma[:, None, None] + beta[:, None, None]) * m


def unmasked(x, there, gamma, beta, eps=1e-5):
    return F.batch_norm(x, None, None, gamma, beta, training=True, eps=eps) * there[:, None]


def without_gamma(x, there, gamma, beta, eps=1e-5):
    return by_batch_norm(x, there, torch.ones_like(gamma), beta, eps)


def cut_off(x, there, gamma, beta, eps=1e-5):
    return by_batch_norm(x.detach(), there, gamma, beta, eps).detach()


def statistics_cut_off(x, there, gamma, beta, eps=1e-5):
    rows = x.permute(0, 2, 3, 1)
    mean, var = rows[there].detach().mean(0), rows[there].detach().var(0, correction=0)
    y = torch.zeros_like(rows)
    y[there] = gamma * (rows[there] - mean) / (var + eps).sqrt() + beta
    return y.permute(0, 3, 1, 2)


def rows_alone(x, there, gamma, beta, eps=1e-5):
    return by_batch_norm(x, there, gamma, beta, eps).permute(0, 2, 3, 1)[there]


ANSWERS = {
    "get-it-back": Answers(
        right=[by_hand, by_update_bn],
        wrong=[
            ("wrong_values", update_bn_alone),
            ("dropped", all_in_training),
            ("not_set_back", without_reset),
            ("unusable", returns_it),
            ("wrong_values", of_the_first_batch),
        ],
    ),
    "pictures-with-a-frame": Answers(
        right=[by_batch_norm, with_where],
        wrong=[
            ("by_multiplying", multiplied),
            ("wrong_values", without_gamma),
            ("unusable", cut_off),
            ("wrong_values", statistics_cut_off),
            ("unusable", rows_alone),
        ],
    ),
}
