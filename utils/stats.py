"""What every layer's activations and gradients look like, step by step: the course's measuring instrument."""

from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from html import escape
from itertools import groupby

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["ActivationStats", "Summary"]

MOMENTS = ("mean", "std", "spread", "dead")
BLOCK = 16  # steps whose samples are reduced together: sixteen small reductions cost about as much as one
IMAGES = 32  # of a batch, at most, in a sample
LARGE = 16_384  # values: from here on sums in float32 are worth their checks
ORDINARY = (1e-12, 1e12)  # magnitudes whose squares float32 can add up
CHUNK = 65_536  # values that are sorted into bins at a time: they stay in the processor's cache


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
        self._pending: list[tuple[int, int, int, float, Tensor]] = []  # (kind, layer, row, factor, values): to reduce

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
        self._steps_seen += model.training

    def _record(self, layer: int, output: Tensor) -> None:
        if not self._recording:
            return
        if not isinstance(output, Tensor) or output.ndim < 2:
            raise TypeError(f"layer {self.names[layer]!r} must return a tensor (N, C, ...); it returned {type(output)}")
        row = len(self._steps) - 1
        last_row, runs = self._last_run.get(layer, (row, 0))
        this_run = self._last_run[layer] = (row, runs + 1 if last_row == row else 1)
        self._keep(0, layer, row, output)
        if output.requires_grad:
            output.register_hook(partial(self._record_gradient, layer, this_run))

    def _record_gradient(self, layer: int, run: tuple[int, int], gradient: Tensor) -> None:
        last = self._last_run[layer]
        if last == run or last[0] != run[0]:  # a layer that runs twice gets its gradients in reverse order
            self._keep(1, layer, run[0], gradient)

    def _keep(self, kind: int, layer: int, row: int, values: Tensor) -> None:
        """Remember an activation (kind 0) or a gradient (kind 1): a copy of a sample, or, of everything, the result."""
        # Between a network's large operations each call here finds the processor's caches cold, and costs ten times as
        # much as in a loop of its own: so as few as possible, and all that can wait waits for _reduce_pending.
        if values.requires_grad:
            values = values.detach()
        if self._sample is None:
            self._reduce(kind, layer, [row], values[None])
        else:
            sample = values.take(_places(values.shape, self._sample, values.device))
            self._pending.append((kind, layer, row, values.shape, sample))

    def _reduce_pending(self) -> None:
        """Reduce what was kept, all steps of a layer at once; a last, smaller batch makes a group of its own."""
        pending, self._pending = sorted(self._pending, key=lambda item: item[:3]), []
        for (kind, layer, shape), group in groupby(pending, key=lambda item: (*item[:2], item[3])):
            items = list(group)
            values = torch.stack([values for *_, values in items])
            factor = (shape.numel() / values.shape[1]) ** 0.5 if kind == 1 else 1.0
            values = values.view(-1, *_strided_sample(torch.empty(shape, device="meta"), self._sample).shape)
            self._reduce(kind, layer, [row for _, _, row, *_ in items], values, factor)

    def _make_rows(self) -> None:
        """Room for the numbers of all steps there are: NaN until they are known."""
        for _ in range(len(self._steps) - len(self._rows)):
            self._rows.append(np.full((len(self.names), len(MOMENTS) + 1), np.nan))
            if self._with_histogram:
                self._histograms.append(np.full((len(self.names), len(self.bin_edges) - 1), np.nan, np.float32))

    def _reduce(self, kind: int, layer: int, rows: Sequence[int], values: Tensor, factor: float = 1.0) -> None:
        """values: (steps, N, C, ...) → the numbers of these rows; a gradient's norm times the factor."""
        self._make_rows()
        values = values if values.dtype == torch.float64 else values.float()
        if kind == 1:
            for row, norm in zip(rows, _norms(values), strict=True):
                self._rows[row][layer, -1] = norm * factor
            return
        for row, moments in zip(rows, _moments(values).numpy(), strict=True):
            self._rows[row][layer, :-1] = moments
        if self._with_histogram:
            shares = _histogram(values, len(self.bin_edges) - 1, self.bin_edges[0], self.bin_edges[-1])
            for row, share in zip(rows, shares.numpy(), strict=True):
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
        self._make_rows()
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
        self._make_rows()
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


@lru_cache(maxsize=256)  # a layer's outputs have the same shape at each step
def _places(shape: torch.Size, size: int, device: torch.device) -> Tensor:
    """Where in a tensor of this shape the values of its sample stand: for `take`."""
    return _strided_sample(torch.arange(shape.numel()).view(shape), size).flatten().to(device)


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
    """x: (S, ...) → float64 values on the CPU whose squares stay in range, and (S,) what they were divided by.

    In a deep network values of 1e±23 do occur, and their squares leave float32. They do not leave float64; there, the
    values are divided by the largest magnitude of their step.
    """
    if x.dtype != torch.float64:
        return x.cpu().double(), torch.ones(len(x), dtype=torch.float64)
    x = x.cpu()
    rows = x.flatten(1)
    largest = torch.maximum(rows.amax(1), -rows.amin(1))
    largest = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)
    return x / largest.view(-1, *[1] * (x.ndim - 1)), largest


def _ordinary(x: Tensor) -> bool:
    """Whether x is so large a tensor, of such magnitudes, that its squares may be added up in float32.

    A look at about a thousand values is enough for that: what is larger still shows in the sum. It is also what keeps
    squares from being denormal numbers, with which processors are a hundred times as slow.
    """
    if x.dtype != torch.float32 or x.numel() < LARGE or not x.is_contiguous():
        return False
    few = x.view(-1)[:: max(1, x.numel() // 1024)]
    return ORDINARY[0] < torch.linalg.vector_norm(few, torch.inf).item() < ORDINARY[1]


def _norms(x: Tensor) -> list[float]:
    """x: (S, ...) → the Euclidean norm of each step."""
    if len(x) == 1 and _ordinary(x):
        norm = torch.linalg.vector_norm(x).item()
        if norm < ORDINARY[1]:  # neither infinite nor NaN
            return [norm]
    x, largest = _scaled(x)
    return (torch.linalg.vector_norm(x.flatten(1), dim=1) * largest).tolist()


def _moments(x: Tensor) -> Tensor:
    """x: (S, N, C, ...) → (S, 4), float64 on the CPU: mean, std, spread across images, share of constant channels."""
    x = x.flatten(3) if x.ndim > 3 else x[..., None]  # (S, N, C, P)
    if len(x) == 1 and _ordinary(x) and (moments := _moments_in_one_pass(x[0])) is not None:
        return moments
    dead = _constant(x).double().mean(1).cpu()
    x, largest = _scaled(x)
    first = x[:, :1]
    x = x - first  # then squares can be added up in one pass, even if images differ in the last digits only
    across = x.mean(1)  # (S, C, P)
    spread = (x.square().mean((1, 2, 3)) - across.square().mean((1, 2))).clamp_(min=0)
    units = across + first[:, 0]
    mean = units.mean((1, 2))
    std = (spread + (units - mean[:, None, None]).square().mean((1, 2))).sqrt()
    return torch.stack([mean * largest, std * largest, spread.sqrt() * largest, dead], dim=1)


def _moments_in_one_pass(x: Tensor) -> Tensor | None:
    """x: (N, C, P), float32 → (1, 4) as `_moments`, reading x twice; None where float32 has too few digits for it."""
    images = x.flatten(1)
    units = (x.new_full((len(x),), 1 / len(x)) @ images).view(x.shape[1:])  # (C, P): each unit's mean
    norms = torch.linalg.vector_norm(images, dim=1)
    square = torch.dot(norms, norms).item() / x.numel()
    between, mean = (number.item() for number in torch.var_mean(units.cpu().double(), correction=0))
    spread = square - between - mean**2
    if not 0.05 * square < spread < ORDINARY[1] ** 2:  # also NaN
        return None
    # A channel of one value has one mean at all places: only those, few, have to be looked at.
    low, high = torch.aminmax(units, dim=1)
    suspects = (high - low <= 1e-5 * high.abs()).nonzero()[:, 0]
    dead = _constant(x[None, :, suspects]).sum().item() / x.shape[1] if len(suspects) else 0.0
    return torch.tensor([[mean, (spread + between) ** 0.5, spread**0.5, dead]], dtype=torch.float64)


def _constant(x: Tensor) -> Tensor:
    """x: (S, N, C, P) → (S, C): which channels have one value only, or nothing but NaN."""
    largest = x.amax(1).amax(2)  # one dimension after the other: ten times as fast as both at once
    constant = largest == x.amin(1).amin(2)
    return constant | x.isnan().all(1).all(2) if largest.isnan().any() else constant


def _histogram(x: Tensor, bins: int, low: float, high: float) -> Tensor:
    """x: (S, ...) → (S, bins): the share of values in each bin; values that are not numbers are in none."""
    rows = x.flatten(1)
    if not rows.sum().isfinite():  # there is a NaN, or an infinity
        index = ((rows - low) * (bins / (high - low))).nan_to_num(-1e9, 1e9, -1e9).clamp_(0, bins - 1).long()
        index += torch.arange(len(rows), device=x.device)[:, None] * bins
        counts = torch.bincount(index.flatten(), weights=(~rows.isnan()).flatten().double(), minlength=len(rows) * bins)
    elif len(rows) == 1 and rows.numel() % 2 == 0 and bins < 128:
        counts = _counts_of_pairs(rows[0], bins, low, high)
    else:
        index = (rows - low).mul_(bins / (high - low)).clamp_(0, bins - 1).int()
        index += torch.arange(len(rows), device=x.device, dtype=torch.int32)[:, None] * bins
        counts = torch.bincount(index.flatten(), minlength=len(rows) * bins)
    return counts.view(len(rows), bins).cpu().double() / rows.shape[1]


def _counts_of_pairs(x: Tensor, bins: int, low: float, high: float) -> Tensor:
    """x: (values,), an even number → (bins,): how many there are in each bin, counted two at a time."""
    index = torch.empty(x.numel(), dtype=torch.uint8, device=x.device)
    for part, target in zip(x.split(CHUNK), index.split(CHUNK), strict=True):
        target.copy_((part - low).mul_(bins / (high - low)).clamp_(0, bins - 1))
    pairs = torch.bincount(index.view(torch.int16), minlength=128 * 256).view(128, 256)
    return pairs.sum(0)[:bins] + pairs.sum(1)[:bins]
