"""Answers to the exercises of notebook 13."""

from copy import deepcopy

import torch
from torch import nn

from utils.exercises.definitions import Answers

# --- 13.2


def by_pytorch(linear, norm):
    return nn.utils.fuse_linear_bn_eval(linear, norm)


@torch.no_grad()
def by_asking(linear, norm):
    """The two layers say themselves what they do to zeros, and to each unit vector."""
    bias = norm(linear(torch.zeros(1, linear.in_features)))[0]
    folded = nn.Linear(linear.in_features, linear.out_features)
    folded.weight.data = (norm(linear(torch.eye(linear.in_features))) - bias).T.contiguous()
    folded.bias.data = bias
    return folded


@torch.no_grad()
def on_a_copy(linear, norm):
    folded = deepcopy(linear)
    inverse = (norm.running_var + norm.eps).rsqrt()
    folded.weight.mul_((norm.weight * inverse).unsqueeze(1))
    bias = -norm.running_mean if linear.bias is None else linear.bias - norm.running_mean
    folded.bias = nn.Parameter(bias * norm.weight * inverse + norm.bias)
    return folded


def linear_answer(weight=lambda w, s: w * s[:, None], bias=lambda b, m, s, beta: (b - m) * s + beta, **how):
    def answer(linear, norm):
        with torch.no_grad():
            s = scale_of(norm, **how)
            b = torch.zeros(linear.out_features) if linear.bias is None else linear.bias
            folded = nn.Linear(linear.in_features, linear.out_features)
            folded.weight.copy_(weight(linear.weight, s))
            folded.bias.copy_(bias(b, norm.running_mean, s, norm.bias))
            return folded

    return answer


def scale_of(norm, gamma=True, root=0.5, eps=True):
    return (norm.weight if gamma else 1) / (norm.running_var + eps * norm.eps) ** root


@torch.no_grad()
def without_looking(linear, norm):
    s = scale_of(norm)
    folded = nn.Linear(linear.in_features, linear.out_features)
    folded.weight.copy_(linear.weight * s[:, None])
    folded.bias.copy_((linear.bias - norm.running_mean) * s + norm.bias)
    return folded


@torch.no_grad()
def the_given_one(linear, norm):
    s = scale_of(norm)
    bias = torch.zeros(linear.out_features) if linear.bias is None else linear.bias
    linear.weight *= s[:, None]
    linear.bias = nn.Parameter((bias - norm.running_mean) * s + norm.bias)
    return linear


# --- 13.3


@torch.no_grad()
def by_einsum(norm, conv):
    s = norm.weight * (norm.running_var + norm.eps).rsqrt()
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
def conv_on_a_copy(norm, conv):
    folded = deepcopy(conv)
    s = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    folded.weight *= s.view(1, -1, 1, 1)
    shift = norm.bias / s - norm.running_mean  # before the scale
    bias = (folded.weight * shift.view(1, -1, 1, 1)).sum((1, 2, 3))
    folded.bias = nn.Parameter(bias if conv.bias is None else bias + conv.bias)
    return folded


def conv_answer(
    weight=lambda w, s: w * s, bias=lambda w, b, m, s, beta: b + (w * (beta - m * s)).sum(1), in_place=False, **how
):
    def answer(norm, conv):
        with torch.no_grad():
            s = scale_of(norm, **how)
            w = conv.weight.flatten(1).clone()
            b = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias
            folded = conv if in_place else nn.Conv2d(conv.in_channels, conv.out_channels, 1)
            folded.weight.copy_(weight(w, s)[:, :, None, None])
            folded.bias = nn.Parameter(bias(w, b, norm.running_mean, s, norm.bias))
            return folded

    return answer


def as_in_the_notebook(norm, conv):
    return nn.utils.fuse_conv_bn_eval(conv, norm)


@torch.no_grad()
def adds_none(norm, conv):
    s = scale_of(norm)
    folded = nn.Conv2d(conv.in_channels, conv.out_channels, 1)
    folded.weight.copy_(conv.weight * s.view(1, -1, 1, 1))
    folded.bias.copy_(conv.bias + conv.weight.flatten(1) @ (norm.bias - norm.running_mean * s))
    return folded


ANSWERS = {
    "into-a-linear-layer": Answers(
        right=[by_pytorch, by_asking, on_a_copy, linear_answer()],
        wrong=[
            ("columns", linear_answer(weight=lambda w, s: w * s)),
            ("bias_forgotten", linear_answer(bias=lambda b, m, s, beta: beta - m * s)),
            ("bias_not_scaled", linear_answer(bias=lambda b, m, s, beta: beta - m * s + b)),
            ("mean_not_scaled", linear_answer(bias=lambda b, m, s, beta: beta + b * s - m)),
            ("beta_forgotten", linear_answer(bias=lambda b, m, s, beta: (b - m) * s)),
            ("mean_added", linear_answer(bias=lambda b, m, s, beta: (b + m) * s + beta)),
            ("gamma_forgotten", linear_answer(gamma=False)),
            ("variance", linear_answer(root=1)),
            ("no_eps", linear_answer(eps=False)),
            ("weight_only", linear_answer(bias=lambda b, m, s, beta: b)),
            ("given_layer_changed", the_given_one),
            ("no_bias", without_looking),
            ("unusable", lambda linear, norm: nn.Sequential(linear, norm)),
            ("unusable", lambda linear, norm: None if norm.training else norm),
            ("raises", lambda linear, norm: linear.weights),
        ],
    ),
    "forwards": Answers(
        right=[by_einsum, by_asking_the_conv, conv_on_a_copy, conv_answer()],
        wrong=[
            ("backwards", as_in_the_notebook),
            ("rows", conv_answer(weight=lambda w, s: w * s[:, None])),
            ("shift_not_convolved", conv_answer(bias=lambda w, b, m, s, beta: b + beta - m * s)),
            ("scaled_twice", conv_answer(bias=lambda w, b, m, s, beta: b + (w * s) @ (beta - m * s))),
            ("bias_forgotten", conv_answer(bias=lambda w, b, m, s, beta: w @ (beta - m * s))),
            ("weight_only", conv_answer(bias=lambda w, b, m, s, beta: b)),
            ("beta_forgotten", conv_answer(bias=lambda w, b, m, s, beta: b - w @ (m * s))),
            ("mean_forgotten", conv_answer(bias=lambda w, b, m, s, beta: b + w @ beta)),
            ("mean_not_scaled", conv_answer(bias=lambda w, b, m, s, beta: b + w @ (beta - m))),
            ("variance", conv_answer(root=1)),
            ("no_eps", conv_answer(eps=False)),
            ("given_layer_changed", conv_answer(in_place=True)),
            ("no_bias", adds_none),
            ("unusable", lambda norm, conv: nn.Linear(3, 3)),
            ("raises", lambda norm, conv: conv.weight @ norm),
        ],
    ),
}
