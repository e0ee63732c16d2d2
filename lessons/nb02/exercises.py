"""The exercises of notebook 02: normalizing one batch."""

import torch
from torch import Tensor, nn

from utils.exercises.definitions import Code, Unusable
from utils.exercises.differences import compare
from utils.exercises.inputs import Calls, axes_but_channel, pictures

__all__ = ["EXERCISES"]


# --- 2.3 standardize


TRANSPOSING = {"transpose", "permute", "movedim", "moveaxis", "swapaxes", "swapdims", "t", "T", "mT"}


def try_standardize(answer, x: Tensor) -> dict:
    """The result; a right one is refused if something was transposed on the way."""
    with Calls() as calls:
        result = answer(x)
    used = [name for name in calls.names if name in TRANSPOSING]
    if used and compare(result, standardized(x)) is None:
        raise Unusable(f"The result is right, but `{used[0]}` transposes. Leave each axis in its place.")
    return {"result": result}


def standardized(x: Tensor, axes=(0, 2, 3), unbiased: bool = True) -> Tensor:
    return (x - x.mean(axes, keepdim=True)) / x.std(axes, keepdim=True, unbiased=unbiased)


def by_wrong_rows(x: Tensor) -> Tensor:
    rows = x.reshape(x.shape[1], -1)
    return (x - rows.mean(1)[:, None, None]) / rows.std(1)[:, None, None]


def by_wrong_rows_and_back(x: Tensor) -> Tensor:
    rows = x.reshape(x.shape[1], -1)
    return ((rows - rows.mean(1, keepdim=True)) / rows.std(1, keepdim=True)).reshape(x.shape)


# --- 2.4 AnyBatchNorm

SCALE, SHIFT = torch.tensor([2.0, 0.5, -1.5]), torch.tensor([1.0, -1.0, 0.25])


def try_layer(answer, first: Tensor, second: Tensor) -> dict:
    """Set `m` and `a`, normalize two batches in training and another in evaluation."""
    layer, found = answer(first.shape[1]), {}
    if not isinstance(layer, nn.Module):
        raise Unusable("The class has to be an `nn.Module`.")
    for name, values in (("m", SCALE), ("a", SHIFT)):
        parameter = getattr(layer, name, None)
        if not isinstance(parameter, Tensor):
            raise Unusable(f"The layer needs a tensor called `{name}`.")
        if parameter.numel() != first.shape[1]:
            raise Unusable(f"`{name}` needs one number for each channel; it holds {parameter.numel()}.")
        found[f"`{name}` at the start"] = parameter.detach().flatten().clone()
        parameter.data.copy_(values[: first.shape[1]].view_as(parameter))
    found["learned parameters"] = ", ".join(sorted(name for name, _ in layer.named_parameters()))
    layer.train()(2 * first + 1)  # its statistics are to be forgotten
    x = first.clone().requires_grad_()
    out = found["output in training"] = layer(x)
    found["gradient of the input"] = gradient(out, x)
    for name in ("m", "a"):
        found[f"gradient of `{name}`"] = gradient(out, getattr(layer, name)).flatten()
    found["output in evaluation"] = layer.eval()(second)
    return found


def gradient(out: Tensor, x: Tensor) -> Tensor:
    """Of a loss that, unlike the sum, does not stay the same when a layer normalizes; 0 if it does not reach x."""
    if not isinstance(out, Tensor) or not out.requires_grad or not x.requires_grad:
        return torch.zeros_like(x)
    return torch.autograd.grad(out.sigmoid().sum(), x, retain_graph=True, allow_unused=True, materialize_grads=True)[0]


class Layer(nn.Module):
    """A right answer; the attributes are what can be wrong with it."""

    from_the_right, pictures_only, learned, own_statistics, unbiased, detached = False, False, True, False, True, False

    def __init__(self, channels: int):
        super().__init__()
        wrap = nn.Parameter if self.learned else torch.clone
        self.m, self.a = wrap(torch.ones(channels)), wrap(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        if self.training or self.own_statistics:
            seen, axes = x.detach() if self.detached else x, axes_but_channel(x)
            self.mean, self.std = seen.mean(axes), seen.std(axes, unbiased=self.unbiased)
        shape = (-1,) if self.from_the_right else (-1, *[1] * (2 if self.pictures_only else x.ndim - 2))
        mean, std, m, a = (values.view(shape) for values in (self.mean, self.std, self.m, self.a))
        return (x - mean) / std * m + a


def faulty(**what: bool) -> type[Layer]:
    return type("Faulty", (Layer,), what)


EXERCISES = {
    "without-a-matrix": Code(
        truth=standardized,
        trial=try_standardize,
        cases=lambda: {
            "two pictures of five channels, (2, 5, 3, 4)": (pictures(2, 5, 3, 4),),
            "as many pictures as channels, and as many columns, (3, 3, 2, 3)": (pictures(3, 3, 2, 3, seed=1),),
        },
        axes=("picture", "channel", "row", "column"),
        mistakes={
            "each_image": lambda x: standardized(x, axes=(1, 2, 3)),
            "each_channel_of_each_image": lambda x: standardized(x, axes=(2, 3)),
            "each_place": lambda x: standardized(x, axes=(0,)),
            "wrong_rows": by_wrong_rows,
            "wrong_rows_and_back": by_wrong_rows_and_back,
            "divided_by_n": lambda x: standardized(x, unbiased=False),
            "from_the_right": lambda x: (x - x.mean((0, 2, 3))) / x.std((0, 2, 3)),
        },
    ),
    "layer-for-pictures-sounds-and-tables": Code(
        truth=Layer,
        trial=try_layer,
        cases=lambda: {
            "pictures, (4, 3, 2, 5)": (pictures(4, 3, 2, 5), pictures(2, 3, 2, 5, seed=1)),
            "pictures three columns wide, (4, 3, 2, 3)": (pictures(4, 3, 2, 3), pictures(2, 3, 2, 3, seed=1)),
            "tables, (6, 2)": (pictures(6, 2), pictures(2, 2, seed=1)),
            "sounds, (4, 3, 5)": (pictures(4, 3, 5), pictures(2, 3, 5, seed=1)),
            "films, (2, 3, 2, 2, 2)": (pictures(2, 3, 2, 2, 2), pictures(2, 3, 2, 2, 2, seed=1)),
        },
        axes=("picture", "channel"),
        mistakes={
            "from_the_right": faulty(from_the_right=True),
            "only_pictures": faulty(pictures_only=True),
            "not_learned": faulty(learned=False),
            "own_statistics": faulty(own_statistics=True),
            "divided_by_n": faulty(unbiased=False),
            "detached": faulty(detached=True),
        },
    ),
}
