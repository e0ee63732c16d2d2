"""Answers to the exercises of notebook 11."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from utils.exercises.definitions import Answers


def normalize(x: Tensor, dims, center: bool = True, eps: float = 1e-5) -> Tensor:
    """As in the notebook."""
    if center:
        x = x - x.mean(dims, keepdim=True)
    return x / (x.square().mean(dims, keepdim=True) + eps).sqrt()


# --- 11.2


def by_pytorch(x):
    return F.layer_norm(x, x.shape[-1:])


def token_after_token(x):
    out = torch.zeros_like(x)
    for n in range(len(x)):
        for t in range(x.shape[1]):
            token = x[n, t]
            out[n, t] = (token - token.mean()) / (token.var(correction=0) + 1e-5).sqrt()
    return out


def in_numpy(x):
    a = x.numpy()
    return (a - a.mean(2, keepdims=True)) / np.sqrt(a.var(2, keepdims=True) + 1e-5)


def with_std(x):
    return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-5)


def squares_not_rooted(x):
    x = x - x.mean(2, True)
    return x / (x.pow(2).mean(2, True) + 1e-5)


def without_eps(x):
    x = x - x.mean(2, True)
    return x / x.pow(2).mean(2, True).sqrt()


def keepdim_forgotten(x):
    return (x - x.mean(-1)) / (x.var(-1, correction=0) + 1e-5).sqrt()


def tokens_in_place(x):
    x -= x.mean(-1, keepdim=True)
    x /= (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return x


# --- 11.3


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


def by_pooling(x, size):
    """The mean of a patch is the mean over channels of the mean over its places."""

    def patch_means(values):
        pooled = F.avg_pool2d(values, size).mean(1, keepdim=True)
        return pooled.repeat_interleave(size, 2).repeat_interleave(size, 3)

    x = x - patch_means(x)
    return x / (patch_means(x * x) + 1e-5).sqrt()


def over(*dims):
    """The patches by view, normalized over these of (N, C, rows, size, columns, size)."""

    def answer(x, size):
        n, c, h, w = x.shape
        return normalize(x.view(n, c, h // size, size, w // size, size), dims).view(x.shape)

    return answer


def neighbours_torn_apart(x, size):
    n, c, h, w = x.shape
    return normalize(x.view(n, c, size, h // size, size, w // size), (1, 2, 4)).view(x.shape)


def left_cut(x, size):
    n, c, h, w = x.shape
    return normalize(x.view(n, c, h // size, size, w // size, size), (1, 3, 5))


def joined_in_another_order(x, size):
    n, c, h, w = x.shape
    patches = x.view(n, c, h // size, size, w // size, size).permute(0, 2, 4, 1, 3, 5)
    return normalize(patches, (-3, -2, -1)).contiguous().view(n, c, h, w)


def with_var(x, size):
    n, c, h, w = x.shape
    patches = x.view(n, c, h // size, size, w // size, size)
    mean, var = patches.mean((1, 3, 5), keepdim=True), patches.var((1, 3, 5), keepdim=True)
    return ((patches - mean) / (var + 1e-5).sqrt()).view(x.shape)


def nothing(x, size):
    normalize(x, (1, 2, 3))


ANSWERS = {
    "tokens": Answers(
        right=[by_pytorch, token_after_token, in_numpy, lambda x: normalize(x, (-1,))],
        wrong=[
            ("axes_of_pictures", lambda x: normalize(x, (1,))),
            ("whole_text", lambda x: F.layer_norm(x, x.shape[1:])),
            ("batch", lambda x: F.batch_norm(x.transpose(1, 2), None, None, training=True).transpose(1, 2)),
            ("over_texts", lambda x: normalize(x, 0)),
            ("everything", lambda x: F.layer_norm(x, x.shape)),
            ("n_minus_1", with_std),
            ("rms", lambda x: normalize(x, (2,), center=False)),
            ("only_the_mean", lambda x: x - x.mean(2)[..., None]),
            ("variance", squares_not_rooted),
            ("no_eps", without_eps),
            ("keepdim", keepdim_forgotten),
            ("changes_input", tokens_in_place),
            ("wrong_shape", lambda x: x.mean(-1)),
            ("returns_none", lambda x: print("later")),
        ],
    ),
    "patch-by-patch": Answers(
        right=[by_unfold, patch_after_patch, by_pooling, over(1, 3, 5)],
        wrong=[
            ("across_patches", over(1, 2, 4)),
            ("interleaved", neighbours_torn_apart),
            ("each_channel", over(3, 5)),
            ("all_pictures", over(0, 1, 3, 5)),
            ("upright_strips", over(1, 2, 3, 5)),
            ("lying_strips", over(1, 3, 4, 5)),
            ("whole_picture", lambda x, size: F.layer_norm(x, x.shape[1:])),
            ("each_place", lambda x, size: normalize(x, 1)),
            ("not_joined", left_cut),
            ("not_put_back", joined_in_another_order),
            ("n_minus_1", with_var),
            ("returns_none", nothing),
            ("not_callable", by_unfold(torch.ones(1, 1, 2, 2), 2)),
        ],
    ),
}
