"""What every layer's activations and gradients look like, step by step: the course's measuring instrument."""

from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from html import escape

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["ActivationStats", "Summary"]

MOMENTS = ("mean", "std", "spread", "dead")
TOGETHER = 64  # samples that wait to be reduced at once, a megabyte by default: the calls cost more than the arithmetic
ROOMS = 64  # of samples that may wait, one for each shape: a bound for whoever gives every step another batch size
PATIENCE = 16  # steps until float32 is tried again on a layer for which it was not enough
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
        self._waiting: dict[tuple, _Samples] = {}  # (kind, shape, dtype, device) → what is to be reduced together
        self._not_before: dict[tuple[int, int], int] = {}  # (kind, layer) → the row from which float32 is tried again

    # --- recording

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
        self._reduce_all()

    def _begin_step(self, model: nn.Module, args: tuple) -> None:
        self._recording = model.training and self._steps_seen % self._every == 0
        if self._recording:
            self._steps.append(self._steps_seen)
        self._steps_seen += model.training

    def _record(self, layer: int, module: nn.Module, args: tuple, output: Tensor) -> None:
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
        # much as in a loop of its own: so as few as possible, and all that can wait waits for _reduce_all.
        if values.requires_grad:
            values = values.detach()
        if self._sample is None:
            if not self._reduce_at_once(kind, layer, row, values):
                self._reduce(kind, [(layer, row)], values[None])
            return
        samples = self._waiting.get((kind, values.shape, values.dtype, values.device))
        if samples is None:
            samples = self._make_room(kind, values)
        if samples.keep(layer, row, values):
            self._reduce_waiting(kind, samples)

    def _make_room(self, kind: int, values: Tensor) -> "_Samples":
        if len(self._waiting) == ROOMS:
            self._reduce_all()
        key = kind, values.shape, values.dtype, values.device
        samples = self._waiting[key] = _Samples(values, self._sample)
        return samples

    def _reduce_all(self) -> None:
        """Reduce what waits, and give its memory back."""
        for (kind, *_), samples in self._waiting.items():
            self._reduce_waiting(kind, samples)
        self._waiting = {}

    def _reduce_waiting(self, kind: int, samples: "_Samples") -> None:
        if samples.places:
            self._reduce(kind, samples.places, samples.values(), samples.factor if kind == 1 else 1.0)
            samples.places = []

    def _make_rows(self) -> None:
        """Room for the numbers of all steps there are: NaN until they are known."""
        for _ in range(len(self._steps) - len(self._rows)):
            self._rows.append(np.full((len(self.names), len(MOMENTS) + 1), np.nan))
            if self._with_histogram:
                self._histograms.append(np.full((len(self.names), len(self.bin_edges) - 1), np.nan, np.float32))

    def _reduce(self, kind: int, places: Sequence[tuple[int, int]], values: Tensor, factor: float = 1.0) -> None:
        """values: (S, N, C, ...) → the numbers at these S places (layer, row); a gradient's norm times the factor."""
        self._make_rows()
        values = values if values.dtype == torch.float64 else values.float()
        if kind == 1:
            for (layer, row), norm in zip(places, _norms(values), strict=True):
                self._rows[row][layer, -1] = norm * factor
            return
        for (layer, row), moments in zip(places, _moments(values).numpy(), strict=True):
            self._rows[row][layer, :-1] = moments
        if self._with_histogram:
            self._count(places, values)

    def _count(self, places: Sequence[tuple[int, int]], values: Tensor) -> None:
        """values: (S, N, C, ...), of which the moments are known → the histograms at these S places."""
        finite = all(np.isfinite(self._rows[row][layer, 0]) for layer, row in places)
        shares = _histogram(values, len(self.bin_edges) - 1, self.bin_edges[0], self.bin_edges[-1], finite)
        for (layer, row), share in zip(places, shares.numpy(), strict=True):
            self._histograms[row][layer] = share

    def _reduce_at_once(self, kind: int, layer: int, row: int, values: Tensor) -> bool:
        """The numbers of a large tensor of ordinary values, in few calls; False where float32 is not enough for that.

        Then it is not tried again for some steps: the next ones will hardly be another kind of values.
        """
        if values.dtype != torch.float32 or values.numel() < LARGE or not values.is_contiguous():
            return False
        if row < self._not_before.get((kind, layer), 0) or torch.is_autocast_enabled(values.device.type):
            return False  # autocast would round the sums
        numbers = _norm_in_one_pass(values) if kind == 1 else _moments_in_two_passes(values)
        if numbers is None:
            self._not_before[kind, layer] = row + PATIENCE
            return False
        self._make_rows()
        if kind == 1:
            self._rows[row][layer, -1] = numbers
            return True
        self._rows[row][layer, :-1] = numbers
        if self._with_histogram:
            self._count([(layer, row)], values[None])
        return True

    # --- results

    @property
    def steps(self) -> np.ndarray:
        return np.array(self._steps, dtype=int)

    @property
    def histogram(self) -> np.ndarray:
        if not self._with_histogram:
            raise ValueError("no histogram was recorded: pass histogram=True")
        self._reduce_all()
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
        self._reduce_all()
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


class _Samples:
    """Room for samples of tensors like `values`, made once: memory that is asked for between a network's own large
    tensors, and kept, makes it ask the system for new pages at each step, which takes longer than the sample."""

    def __init__(self, values: Tensor, size: int):
        self.indices = _indices(values.shape, size, values.device)
        self.shape = _strided_sample(torch.empty(values.shape, device="meta"), size).shape
        self.factor = (values.numel() / self.shape.numel()) ** 0.5  # a sample's norm times this is the whole's
        with torch.inference_mode(False):  # else what is made in that mode could not be written to outside it
            self.room = torch.empty(TOGETHER, self.shape.numel(), dtype=values.dtype, device=values.device)
        self.rows = self.room.unbind()
        self.places: list[tuple[int, int]] = []  # (layer, row) of each

    def keep(self, layer: int, row: int, values: Tensor) -> bool:
        """Whether the room is full now."""
        torch.take(values, self.indices, out=self.rows[len(self.places)])
        self.places.append((layer, row))
        return len(self.places) == TOGETHER

    def values(self) -> Tensor:
        return self.room[: len(self.places)].view(-1, *self.shape)


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
def _indices(shape: torch.Size, size: int, device: torch.device) -> Tensor:
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


def _ordinary(magnitudes: Tensor) -> bool:
    """Whether float32 can add up squares of such numbers; with denormal squares processors are slow besides."""
    return bool(((magnitudes > ORDINARY[0]) & (magnitudes < ORDINARY[1])).all())


def _norms(x: Tensor) -> list[float]:
    """x: (S, ...) → the Euclidean norm of each step."""
    norms = torch.linalg.vector_norm(x.flatten(1), dim=1)
    if x.dtype == torch.float64 or not _ordinary(norms):
        x, largest = _scaled(x)
        norms = torch.linalg.vector_norm(x.flatten(1), dim=1) * largest
    return norms.tolist()


def _norm_in_one_pass(x: Tensor) -> float | None:
    """x: float32 → its Euclidean norm; None where float32 has not the range for it."""
    norm = torch.linalg.vector_norm(x).item()
    return norm if ORDINARY[0] < norm / x.numel() ** 0.5 < ORDINARY[1] else None  # also NaN


def _moments(x: Tensor) -> Tensor:
    """x: (S, N, C, ...) → (S, 4), float64 on the CPU: mean, std, spread across images, share of constant channels."""
    x = x.flatten(3) if x.ndim > 3 else x[..., None]  # (S, N, C, P)
    low, high = _extremes(x)
    dead = _constant(x, low, high).double().mean(1).cpu()
    largest = torch.ones(len(x), dtype=torch.float64)
    if x.dtype == torch.float64 or not _ordinary(torch.maximum(high, -low).amax(1)):
        x, largest = _scaled(x)
    first = x[:, :1]
    x = x - first  # then squares can be added up in one pass, even if images differ in the last digits only
    square = torch.linalg.vector_norm(x.flatten(1), dim=1).cpu().double().square() / x[0].numel()
    across = x.mean(1).cpu().double()  # (S, C, P)
    spread = (square - across.square().mean((1, 2))).clamp_(min=0)
    units = across.add_(first[:, 0].cpu())
    mean = units.mean((1, 2))
    std = (spread + (units - mean[:, None, None]).square().mean((1, 2))).sqrt()
    return torch.stack([mean * largest, std * largest, spread.sqrt() * largest, dead], dim=1)


def _moments_in_two_passes(x: Tensor) -> tuple[float, float, float, float] | None:
    """x: (N, C, ...), float32 → as `_moments`, reading x twice; None where float32 has too few digits for it."""
    images = x.view(len(x), -1)
    norms = torch.linalg.vector_norm(images, dim=1)
    units = _weights(len(x), x.device) @ images  # (C·P,): each unit's mean
    norms, units = norms.cpu().double().numpy(), units.cpu().numpy()  # NumPy's calls cost less on what is this small
    square = float(norms @ norms) / x.numel()
    if not ORDINARY[0] ** 2 < square < ORDINARY[1] ** 2:  # also NaN
        return None
    exact = units.astype(np.float64)
    mean, between = float(exact.sum()) / exact.size, float(exact @ exact) / exact.size  # between: of squares
    spread = square - between
    if spread < 0.05 * square:
        return None
    # A channel of one value has one mean at all places: only those, few, have to be looked at.
    units = units.reshape(x.shape[1], -1)
    low, high = units.min(1), units.max(1)
    suspects = np.flatnonzero(high - low <= 1e-5 * np.abs(high))
    dead = 0.0
    if len(suspects):
        channels = x.view(1, len(x), len(units), -1)[:, :, suspects]
        dead = _constant(channels, *_extremes(channels)).sum().item() / len(units)
    return mean, max(0.0, square - mean**2) ** 0.5, spread**0.5, dead


@lru_cache(maxsize=16)
def _weights(images: int, device: torch.device) -> Tensor:
    return torch.full((images,), 1 / images, device=device)


def _extremes(x: Tensor) -> tuple[Tensor, Tensor]:
    """x: (S, N, C, P) → (S, C) and (S, C): each channel's least and greatest value."""
    return x.amin(1).amin(2), x.amax(1).amax(2)  # one dimension after the other: ten times as fast as both at once


def _constant(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """x: (S, N, C, P), with its extremes → (S, C): which channels have one value only, or nothing but NaN."""
    constant = low == high
    return constant | x.isnan().all(1).all(2) if high.isnan().any() else constant


def _histogram(x: Tensor, bins: int, low: float, high: float, finite: bool) -> Tensor:
    """x: (S, ...) → (S, bins): the share of values in each bin; values that are not numbers are in none."""
    rows = x.flatten(1)
    if not finite:  # there is a NaN, or an infinity
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
