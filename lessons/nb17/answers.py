"""Answers to the exercises of notebook 17."""

from copy import deepcopy

import torch
from torch import nn

from utils.exercises.definitions import Answers


def scale_of(norm):
    return norm.weight * (norm.running_var + norm.eps).rsqrt()


# --- into-a-linear-layer


def by_pytorch(linear, norm):
    return nn.utils.fuse_linear_bn_eval(linear, norm)


@torch.no_grad()
def on_a_copy(linear, norm):
    folded = deepcopy(linear)
    folded.weight.mul_(scale_of(norm).unsqueeze(1))
    bias = -norm.running_mean if linear.bias is None else linear.bias - norm.running_mean
    folded.bias = nn.Parameter(bias * scale_of(norm) + norm.bias)
    return folded


@torch.no_grad()
def the_given_one(linear, norm):
    bias = torch.zeros(linear.out_features) if linear.bias is None else linear.bias
    linear.weight *= scale_of(norm)[:, None]
    linear.bias = nn.Parameter((bias - norm.running_mean) * scale_of(norm) + norm.bias)
    return linear


@torch.no_grad()
def without_looking(linear, norm):
    folded = nn.Linear(linear.in_features, linear.out_features)
    folded.weight.copy_(linear.weight * scale_of(norm)[:, None])
    folded.bias.copy_((linear.bias - norm.running_mean) * scale_of(norm) + norm.bias)
    return folded


@torch.no_grad()
def weight_only(linear, norm):
    folded = deepcopy(linear)
    folded.weight *= scale_of(norm)[:, None]
    return folded


def returns_nothing(linear, norm):
    on_a_copy(linear, norm)


# --- forwards


@torch.no_grad()
def by_einsum(norm, conv):
    s = scale_of(norm)
    t = norm.bias - norm.running_mean * s
    folded = nn.Conv2d(conv.in_channels, conv.out_channels, 1)
    folded.weight.data = torch.einsum("oihw,i->oihw", conv.weight, s)
    folded.bias.data = torch.einsum("oihw,i->o", conv.weight, t) + (0 if conv.bias is None else conv.bias)
    return folded


@torch.no_grad()
def by_asking_the_conv(norm, conv):
    """The bias is what comes out for zeros, the weight what an input channel adds to it."""
    channels = conv.in_channels
    folded = nn.Conv2d(channels, conv.out_channels, 1)
    bias = conv(norm(torch.zeros(1, channels, 1, 1)))  # (1, C, 1, 1)
    folded.weight.data = (conv(norm(torch.eye(channels)[:, :, None, None])) - bias).transpose(0, 1).contiguous()
    folded.bias.data = bias.flatten()
    return folded


@torch.no_grad()
def shift_through_the_scaled_weight(norm, conv):
    folded = deepcopy(conv)
    folded.weight *= scale_of(norm).view(1, -1, 1, 1)
    shift = norm.bias - norm.running_mean * scale_of(norm)
    bias = (folded.weight * shift.view(1, -1, 1, 1)).sum((1, 2, 3))
    folded.bias = nn.Parameter(bias if conv.bias is None else bias + conv.bias)
    return folded


@torch.no_grad()
def adds_none(norm, conv):
    folded = nn.Conv2d(conv.in_channels, conv.out_channels, 1)
    folded.weight.copy_(conv.weight * scale_of(norm).view(1, -1, 1, 1))
    folded.bias.copy_(conv.bias + conv.weight.flatten(1) @ (norm.bias - norm.running_mean * scale_of(norm)))
    return folded


@torch.no_grad()
def mean_forgotten(norm, conv):
    folded = nn.Conv2d(conv.in_channels, conv.out_channels, 1)
    folded.weight.copy_(conv.weight * scale_of(norm).view(1, -1, 1, 1))
    folded.bias.copy_(conv.weight.flatten(1) @ norm.bias + (0 if conv.bias is None else conv.bias))
    return folded


ANSWERS = {
    "into-a-linear-layer": Answers(
        right=[by_pytorch, on_a_copy],
        wrong=[
            ("given_layer_changed", the_given_one),
            ("no_bias", without_looking),
            ("wrong_values", weight_only),
            ("wrong_values", lambda linear, norm: on_a_copy(linear, norm.train())),
            ("unusable", returns_nothing),
            ("unusable", lambda linear, norm: nn.Sequential(linear, norm)),
            ("raises", lambda linear, norm: linear.weights),
        ],
    ),
    "forwards": Answers(
        right=[by_einsum, by_asking_the_conv],
        wrong=[
            ("backwards", lambda norm, conv: nn.utils.fuse_conv_bn_eval(conv, norm)),
            ("scaled_twice", shift_through_the_scaled_weight),
            ("no_bias", adds_none),
            ("wrong_values", mean_forgotten),
            ("unusable", lambda norm, conv: nn.Linear(3, 3)),
        ],
    ),
}
