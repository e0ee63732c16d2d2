"""What every layer's activations and gradients look like, step by step: the course's measuring instrument."""

from collections.abc import Iterable
from html import escape
from itertools import groupby

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["ActivationStats", "Summary"]

MOMENTS = ("mean", "std", "spread", "dead")
BLOCK = 16  # steps whose samples are reduced together: sixteen small reductions cost about as much as one
IMAGES = 32  # of a batch, at most, in a sample


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
        sample: about how many values of each layer to look at, a strided choice of images and positions in every
            channel, so that recording costs next to nothing; None for every value. (A spread over n images instead
            of all comes out low by about 1/(2n).)
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
        dead: the share of channels that have one and the same value, or NaN, for every image and position (in a sample:
            for every one that was looked at, so an upper bound).
        gradient_norm: the Euclidean norm of ∂loss/∂output; NaN where there was no backward pass.
        histogram: the share of values in each bin, shape (steps, layers, bins).
        bin_edges: shape (bins + 1,).

    Raises:
        ValueError: no such layer, no layer at all, or a number that makes no sense.
        TypeError: a layer returns something other than a tensor of at least two dimensions.

    After the instruments of fast.ai's course (hooks, `ActivationStats`, the "colorful dimension"); `spread` and the
    block-wise sampling are this course's own.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Iterable[nn.Module | str] | type | tuple[type, ...] | None = None,
        *,
        sample: int | None = 4096,
        histogram: bool = True,
        every: int = 1,
        bins: int = 40,
        bin_range: tuple[float, float] = (-4.0, 4.0),
    ):
        if every < 1 or bins < 1 or not bin_range[0] < bin_range[1] or (sample is not None and sample < 1):
            raise ValueError(
                "every, bins and sample must be at least 1 and bin_range must rise; "
                f"given: every={every}, bins={bins}, sample={sample}, bin_range={bin_range}"
            )
        self.model = model
        self.names, self._layers = _select(model, layers)
        self._sample, self._every, self._with_histogram = sample, every, histogram
        self.bin_edges = np.linspace(*bin_range, bins + 1)
        self._hooks, self._steps_seen, self._recording = [], 0, False
        self._steps: list[int] = []
        self._rows: list[np.ndarray] = []  # a step: (layers, 5), the moments and the gradient norm
        self._histograms: list[np.ndarray] = []  # a step: (layers, bins)
        self._last_run: dict[int, tuple[int, int]] = {}  # layer → (row, how often it has run in that step)
        self._pending: list[tuple[int, int, int, Tensor]] = []  # (kind, layer, row, values) not reduced yet

    # --- recording

    def __enter__(self) -> "ActivationStats":
        if self._hooks:
            raise RuntimeError("this ActivationStats is already recording; end its `with` block first")
        self._hooks = [self.model.register_forward_pre_hook(self._begin_step)]
        for i, layer in enumerate(self._layers):
            self._hooks.append(layer.register_forward_hook(lambda module, args, out, i=i: self._record(i, out)))
        return self

    def __exit__(self, *exception) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._recording = [], False
        self._reduce_pending()

    def _begin_step(self, model: nn.Module, args: tuple) -> None:
        self._recording = model.training and self._steps_seen % self._every == 0
        if self._recording:
            if len(self._steps) % BLOCK == 0:
                self._reduce_pending()
            self._steps.append(self._steps_seen)
            self._rows.append(np.full((len(self.names), len(MOMENTS) + 1), np.nan))
            if self._with_histogram:
                self._histograms.append(np.full((len(self.names), len(self.bin_edges) - 1), np.nan, np.float32))
        self._steps_seen += model.training

    def _record(self, layer: int, output: Tensor) -> None:
        if not self._recording:
            return
        if not isinstance(output, Tensor) or output.ndim < 2:
            raise TypeError(f"layer {self.names[layer]!r} must return a tensor (N, C, ...); it returned {type(output)}")
        row = len(self._rows) - 1
        before = self._last_run.get(layer, (row, 0))
        this_run = self._last_run[layer] = (row, before[1] + 1 if before[0] == row else 1)
        self._keep(0, layer, row, output.detach())

        def keep_gradient(gradient: Tensor) -> None:
            superseded = self._last_run[layer][0] == row and self._last_run[layer] != this_run
            if not superseded:  # a layer that runs twice gets its gradients in reverse order
                self._keep(1, layer, row, gradient.detach())

        if output.requires_grad:
            output.register_hook(keep_gradient)

    def _keep(self, kind: int, layer: int, row: int, values: Tensor) -> None:
        """Remember an activation (kind 0) or a gradient (kind 1): a copy of a sample, or, of everything, the result."""
        if self._sample is None:
            self._reduce(kind, layer, [row], values[None])
        elif kind == 0:
            self._pending.append((kind, layer, row, _strided_sample(values, self._sample).clone()))
        else:
            scale = (values.numel() / _strided_sample(values, self._sample).numel()) ** 0.5
            self._pending.append((kind, layer, row, _strided_sample(values, self._sample) * scale))

    def _reduce_pending(self) -> None:
        """Reduce what was kept, all steps of a layer at once; a last, smaller batch makes a group of its own."""
        pending, self._pending = sorted(self._pending, key=lambda item: item[:3]), []
        for (kind, layer, _), group in groupby(pending, key=lambda item: (*item[:2], item[3].shape)):
            items = list(group)
            self._reduce(kind, layer, [row for _, _, row, _ in items], torch.stack([values for *_, values in items]))

    def _reduce(self, kind: int, layer: int, rows: list[int], values: Tensor) -> None:
        """values: (steps, N, C, ...) → the numbers of these rows."""
        values = values if values.dtype == torch.float64 else values.float()
        if kind == 1:
            values, scale = _scaled(values)
            norms = torch.linalg.vector_norm(values.flatten(1), dim=1).double().cpu() * scale
            for row, norm in zip(rows, norms.tolist(), strict=True):
                self._rows[row][layer, -1] = norm
            return
        for row, moments in zip(rows, _moments(values).numpy(), strict=True):
            self._rows[row][layer, :-1] = moments
        if self._with_histogram:
            shares = _histogram(values, len(self.bin_edges) - 1, self.bin_edges[0], self.bin_edges[-1])
            for row, share in zip(rows, shares.cpu().numpy(), strict=True):
                self._histograms[row][layer] = share

    # --- results

    @property
    def steps(self) -> np.ndarray:
        return np.array(self._steps, dtype=int)

    @property
    def histogram(self) -> np.ndarray:
        if not self._with_histogram:
            raise ValueError("no histogram was recorded: pass histogram=True")
        self._reduce_pending()
        return (
            np.stack(self._histograms) if self._histograms else np.empty((0, len(self.names), len(self.bin_edges) - 1))
        )

    mean = property(lambda self: self._column(0))
    std = property(lambda self: self._column(1))
    spread = property(lambda self: self._column(2))
    dead = property(lambda self: self._column(3))
    gradient_norm = property(lambda self: self._column(4))

    def _column(self, k: int) -> np.ndarray:
        self._reduce_pending()
        return np.stack(self._rows)[:, :, k] if self._rows else np.empty((0, len(self.names)))

    def summary(self, step: int = -1) -> "Summary":
        """A table of one recorded step, a row a layer; the last step by default.

        Raises:
            ValueError: nothing was recorded, or not that many steps.
        """
        if not -len(self._steps) <= step < len(self._steps):
            raise ValueError(f"step {step} is not there: {len(self._steps)} steps were recorded")
        numbers = np.stack([self.mean, self.std, self.spread, self.dead, self.gradient_norm], axis=2)[step]
        return Summary(f"step {self._steps[step]}", self.names, numbers)


class Summary:
    """A small table that shows itself as text in a terminal and as HTML in a notebook."""

    HEADER = ("layer", "mean", "std", "spread across images", "dead channels", "gradient norm")

    def __init__(self, title: str, names: list[str], numbers: np.ndarray):
        self.title = title
        self.rows = [
            (name, *(f"{v:.3g}" for v in row[:3]), f"{row[3]:.0%}" if np.isfinite(row[3]) else "nan", f"{row[4]:.3g}")
            for name, row in zip(names, numbers, strict=True)
        ]

    def __repr__(self) -> str:
        table = [self.HEADER, *self.rows]
        widths = [max(len(row[k]) for row in table) for k in range(len(self.HEADER))]
        lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in table]
        return "\n".join([self.title, *lines])

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in self.HEADER)
        body = "".join(
            f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{cell}</td>" for cell in row[1:]) + "</tr>"
            for row in self.rows
        )
        caption = f"<caption>{escape(self.title)}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _select(model: nn.Module, layers) -> tuple[list[str], list[nn.Module]]:
    """The names and modules that `layers` means, in the model's own order for types, else in the order given."""
    named = dict(model.named_modules())
    if layers is None:
        chosen = {
            name: module
            for name, module in named.items()
            if next(module.children(), None) is None and next(module.parameters(), None) is not None
        }
    elif isinstance(layers, type | tuple):
        if isinstance(layers, tuple) and not all(isinstance(kind, type) for kind in layers):
            return _select(model, list(layers))
        chosen = {name: module for name, module in named.items() if isinstance(module, layers)}
    else:
        names = {module: name for name, module in named.items()}
        chosen = {}
        for layer in [layers] if isinstance(layers, str) else layers:
            name = layer if isinstance(layer, str) else names.get(layer)
            if name not in named:
                raise ValueError(f"the model has no layer {layer!r}; it has: {', '.join(filter(None, named))}")
            chosen[name] = named[name]
    if not chosen:
        raise ValueError(f"no layer of {type(model).__name__} was chosen by layers={layers!r}")
    return list(chosen), list(chosen.values())


def _strided_sample(x: Tensor, size: int) -> Tensor:
    """At most about `size` values of x (N, C, ...): evenly spaced images, every channel, evenly spaced positions."""
    if x.numel() <= size:
        return x
    images = min(len(x), IMAGES, max(8, size // x.shape[1]))
    index: list[slice] = [_spaced(len(x), images), slice(None)]
    left, space = max(1, size // (images * x.shape[1])), x.shape[2:]
    for i, extent in enumerate(space):
        take = max(1, min(extent, round(left ** (1 / (len(space) - i)))))
        index.append(_spaced(extent, take))
        left = max(1, left // take)
    return x[tuple(index)]


def _spaced(extent: int, take: int) -> slice:
    """At most `take` evenly spaced places that reach over all of `extent`."""
    stride = -(-extent // take)
    return slice((extent - 1) % stride // 2, extent, stride)


def _scaled(x: Tensor) -> tuple[Tensor, Tensor]:
    """x: (S, ...) → x over its largest magnitude in each step, and those magnitudes (S,), float64 on the CPU.

    In a deep network values of 1e±23 do occur; their squares would leave float32.
    """
    largest = torch.linalg.vector_norm(x.flatten(1), ord=torch.inf, dim=1)
    largest = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)
    return x / largest.view(-1, *[1] * (x.ndim - 1)), largest.double().cpu()


def _moments(x: Tensor) -> Tensor:
    """x: (S, N, C, ...) → (S, 4), float64 on the CPU: mean, std, spread across images, share of constant channels."""
    channels = x.flatten(3) if x.ndim > 3 else x[..., None]  # (S, N, C, P)
    same = channels.amax((1, 3)) == channels.amin((1, 3))  # (S, C)
    dead = (same | channels.isnan().all(3).all(1)).float().mean(1)
    x, scale = _scaled(x)
    rows = x.flatten(1)  # (S, N·C·…)
    mean = rows.mean(1)
    std = (rows - mean[:, None]).square_().mean(1).sqrt()
    spread = (x - x.mean(1, keepdim=True)).square_().flatten(1).mean(1).sqrt()
    scaled = torch.stack([mean, std, spread], dim=1).double().cpu() * scale[:, None]
    return torch.cat([scaled, dead[:, None].double().cpu()], dim=1)


def _histogram(x: Tensor, bins: int, low: float, high: float) -> Tensor:
    """x: (S, ...) → (S, bins): the share of values in each bin; values that are not numbers are in none."""
    rows = x.flatten(1)
    index = ((rows - low) * (bins / (high - low))).nan_to_num(-1e9, 1e9, -1e9).clamp_(0, bins - 1).long()
    index += torch.arange(len(rows), device=x.device)[:, None] * bins
    counts = torch.bincount(index.flatten(), weights=(~rows.isnan()).flatten().double(), minlength=len(rows) * bins)
    return counts.view(len(rows), bins) / rows.shape[1]
