"""Answers to the exercises of notebook 06."""

import numpy as np
import torch

from utils.exercises.definitions import Answers

# --- 6.3


def by_autograd(dy, x, gamma, eps):
    x, gamma = x.clone().requires_grad_(), gamma.clone().requires_grad_()
    y = gamma * x / (x.pow(2).mean(1, keepdim=True) + eps).sqrt()
    return torch.autograd.grad(y, (x, gamma), dy)


def line_by_line(dy, x, gamma, eps):
    n = x.shape[1]
    r = (x.square().mean(1, keepdim=True) + eps) ** -0.5
    dxhat = gamma * dy
    dr = (dxhat * x).sum(1, keepdim=True)
    ds = -0.5 * r**3 * dr
    return r * dxhat + 2 / n * x * ds, (dy * x * r).sum(1)


def by_einsum(dy, x, gamma, eps):
    s = torch.einsum("cn,cn->c", x, x) / x.size(1) + eps
    product = torch.einsum("cn,cn->c", dy, x)
    dx = gamma * (dy / s.sqrt()[:, None] - x * (product / s**1.5 / x.size(1))[:, None])
    return [dx, product / s.sqrt()]


def in_numpy(dy, x, gamma, eps):
    dy, x, gamma = dy.numpy(), x.numpy(), gamma.numpy()
    r = 1 / np.sqrt(np.mean(x * x, axis=1, keepdims=True) + eps)
    jacobians = [
        np.eye(x.shape[1]) * k - np.outer(row, row) * k**3 / x.shape[1] for row, k in zip(x, r[:, 0], strict=True)
    ]
    dx = gamma * np.stack([row @ jacobian for row, jacobian in zip(dy, jacobians, strict=True)])
    return dx, (dy * x * r).sum(1, keepdims=True)


def parts(x, eps):
    r = 1 / torch.sqrt(x.pow(2).mean(1, True) + eps)
    return r, x * r


def for_gamma(dy, xhat):
    return torch.sum(dy * xhat, dim=1, keepdim=True)


def boxed(dy, x, gamma, eps):
    r, xhat = parts(x, eps)
    dx = gamma * r * (dy - dy.mean(1, keepdim=True) - xhat * (dy * xhat).mean(1, keepdim=True))
    return dx, for_gamma(dy, xhat)


def detached(dy, x, gamma, eps):
    r, xhat = parts(x, eps)
    return gamma * dy * r, for_gamma(dy, xhat)


def with_sums(dy, x, gamma, eps):
    r, xhat = parts(x, eps)
    dr = (gamma * dy * x).sum(1, keepdim=True)
    return r * gamma * dy - r**3 * dr * x, for_gamma(dy, xhat)


def plus(dy, x, gamma, eps):
    r, xhat = parts(x, eps)
    ds = 0.5 * r**3 * (gamma * dy * x).sum(1, keepdim=True)
    return r * gamma * dy + 2 / x.shape[1] * x * ds, for_gamma(dy, xhat)


def r_to_the_first(dy, x, gamma, eps):
    r, xhat = parts(x, eps)
    ds = -0.5 * r * (gamma * dy * x).sum(1, keepdim=True)
    return r * gamma * dy + 2 / x.shape[1] * x * ds, for_gamma(dy, xhat)


def r_squared(dy, x, gamma, eps):
    r, xhat = parts(x, eps)
    ds = -0.5 * r**2 * (gamma * dy * x).sum(1, keepdim=True)
    return r * gamma * dy + 2 / x.shape[1] * x * ds, for_gamma(dy, xhat)


def gamma_forgotten(dy, x, gamma, eps):
    return line_by_line(dy, x, torch.ones_like(gamma), eps)


def to_xhat_only(dy, x, gamma, eps):
    r, xhat = parts(x, eps)
    return line_by_line(dy, x, gamma, eps)[0] / r, for_gamma(dy, xhat)


def no_eps(dy, x, gamma, eps):
    return line_by_line(dy, x, gamma, 0)


def eps_beside_the_root(dy, x, gamma, eps):
    xhat = x / (x.square().mean(1, keepdim=True).sqrt() + eps)
    dx = gamma * (xhat / x) * (dy - xhat * (dy * xhat).mean(1, keepdim=True))
    return dx, for_gamma(dy, xhat)


def batch_normalization(dy, x, gamma, eps):
    x, gamma = x.clone().requires_grad_(), gamma.clone().requires_grad_()
    y = gamma * (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + eps).sqrt()
    return torch.autograd.grad(y, (x, gamma), dy)


def mean_for_gamma(dy, x, gamma, eps):
    return line_by_line(dy, x, gamma, eps)[0], (dy * parts(x, eps)[1]).mean(1, keepdim=True)


def x_for_gamma(dy, x, gamma, eps):
    return line_by_line(dy, x, gamma, eps)[0], (dy * x).sum(1)


def not_summed(dy, x, gamma, eps):
    return line_by_line(dy, x, gamma, eps)[0], dy * parts(x, eps)[1]


def other_order(dy, x, gamma, eps):
    dx, dgamma = by_autograd(dy, x, gamma, eps)
    return dgamma, dx


def dx_alone(dy, x, gamma, eps):
    return by_autograd(dy, x, gamma, eps)[0]


def summed_over_channels(dy, x, gamma, eps):
    dx, dgamma = by_autograd(dy, x, gamma, eps)
    return dx, dgamma.sum()


def in_place(dy, x, gamma, eps):
    result = by_autograd(dy, x, gamma, eps)
    dy *= gamma
    return result


def without_keepdim(dy, x, gamma, eps):
    return gamma * dy / (x.square().mean(1) + eps).sqrt(), dy.sum(1)


def no_return(dy, x, gamma, eps):
    by_autograd(dy, x, gamma, eps)


ANSWERS = {
    "normalization-without-the-mean": Answers(
        right=[by_autograd, line_by_line, by_einsum, in_numpy],
        wrong=[
            ("boxed", boxed),
            ("detached", detached),
            ("sum_for_mean", with_sums),
            ("wrong_sign", plus),
            ("input_for_normal", r_to_the_first),
            ("one_factor_missing", r_squared),
            ("without_gamma", gamma_forgotten),
            ("without_r", to_xhat_only),
            ("without_eps", no_eps),
            ("eps_outside", eps_beside_the_root),
            ("centred", batch_normalization),
            ("mean_for_gamma", mean_for_gamma),
            ("input_for_gamma", x_for_gamma),
            ("each_for_gamma", not_summed),
            ("exchanged", other_order),
            ("unusable", dx_alone),
            ("wrong_shape", summed_over_channels),
            ("changes_input", in_place),
            ("raises", without_keepdim),
            ("returns_none", no_return),
        ],
    ),
}
