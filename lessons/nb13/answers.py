"""Answers to the exercises of notebook 13."""

import numpy as np
import torch
import torch.nn.functional as F

from utils.exercises.definitions import Answers


def normalize(x, dims):
    """As in the notebook."""
    x = x - x.mean(dims, keepdim=True)
    return x / (x.square().mean(dims, keepdim=True) + 1e-5).sqrt()


# --- tokens


def by_pytorch(x):
    return F.layer_norm(x, x.shape[-1:])


def in_numpy(x):
    a = x.numpy()
    return (a - a.mean(2, keepdims=True)) / np.sqrt(a.var(2, keepdims=True) + 1e-5)


def by_std(x):
    return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-5)


def by_numpys_std(x):
    a = x.numpy()
    return (a - a.mean(2, keepdims=True)) / (a.std(2, keepdims=True) + 1e-5)


def keepdim_forgotten(x):
    return (x - x.mean(-1)) / (x.var(-1, correction=0) + 1e-5).sqrt()


def in_place(x):
    x -= x.mean(-1, keepdim=True)
    x /= (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return x


# --- patch-by-patch


def by_unfold(x, size):
    columns = F.unfold(x, size, stride=size)  # (N, C size², patches)
    return F.fold(normalize(columns, (1,)), x.shape[2:], size, stride=size)


def patch_after_patch(x, size):
    out = torch.empty_like(x)
    for top in range(0, x.shape[2], size):
        for left in range(0, x.shape[3], size):
            patch = x[:, :, top : top + size, left : left + size]
            out[:, :, top : top + size, left : left + size] = F.layer_norm(patch, patch.shape[1:])
    return out


def joined_in_another_order(x, size):
    n, c, h, w = x.shape
    patches = x.view(n, c, h // size, size, w // size, size).permute(0, 2, 4, 1, 3, 5)
    return normalize(patches, (-3, -2, -1)).contiguous().view(n, c, h, w)


def the_whole_picture(x, size):
    return F.layer_norm(x, x.shape[1:])


ANSWERS = {
    "tokens": Answers(
        right=[by_pytorch, in_numpy],
        wrong=[
            ("whole_text", lambda x: F.layer_norm(x, x.shape[1:])),
            ("eps_outside", by_numpys_std),
            ("both", by_std),
            ("keepdim", keepdim_forgotten),
            ("changes_input", in_place),
            ("wrong_values", lambda x: x - x.mean(2)[..., None]),
        ],
    ),
    "patch-by-patch": Answers(
        right=[by_unfold, patch_after_patch],
        wrong=[
            ("not_put_back", joined_in_another_order),
            ("wrong_values", the_whole_picture),
            ("not_callable", by_unfold(torch.ones(1, 1, 2, 2), 2)),
        ],
    ),
}
