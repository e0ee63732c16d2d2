"""Answers to the exercises of notebook 07."""

from copy import deepcopy

import torch
from torch import nn

from utils.exercises.definitions import Answers

# --- 7.3


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


def in_place(conv, mean, std):
    conv.weight.data /= std[:, None, None]
    conv.bias.data -= (conv.weight.data * mean[:, None, None]).sum((1, 2, 3))
    return conv


def in_place_and_recorded(conv, mean, std):
    conv.weight /= std[:, None, None]
    return conv


def expects_a_bias(conv, mean, std):
    return in_place(deepcopy(conv), mean, std)


def no_bias_where_there_is_none(conv, mean, std):
    new = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, bias=conv.bias is not None)
    new.weight.data = conv.weight.data / std.reshape(1, -1, 1, 1)
    if conv.bias is not None:
        new.bias.data = conv.bias.data - torch.einsum("kchw,c->k", conv.weight.data, mean / std)
    return new


def means_from_the_right_too(conv, mean, std):
    new = channel_by_channel(conv, mean, std)
    new.weight.data = conv.weight.data / std
    new.bias.data -= (new.weight.data * mean).sum((1, 2, 3))
    return new


def old_bias_lost(conv, mean, std):
    new = channel_by_channel(conv, mean, std)
    new.bias = nn.Parameter(-torch.einsum("kchw,c->k", new.weight.data, mean))
    return new


def stride_lost(conv, mean, std):
    new = channel_by_channel(conv, mean, std)
    new.stride = (1, 1)
    return new


def wrapped(conv, mean, std):
    class Standardize(nn.Module):
        def forward(self, x):
            return (x - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)

    return nn.Sequential(Standardize(), conv)


ANSWERS = {
    "standardizing-for-nothing": Answers(
        right=[by_a_trial, channel_by_channel],
        wrong=[
            ("given_layer_changed", in_place),
            ("given_layer_changed", in_place_and_recorded),
            ("no_bias_there", expects_a_bias),
            ("no_bias_there", no_bias_where_there_is_none),
            ("from_the_right", means_from_the_right_too),
            ("wrong_values", old_bias_lost),
            ("wrong_shape", stride_lost),
            ("unusable", wrapped),
        ],
    ),
}
