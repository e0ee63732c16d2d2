"""What every layer's activations and gradients look like, step by step: the course's measuring instrument."""

from collections.abc import Iterable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["ActivationStats"]


class ActivationStats:
    """Records the outputs of a model's layers, and the gradients that reach them, while it trains.

        with ActivationStats(model, model.layers) as stats:
            fit(model, batches, optimizer)
        stats.std       # array (steps, layers)

    A step is one forward pass of the model in training mode; passes in evaluation mode are not recorded. The hooks are
    removed when the block ends, also by an exception.

    Args:
        model: any module.
        layers: which of its modules: an iterable of modules or of names (as in `named_modules`), or a type or tuple of
            types; by default every module without children that has parameters. Each must return one tensor
            (N, C, ...), channels second, and run once in a step (if it runs again, the last time counts).
        histogram: also count the values into bins; without, only moments (cheaper).
        every: record each n-th step only.
        bins: of the histogram.
        bin_range: (low, high) of the histogram; what lies outside is counted in the first or last bin.

    Attributes (arrays; the rows are recorded steps, the columns layers; NaN where a layer did not run):
        names: the layers' names.
        steps: the number of each recorded step, from 0.
        mean, std: of all values of the layer, shape (steps, layers).
        spread: the standard deviation *across images*, root mean square over units: how much the layer still tells
            one image from another. (`std` can be large while all images look alike.)
        dead: the share of channels that have one and the same value for every image and position.
        gradient_norm: the Euclidean norm of ∂loss/∂output; NaN where there was no backward pass.
        histogram: the share of values in each bin, shape (steps, layers, bins); what is not a number is in none.
        bin_edges: shape (bins + 1,).

    Raises:
        ValueError: no such layer, no layer at all, or a number that makes no sense.
        TypeError: a layer returns something other than a tensor of at least two dimensions.

    After the instruments of fast.ai's course (hooks, `ActivationStats`, the "colorful dimension"); `spread` is this
    course's own.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Iterable[nn.Module | str] | type | tuple[type, ...] | None = None,
        *,
        histogram: bool = True,
        every: int = 1,
        bins: int = 40,
        bin_range: tuple[float, float] = (-4.0, 4.0),
    ):
        if every < 1 or bins < 1 or not bin_range[0] < bin_range[1]:
            given = f"{every=}, {bins=}, {bin_range=}"
            raise ValueError(f"every and bins must be at least 1 and bin_range must rise; given: {given}")
        self.model = model
        self.names, self._layers = _select(model, layers)
        self._every, self._with_histogram = every, histogram
        self.bin_edges = np.linspace(*bin_range, bins + 1)
        self._hooks, self._steps_seen, self._recording = [], 0, False
        self._found: dict[int, dict[int, dict[str, Tensor]]] = {}  # step → layer → what was measured, on its device

    def __enter__(self) -> "ActivationStats":
        if self._hooks:
            raise RuntimeError("this ActivationStats is already recording; end its `with` block first")
        self._hooks = [self.model.register_forward_pre_hook(self._begin_step)]
        for i, layer in enumerate(self._layers):
            self._hooks.append(layer.register_forward_hook(partial(self._record, i)))
        return self

    def __exit__(self, *exception) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._recording = [], False

    def _begin_step(self, model: nn.Module, args: tuple) -> None:
        self._recording = model.training and self._steps_seen % self._every == 0
        if self._recording:
            self._step = self._found[self._steps_seen] = {}
        self._steps_seen += model.training

    def _record(self, layer: int, module: nn.Module, args: tuple, output: Tensor) -> None:
        if not self._recording:
            return
        if not isinstance(output, Tensor) or output.ndim < 2:
            raise TypeError(f"layer {self.names[layer]!r} must return a tensor (N, C, ...); it returned {type(output)}")
        at_least_float32 = torch.promote_types(output.dtype, torch.float32)
        values = output.detach().to(at_least_float32)
        found = self._step[layer] = {"moments": _moments(values)}  # what an earlier run found is forgotten
        if self._with_histogram:
            found["histogram"] = _histogram(values, len(self.bin_edges) - 1, self.bin_edges[0], self.bin_edges[-1])
        if output.requires_grad:
            output.register_hook(lambda gradient: found.update(gradient=_norm(gradient.detach().to(at_least_float32))))

    def _table(self, what: str, *shape: int) -> np.ndarray:
        """What was measured under this name, shape (steps, layers, *shape); only now it leaves the device."""
        table = np.full((len(self._found), len(self.names), *shape), np.nan)
        for row, layers in enumerate(self._found.values()):
            for layer, found in layers.items():
                if what in found:
                    table[row, layer] = found[what].cpu().numpy()
        return table

    steps = property(lambda self: np.array(list(self._found), dtype=int))
    mean = property(lambda self: self._table("moments", 4)[:, :, 0])
    std = property(lambda self: self._table("moments", 4)[:, :, 1])
    spread = property(lambda self: self._table("moments", 4)[:, :, 2])
    dead = property(lambda self: self._table("moments", 4)[:, :, 3])
    gradient_norm = property(lambda self: self._table("gradient"))

    @property
    def histogram(self) -> np.ndarray:
        if not self._with_histogram:
            raise ValueError("no histogram was recorded: pass histogram=True")
        return self._table("histogram", len(self.bin_edges) - 1)


def _select(model: nn.Module, layers) -> tuple[list[str], list[nn.Module]]:
    """The names and modules that `layers` means, in the model's own order for types, else in the order given."""
    named = dict(model.named_modules())
    kinds = (layers,) if isinstance(layers, type) else layers
    if layers is None:
        chosen = [name for name, module in named.items() if not [*module.children()] and [*module.parameters()]]
    elif isinstance(kinds, tuple) and all(isinstance(kind, type) for kind in kinds):
        chosen = [name for name, module in named.items() if isinstance(module, kinds)]
    else:
        names = {module: name for name, module in named.items()} | {name: name for name in named}
        chosen = []
        for layer in [layers] if isinstance(layers, str) else layers:
            if layer not in names:
                raise ValueError(f"the model has no layer {layer!r}; it has: {', '.join(filter(None, named))}")
            chosen.append(names[layer])
    if not chosen:
        raise ValueError(f"no layer of {type(model).__name__} was chosen by layers={layers!r}")
    chosen = list(dict.fromkeys(chosen))
    return chosen, [named[name] for name in chosen]


def _moments(x: Tensor) -> Tensor:
    """x: (N, C, ...) → (4,): mean, standard deviation, spread across images, share of constant channels."""
    x = x.flatten(2) if x.ndim > 2 else x[..., None]  # (N, C, P)
    low, high = x.amin(0), x.amax(0)
    dead = (low.amin(1) == high.amax(1)).to(x.dtype).mean()
    x = x - low  # where images differ in the last digits only, these digits are left
    above = x.mean(0)
    spread = _norm(x.sub_(above)) / x.numel() ** 0.5
    units = low + above  # each unit's mean over the images
    mean = units.mean()
    between = _norm(units - mean) / units.numel() ** 0.5
    return torch.stack([mean, torch.hypot(spread, between), spread, dead])


def _norm(x: Tensor) -> Tensor:
    """The Euclidean norm of x (N, ...), image by image, since float32 adds few numbers more exactly than many."""

    def norm(x: Tensor) -> Tensor:
        return torch.linalg.vector_norm(torch.linalg.vector_norm(x.flatten(1), dim=1))

    result = norm(x)
    if x.is_cpu and 1e-10 < result.item() < 1e15:  # elsewhere, to look at the result would be to wait for it
        return result
    # Deep networks have numbers like 1e±23: float32 holds them, but not their squares.
    numbers = torch.finfo(x.dtype)
    largest = torch.maximum(x.amax(), -x.amin()).clamp(numbers.tiny, numbers.max)
    return norm(x / largest) * largest


def _histogram(x: Tensor, bins: int, low: float, high: float) -> Tensor:
    """x: any shape → (bins,): the share of values in each bin."""
    parts = x.clamp(low, high).flatten().split(2**24)  # so far float32 can count
    return sum(torch.histc(part, bins, low, high) for part in parts) / x.numel()
