"""The exercises of notebook 11: normalizing over other axes."""

import torch
from torch import Tensor

from utils.exercises.definitions import Code, Mistake, Number

__all__ = ["EXERCISES"]

EPS = 1e-5


def normalized(x: Tensor, dims: tuple[int, ...], n_minus_1: bool = False, eps: float = EPS) -> Tensor:
    return (x - x.mean(dims, keepdim=True)) / (x.var(dims, keepdim=True, unbiased=n_minus_1) + eps).sqrt()


def made_up(*shape: int, seed: int = 0) -> Tensor:
    """Values whose mean and spread differ along every axis."""
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    for axis, size in enumerate(shape):
        steps = torch.arange(float(size)).view(-1, *[1] * (len(shape) - 1 - axis))
        x = x * (1 + steps / 4) + (axis + 1) * steps / 2
    return x


# --- 11.2 tokens


def texts(*shape: int, seed: int = 0) -> Tensor:
    """Made-up tokens; the last of the first text is padding."""
    x = made_up(*shape, seed=seed)
    x[0, -1] = 0
    return x


def by_rms(x: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + EPS).sqrt()


def by_variance(x: Tensor) -> Tensor:
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + EPS)


# --- 11.3 patches


def cut(x: Tensor, size: int) -> Tensor:
    return x.unflatten(3, (-1, size)).unflatten(2, (-1, size))


def joined(patches: Tensor) -> Tensor:
    return patches.flatten(4, 5).flatten(2, 3)


def by_patches(x: Tensor, size: int, dims: tuple[int, ...] = (1, 3, 5), n_minus_1: bool = False) -> Tensor:
    return joined(normalized(cut(x, size), dims, n_minus_1))


def interleaved(x: Tensor, size: int) -> Tensor:
    return joined(normalized(x.unflatten(3, (size, -1)).unflatten(2, (size, -1)), (1, 2, 4)))


def not_put_back(x: Tensor, size: int) -> Tensor:
    rows = cut(x, size).permute(0, 2, 4, 1, 3, 5)  # (N, H / size, W / size, C, size, size)
    return normalized(rows, (3, 4, 5)).reshape(x.shape)


EXERCISES = {
    "11.1": Number(
        minutes=4,
        difficulty="★☆☆ easy",
        right=392,
        tolerance=0.5,
        mistakes=[
            Mistake(
                "four_channels",
                "You took groups of 4 channels. The argument is the number of groups, not how many channels are in "
                "each.",
                value=196,
            ),
            Mistake("layer", "That is layer normalization, all channels of a picture in one group.", value=1568),
            Mistake("instance", "That is instance normalization: one channel of one picture.", value=49),
            Mistake("batch", "That is batch normalization: one channel, over all pictures.", value=490),
            Mistake("all_pictures", "The group is right. But does a mean reach into other pictures?", value=3920),
            Mistake("channels_only", "The channels are counted. Each of them has places, too.", value=8),
            Mistake(
                "how_many_means", "That is how many means there are. Asked for is over how many numbers.", value=40
            ),
        ],
        hints=[
            "Which axes does `group` average away, and which of them are in the block of cells marked in the figure?",
            "How many channels are in one group, and how many places has each channel?",
        ],
        look="the function `group`, and the comment on its shapes",
        remark="The number of pictures does not appear in it. So the layer does the same with one picture as with ten.",
    ),
    "11.2": Code(
        minutes=7,
        difficulty="★★☆ medium",
        truth=lambda x: normalized(x, (2,)),
        cases=lambda: {
            "two texts of five tokens with six channels, (2, 5, 6)": (texts(2, 5, 6),),
            "four texts of four tokens with four channels, (4, 4, 4)": (texts(4, 4, 4, seed=1),),
        },
        mistakes=[
            Mistake(
                "axes_of_pictures",
                "You average over axis 1. There the channels of a picture stand; what stands there in a text?",
                like=lambda x: normalized(x, (1,)),
            ),
            Mistake(
                "whole_text",
                "You take one mean for each text. Then a token would depend on those that follow it. Each token needs "
                "its own.",
                like=lambda x: normalized(x, (1, 2)),
            ),
            Mistake(
                "batch",
                "This is batch normalization: one mean for each channel, over all tokens of all texts.",
                like=lambda x: normalized(x, (0, 1)),
            ),
            Mistake(
                "over_texts",
                "You average over the texts, so a token depends on other people's texts.",
                like=lambda x: normalized(x, (0,)),
            ),
            Mistake("everything", "You take one mean for everything.", like=lambda x: normalized(x, (0, 1, 2))),
            Mistake(
                "n_minus_1",
                "The means are right, the variance is not: it is divided by n - 1. Which one does the task ask for?",
                like=lambda x: normalized(x, (2,), n_minus_1=True),
            ),
            Mistake("rms", "This is RMS normalization: the mean is still in it.", like=by_rms),
            Mistake(
                "only_the_mean",
                "The means are right. Nothing is divided yet.",
                like=lambda x: x - x.mean(-1, keepdim=True),
            ),
            Mistake("variance", "You divide by the variance: a square root is missing.", like=by_variance),
            Mistake(
                "no_eps",
                "A padding token becomes NaN: its values are all the same, so 0 is divided by 0. What prevents that?",
                like=lambda x: normalized(x, (2,), eps=0.0),
            ),
            Mistake(
                "keepdim",
                "The statistics have lost an axis, and broadcasting now lines them up with the wrong one.",
                raising="must match the size of tensor",
            ),
        ],
        hints=[
            "Which axis has to be averaged away, so that one mean is left for each text and each token?",
            "The statistics need the shape (N, T, 1). `keepdim=True` keeps the axis.",
            "`x.var` divides by n - 1, unless it is told `correction=0`.",
        ],
        look="the function `normalize`, and its row for each place in `OURS`",
        axes=("text", "token", "channel"),
        remark="It is `normalize` with another axis, and PyTorch's `nn.LayerNorm(C)` without γ and β. PyTorch counts "
        "from the right, so that one layer serves texts and pictures with their channels last.",
    ),
    "11.3": Code(
        minutes=15,
        difficulty="★★★ hard",
        truth=by_patches,
        cases=lambda: {
            "two pictures of 6 × 4 places, patches of 2 × 2": (made_up(2, 3, 6, 4), 2),
            "three pictures of 3 × 9 places, patches of 3 × 3": (made_up(3, 2, 3, 9, seed=1), 3),
        },
        mistakes=[
            Mistake(
                "across_patches",
                "You normalize over the patches: one mean for each place within a patch. It has to be the other way "
                "round.",
                like=lambda x, size: by_patches(x, size, (1, 2, 4)),
            ),
            Mistake(
                "interleaved",
                "The places of your patches lie far apart. Two neighbours in a row belong to one patch: which of the "
                "two new axes, the left or the right, walks through neighbours?",
                like=interleaved,
            ),
            Mistake(
                "each_channel",
                "Each channel has a mean of its own. The channels of a patch belong together.",
                like=lambda x, size: by_patches(x, size, (3, 5)),
            ),
            Mistake(
                "all_pictures",
                "Your mean reaches over all pictures of the batch. Each picture is by itself.",
                like=lambda x, size: by_patches(x, size, (0, 1, 3, 5)),
            ),
            Mistake(
                "upright_strips",
                "These are strips as high as the picture: only the width is cut.",
                like=lambda x, size: by_patches(x, size, (1, 2, 3, 5)),
            ),
            Mistake(
                "lying_strips",
                "These are strips as wide as the picture: only the height is cut.",
                like=lambda x, size: by_patches(x, size, (1, 3, 4, 5)),
            ),
            Mistake(
                "whole_picture",
                "This is layer normalization of the whole picture: nothing is cut.",
                like=lambda x, size: normalized(x, (1, 2, 3)),
            ),
            Mistake(
                "each_place",
                "You normalize each place by itself. The places of a patch belong together.",
                like=lambda x, size: normalized(x, (1,)),
            ),
            Mistake(
                "not_joined",
                "The values are right, but the patches have not been put together again.",
                like=lambda x, size: normalized(cut(x, size), (1, 3, 5)),
            ),
            Mistake(
                "not_put_back",
                "The shape is right, but the places are not where they were. Before the patches are joined, the axes "
                "have to stand in their old order.",
                like=not_put_back,
            ),
            Mistake(
                "n_minus_1",
                "You divide by n - 1 for the variance. The task asks for the number of values.",
                like=lambda x, size: by_patches(x, size, n_minus_1=True),
            ),
        ],
        hints=[
            "`group` cuts one axis in two with `unflatten`. Here two axes have to be cut.",
            "Write down the shape with six axes. Which of them are inside a patch, which say which patch it is?",
            "Try your cut on `torch.arange(36).view(1, 1, 6, 6)`: the first patch of 2 × 2 must hold 0, 1, 6 and 7.",
        ],
        look="the function `group`: it cuts an axis, normalizes, and joins again",
        axes=("picture", "channel", "row", "column"),
        remark="With a patch as large as the picture it is layer normalization, with one of a single place it is that "
        "of each place. You have filled in what lies between.",
    ),
}
