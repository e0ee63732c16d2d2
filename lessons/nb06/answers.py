"""Answers to the exercises of notebook 06."""

import numpy as np
import torch

from utils.exercises.definitions import Answers

# --- 6.3


def line_by_line(dy, x, gamma, eps, n=None):
    n = n or x.shape[1]
    r = (x.square().mean(1, keepdim=True) + eps) ** -0.5
    dxhat = gamma * dy
    dr = (dxhat * x).sum(1, keepdim=True)
    ds = -0.5 * r**3 * dr
    return r * dxhat + 2 / n * x * ds, (dy * x * r).sum(1, keepdim=True)


def in_numpy(dy, x, gamma, eps):
    dy, x, gamma = dy.numpy(), x.numpy(), gamma.numpy()
    r = 1 / np.sqrt(np.mean(x * x, axis=1, keepdims=True) + eps)
    jacobians = [
        np.eye(x.shape[1]) * k - np.outer(row, row) * k**3 / x.shape[1] for row, k in zip(x, r[:, 0], strict=True)
    ]
    dx = gamma * np.stack([row @ jacobian for row, jacobian in zip(dy, jacobians, strict=True)])
    return dx, (dy * x * r).sum(1, keepdims=True)


def with_sums(dy, x, gamma, eps):
    return line_by_line(dy, x, gamma, eps, n=1)


def backward_with_enabled_gradients(dy, x, gamma, eps):
    with torch.enable_grad():
        x = x.clone().requires_grad_()
        (x / (x.pow(2).mean(1, keepdim=True) + eps).sqrt()).backward(gamma * dy)
    return x.grad, (dy * x * (x.square().mean(1, keepdim=True) + eps).rsqrt()).sum(1, keepdim=True)


def by_vjp(dy, x, gamma, eps):
    def forward(x, gamma):
        return gamma * x / (x.pow(2).mean(1, keepdim=True) + eps).sqrt()

    return torch.func.vjp(forward, x, gamma)[1](dy)


def by_jacobians(dy, x, gamma, eps):
    def forward(x, gamma):
        return (dy * gamma * x / (x.pow(2).mean(1, keepdim=True) + eps).sqrt()).sum()

    return torch.func.jacfwd(forward, (0, 1))(x, gamma)


def without_keepdim(dy, x, gamma, eps):
    dx, dgamma = line_by_line(dy, x, gamma, eps)
    return dx, dgamma.squeeze(1)


def one_factor_missing(dy, x, gamma, eps):
    r = 1 / (x.square().mean(1, keepdim=True) + eps).sqrt()
    ds = -0.5 * r**2 * (gamma * dy * x).sum(1, keepdim=True)
    return r * gamma * dy + 2 / x.shape[1] * x * ds, (dy * x * r).sum(1, keepdim=True)


def dx_alone(dy, x, gamma, eps):
    return line_by_line(dy, x, gamma, eps)[0]


ANSWERS = {
    "normalization-without-the-mean": Answers(
        right=[line_by_line, in_numpy],
        wrong=[
            ("autograd", backward_with_enabled_gradients),
            ("autograd", by_vjp),
            ("autograd", by_jacobians),
            ("sum_for_mean", with_sums),
            ("wrong_shape", without_keepdim),
            ("wrong_values", one_factor_missing),
            ("unusable", dx_alone),
        ],
    ),
}
