"""Answers to the exercises of notebook 07."""

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import nn

from utils.exercises.definitions import Answers

# --- 7.3


def by_einsum(conv, mean, std):
    new = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, stride=conv.stride)
    bias = 0 if conv.bias is None else conv.bias.data
    new.weight.data = torch.einsum("kchw,c->kchw", conv.weight.data, 1 / std)
    new.bias.data = bias - torch.einsum("kchw,c->k", conv.weight.data, mean / std)
    return new


def by_a_trial(conv, mean, std):
    """The bias is found by asking the layer what it makes of a black picture."""
    new = deepcopy(conv)
    new.weight = nn.Parameter(conv.weight.detach() / std.view(1, -1, 1, 1))
    black = (-mean / std).view(1, -1, 1, 1).expand(1, -1, *conv.kernel_size)
    new.bias = nn.Parameter(conv(black).detach().flatten())
    return new


def channel_by_channel(conv, mean, std):
    weight = conv.weight.detach().clone()
    bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach().clone()
    for c in range(len(mean)):
        weight[:, c] /= std[c]
        bias -= mean[c] * weight[:, c].sum((1, 2))
    new = nn.Conv2d(len(mean), len(bias), weight.shape[2:], conv.stride)
    new.load_state_dict({"weight": weight, "bias": bias})
    return new


def made(conv, weight, constant):
    new = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride)
    new.weight.data = weight.detach().clone()
    old = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()
    new.bias.data = (old - constant).detach()
    return new


def inputs(values):
    return values.reshape(1, -1, 1, 1)


def summed(weight, mean):
    return (weight * inputs(mean)).flatten(1).sum(1)


def multiplied(conv, mean, std):
    weight = conv.weight * inputs(std)
    return made(conv, weight, summed(weight, mean))


def from_the_right(conv, mean, std):
    weight = conv.weight / std
    return made(conv, weight, summed(weight, mean))


def from_the_right_twice(conv, mean, std):
    weight = conv.weight / std
    return made(conv, weight, (weight * mean).sum(dim=(1, 2, 3)))


def output_channels(conv, mean, std):
    weight = conv.weight / std[:, None, None, None]
    return made(conv, weight, summed(weight, mean))


def mean_undivided(conv, mean, std):
    return made(conv, conv.weight / inputs(std), summed(conv.weight, mean))


def sign(conv, mean, std):
    weight = conv.weight / inputs(std)
    return made(conv, weight, -summed(weight, mean))


def only_scaled(conv, mean, std):
    return made(conv, conv.weight / inputs(std), 0)


def only_shifted(conv, mean, std):
    return made(conv, conv.weight, summed(conv.weight, mean))


def averaged(conv, mean, std):
    weight = conv.weight / inputs(std)
    return made(conv, weight, (weight * inputs(mean)).mean(dim=(1, 2, 3)))


def without_old_bias(conv, mean, std):
    new = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride)
    new.weight.data = conv.weight.data / inputs(std)
    new.bias.data = -summed(new.weight.data, mean)
    return new


def without_stride(conv, mean, std):
    new = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size)
    right = by_einsum(conv, mean, std)
    new.weight, new.bias = right.weight, right.bias
    return new


def in_place(conv, mean, std):
    right = by_einsum(conv, mean, std)
    conv.weight, conv.bias = right.weight, right.bias
    return conv


def expects_a_bias(conv, mean, std):
    new = deepcopy(conv)
    new.weight.data /= inputs(std)
    new.bias.data -= summed(new.weight.data, mean)
    return new


def adds_a_bias(conv, mean, std):
    weight = conv.weight.data / inputs(std)
    return made(conv, weight, summed(weight, mean) - conv.bias * 0)


def wrapped(conv, mean, std):
    class Standardize(nn.Module):
        def forward(self, x):
            return (x - inputs(mean)) / inputs(std)

    return nn.Sequential(Standardize(), conv)


def a_function(conv, mean, std):
    right = by_einsum(conv, mean, std)
    return lambda x: F.conv2d(x, right.weight, right.bias, right.stride)


def forgets(conv, mean, std):
    by_einsum(conv, mean, std)


ANSWERS = {
    "standardizing-for-nothing": Answers(
        right=[by_einsum, by_a_trial, channel_by_channel],
        wrong=[
            ("multiplied", multiplied),
            ("from_the_right", from_the_right),
            ("from_the_right_twice", from_the_right_twice),
            ("output_channels", output_channels),
            ("mean_undivided", mean_undivided),
            ("sign", sign),
            ("no_constant", only_scaled),
            ("only_the_mean", only_shifted),
            ("average_for_sum", averaged),
            ("bias_lost", without_old_bias),
            ("stride_lost", without_stride),
            ("given_layer_changed", in_place),
            ("no_bias_there", expects_a_bias),
            ("no_bias_there", adds_a_bias),
            ("unusable", wrapped),
            ("unusable", a_function),
            ("returns_none", forgets),
            ("not_callable", nn.Conv2d(3, 3, 3).weight),
        ],
    ),
}
