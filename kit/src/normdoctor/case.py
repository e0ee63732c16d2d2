"""The layer under test: how it is made, called and fed, and what its parts are, whatever they are called."""

import copy
import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normdoctor.formula import Formula

__all__ = ["ACTIVATIONS", "Case", "FromBnLayer", "Hints", "attribute", "copied", "in_mode", "output_of", "state_of"]

SHAPES = {2: (16,), 3: (4, 5), 4: (4, 3, 3), 5: (4, 2, 3, 3)}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "ReLU": F.relu,
    "leaky ReLU": F.leaky_relu,
    "leaky ReLU (0.2)": lambda x: F.leaky_relu(x, 0.2),
    "leaky ReLU (0.1)": lambda x: F.leaky_relu(x, 0.1),
    "ELU": F.elu,
    "SiLU": F.silu,
    "GELU": F.gelu,
    "hard swish": F.hardswish,
}


class FromBnLayer:
    """Makes `BnLayer`-shaped layers, (ni, nf, stride, kernel_size), with a convolution that passes everything on.

    Attributes:
        layer: the class.
    """

    def __init__(self, layer: Callable[..., nn.Module]):
        self.layer = layer

    def __call__(self, num_features: int) -> nn.Module:
        """C to C channels, stride 1, kernel 3: each kernel is 1 in the middle of its own channel."""
        layer = self.layer(num_features, num_features, stride=1, kernel_size=3)
        with torch.no_grad():
            for module in layer.modules():
                if isinstance(module, nn.modules.conv._ConvNd):
                    nn.init.dirac_(module.weight)
                    if module.bias is not None:
                        module.bias.zero_()
        return layer


@dataclass(frozen=True)
class Hints:
    """What a caller says about a layer, since it cannot be guessed; see `check_normalization`."""

    input_shape: tuple[int, ...] | None = None
    channel_axis: int | None = None
    call: Callable[[nn.Module, Tensor], Any] | None = None
    device: str = "cpu"
    arguments: tuple[tuple[str, Any], ...] = ()


class Case:
    """Knows how to make the layer under test, how to call it and what to feed it.

    Args:
        make_layer: (num_features) → the layer; or a `FromBnLayer`.
        num_features: C.
        right: the formula that counts as right.
        hints: what cannot be guessed.

    Attributes:
        is_batch: what is right is batch normalization.
        adapted: the layer has a convolution and a ReLU inside.
        shape: of a batch for it, (N, C, ...), channels second whatever the layer wants.
        axis: where the layer wants the channels.
        dtype: of its parameters or buffers; float32 if it has none.
        eps: what it adds to the variance: what it says, else what it does, else 1e-5.
        momentum: the weight of the newest batch, of a layer that does not say it.
        frozen: train() has no effect on it.
        gamma_name, beta_name: of its parameters; None without.
        gamma_kind: how γ comes from its parameter, a key of `formula.gammas`.
        activation: what follows the normalization, a key of `ACTIVATIONS`; None if nothing does.
    """

    def __init__(
        self,
        make_layer: Callable[..., nn.Module],
        num_features: int,
        right: Formula,
        hints: Hints,
    ):
        self.make_layer, self.channels, self.hints = make_layer, num_features, hints
        self.adapted = isinstance(make_layer, FromBnLayer)
        self.right = right
        self.is_batch = right.over == "batch"
        self.gamma_name: str | None = None
        self.beta_name: str | None = None
        self.activation: str | None = None
        self.momentum = 0.1
        self.gamma_kind, self.axis = "weight", 1 if hints.channel_axis is None else hints.channel_axis
        self.dtype, self.shape, self.eps, self.frozen = torch.float32, self.shape_of(4), 1e-5, False

    @property
    def lifted(self) -> bool:
        """Whether a ReLU or the like may follow, so that outputs must be kept high above 0."""
        return self.adapted or self.activation is not None

    def shape_of(self, dimensions: int) -> tuple[int, ...]:
        """A batch of that many dimensions, in which pictures, places and values are not equally many."""
        first, *space = SHAPES[dimensions]
        return first, self.channels, *space

    def offers(self, option: str) -> bool:
        """Whether the layer can be made with that keyword."""
        try:
            return option in inspect.signature(self.make_layer).parameters
        except (TypeError, ValueError):
            return False

    def make(self, **options: Any) -> nn.Module:
        """A new layer on its own: a copy, if the factory hands out one and the same."""
        torch.default_generator.manual_seed(0)  # two layers begin alike
        lazy = isinstance(self.make_layer, type) and issubclass(self.make_layer, nn.modules.lazy.LazyModuleMixin)
        options = dict(self.hints.arguments) | options
        layer = self.make_layer(**options) if lazy else self.make_layer(self.channels, **options)
        if not isinstance(layer, nn.Module):
            raise TypeError(f"the factory must return a torch.nn.Module; it returned {type(layer).__name__}")
        if not isinstance(layer, torch.jit.ScriptModule):
            layer = copied(layer)
        if self.hints.device != "cpu":
            layer = layer.to(self.hints.device)
        if any(nn.parameter.is_lazy(t) for t in state_of(layer)):  # the first input tells it its channels
            mode = layer.training
            self.call(in_mode(layer, False), self.batch())
            layer.train(mode)
        return layer

    def call(self, layer: nn.Module, x: Tensor, device: str | None = None) -> Tensor:
        """The layer's output for (N, C, ...), in that layout; on the processor, if no other device is asked for.

        Raises:
            TypeError: the output is no tensor, and holds none of the input's shape.
        """
        x = x.to(device or self.hints.device)
        given = x if self.axis == 1 else x.movedim(1, self.axis)
        y = self.hints.call(layer, given) if self.hints.call else layer(given)
        y = output_of(y, given)
        y = y if self.axis == 1 else y.movedim(self.axis, 1)
        return y if device else y.cpu()

    def batch(self, seed: int = 0, shape: tuple[int, ...] | None = None, scale: float = 1.0, more: int = 0) -> Tensor:
        """x: each channel, image and place has a mean and a spread of its own, std about 1.5.

        Where a ReLU may come before, all are positive; else every third channel is negative. `more`
        pictures than usual, `scale` times as large.
        """
        shape = shape or self.shape
        return self._batch(seed, (shape[0] + more, *shape[1:]), scale, self.dtype, self.adapted).clone()

    @staticmethod
    @functools.lru_cache(maxsize=256)
    def _batch(seed: int, shape: tuple[int, ...], scale: float, dtype: torch.dtype, positive: bool) -> Tensor:
        generator = torch.Generator().manual_seed(1000 + seed)
        column = (1, -1, *[1] * (len(shape) - 2))
        level, width = torch.rand(2, shape[1], generator=generator, dtype=torch.float64)
        noise = torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1
        level = 6 + level
        level[2::3] *= 1 if positive else -1
        x = level.view(column) + (2 + 1.5 * width.view(column)) * noise
        return (x * scale).to(dtype)

    def faint(self, variance: float) -> Tensor:
        """x: positive and small; the variances of the channels lie between a quarter of that and sixteen times it."""
        generator = torch.Generator().manual_seed(3000)
        std = (variance * 4.0 ** (torch.arange(self.channels).double() - 1).clamp(max=2)).sqrt()
        noise = torch.rand(self.shape, generator=generator, dtype=torch.float64)
        return (noise * 12**0.5 * std.view(1, -1, *[1] * (len(self.shape) - 2))).to(self.dtype)

    def cotangent(self, seed: int = 0) -> Tensor:
        """A gradient that might arrive from above."""
        generator = torch.Generator().manual_seed(2000 + seed)
        return torch.randn(self.shape, generator=generator, dtype=torch.float64).to(self.dtype)


# --- small things


def in_mode(layer: nn.Module, training: bool) -> nn.Module:
    """The layer, in that mode, whatever its train() returns."""
    layer.train(training)
    return layer


def output_of(y: Any, x: Tensor) -> Tensor:
    """The tensor of x's shape in what a layer returns: itself, or the first in a tuple, list or dictionary."""
    if isinstance(y, Tensor):
        return y
    values: Iterator[Any] = iter(y.values() if isinstance(y, dict) else y if isinstance(y, (tuple, list)) else ())
    for value in values:
        if isinstance(value, Tensor) and value.shape == x.shape:
            return value
    raise TypeError(f"the layer returned {type(y).__name__}, and no tensor of its input's shape in it; give call=")


def attribute(layer: nn.Module, names: tuple[str, ...], default: Any) -> Any:
    """The first attribute of that name in the module or one inside it."""
    missing = object()
    for module in layer.modules():
        for name in names:
            value = vars(module).get(name, missing)
            if value is missing and isinstance(module, torch.jit.ScriptModule):
                value = getattr(module, name, missing)
            if value is not missing and not isinstance(value, (nn.Module, Tensor)) and not callable(value):
                return value
    return default


def state_of(layer: nn.Module) -> list[Tensor]:
    """Parameters and buffers."""
    return [*layer.parameters(), *layer.buffers()]


def copied(layer: nn.Module) -> nn.Module:
    """A deep copy, in which tensors that hold on to a graph are cut off from it; the layer itself if all fails."""
    held = {
        id(t): t.detach().clone() for module in layer.modules() for t in _tensors_of(module) if t.grad_fn is not None
    }
    try:
        other = copy.deepcopy(layer, held)
    except Exception:
        return layer
    with torch.no_grad():  # whatever its own way of copying does, the copy is to be in the same state
        for (_, mine), (_, theirs) in zip(layer.named_buffers(), other.named_buffers(), strict=False):
            if (
                mine.device.type != "meta"
                and mine.shape == theirs.shape
                and not torch.equal(mine, theirs)
                and not mine.isnan().any()
            ):
                theirs.copy_(mine)
    return other


def _tensors_of(module: nn.Module) -> Iterator[Tensor]:
    values = [] if isinstance(module, torch.jit.ScriptModule) else [*vars(module).values(), *module._buffers.values()]
    for value in values:
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else [value]
        yield from (t for t in inside if isinstance(t, Tensor))
