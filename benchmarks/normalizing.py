"""Batch normalization forward and backward: ours, PyTorch's, compiled, and the formulas of published layers."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.measure import Row, ratios, seconds, skipped
from utils.layers import BatchNorm2d
from utils.layers.collapsed import FastBatchNorm2d

__all__ = ["EXHIBITS", "Exhibit", "OnePass", "compiled", "eager", "exhibits"]

SHAPES = ((128, 64, 32, 32), (128, 256, 8, 8), (32, 512, 4, 4))
TINY = ((4, 3, 4, 4),)
DIMS = (0, 2, 3)
WHY_SMALL = (
    "Counted at (32, 512, 4, 4): 89 calls forward and backward, views included, where `nn.BatchNorm2d` makes seven. "
    "Thirteen of them are shared out to two threads; each waits for both. It then takes 0.8 ms or 1.7, for tens of "
    "seconds each, with nothing else to do on this machine: as if its two cores lay now near each other, now far. In "
    "one thread there is no such thing: see below."
)
WHY_COMPILED = (
    "Read off the generated code: left to autograd, the compiled lines read or write the tensor 11 times, "
    "`nn.BatchNorm2d` 9 times. Of the two more, one is for a sum that is zero, dL/dmean's part that comes through the "
    "variance, and one for a sum over dy by itself. The collapsed formula, compiled, needs neither: 8 times."
)


def _first(x: Tensor) -> tuple[Tensor, Tensor]:
    rows = x.transpose(0, 1).contiguous().view(x.shape[1], -1)
    return rows.mean(1).view(1, -1, 1, 1), rows.std(1).view(1, -1, 1, 1).square()


def _detached(x: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return x.mean(DIMS, keepdim=True), x.var(DIMS, keepdim=True)


def _deviations(x: Tensor) -> tuple[Tensor, Tensor]:
    mean = x.mean(DIMS, keepdim=True)
    return mean, ((x - mean) ** 2).mean(DIMS, keepdim=True)


def _difference(x: Tensor) -> tuple[Tensor, Tensor]:
    rows = x.view(*x.shape[:2], -1)
    mean, square = rows.mean((0, 2)), (rows**2).mean((0, 2))
    return mean.view(1, -1, 1, 1), (square - mean**2).view(1, -1, 1, 1)


def _var(x: Tensor, unbiased: bool) -> tuple[Tensor, Tensor]:
    return x.mean(DIMS, keepdim=True), x.var(DIMS, unbiased=unbiased, keepdim=True)


# How six published layers take their statistics, in our words; shared/ANCHORS: what is wrong with each.
EXHIBITS: dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]] = {
    "rows and their std (fast.ai 2018)": _first,
    "mean and var, detached (fast.ai 2019)": _detached,
    "mean, then squared deviations (d2l)": _deviations,
    "E[x²] - E[x]² (labml)": _difference,
    "mean and biased var (ARENA)": partial(_var, unbiased=False),
    "mean and unbiased var (makemore)": partial(_var, unbiased=True),
}


class Exhibit(nn.Module):
    """A layer that takes its statistics as one of them; the rest is the same for all."""

    def __init__(self, statistics: Callable[[Tensor], tuple[Tensor, Tensor]], channels: int):
        super().__init__()
        self.statistics = statistics
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("var", torch.ones(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        mean, var = self.statistics(x)
        with torch.no_grad():
            self.mean.lerp_(mean, 0.1)
            self.var.lerp_(var, 0.1)
        return (x - mean) / (var + 1e-5).sqrt() * self.weight + self.bias


class OnePass(torch.autograd.Function):
    """The collapsed gradient on E[x²] - E[x]², everything in one pass: fast, and wrong where the mean is large."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        rows, count = x.flatten(2), x.numel() // x.shape[1]
        mean = rows.sum((0, 2)) / count
        var = torch.linalg.vector_norm(rows, dim=2).square().sum(0) / count - mean.square()
        scale = (var.clamp(min=0) + 1e-5).rsqrt()
        ctx.save_for_backward(x, weight, mean, scale)
        factor = (weight * scale).view(-1, 1, 1)
        return torch.mul(x, factor).add_(bias.view(-1, 1, 1) - mean.view(-1, 1, 1) * factor)

    @staticmethod
    def backward(ctx, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight, mean, scale = ctx.saved_tensors
        count = x.numel() // x.shape[1]
        product = x * dy
        d_bias = dy.sum(DIMS)
        d_weight = (product.sum(DIMS) - mean * d_bias) * scale
        factor, along = weight * scale, -weight * scale * scale * d_weight / count
        shift = (-factor * d_bias / count - along * mean).view(-1, 1, 1)
        dx = torch.mul(x, along.view(-1, 1, 1), out=product).add_(shift).addcmul_(dy, factor.view(-1, 1, 1))
        return dx, d_weight, d_bias


class _OnePassLayer(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return OnePass.apply(x, self.weight, self.bias)


class _Pass:
    """Forward and backward through one layer, some times over: `times` so that it takes milliseconds."""

    def __init__(self, layer: nn.Module, x: Tensor, times: int):
        self.layer, self.x, self.times = layer.to(x.device, x.dtype), x.detach().clone().requires_grad_(), times
        self.dy = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(x)

    def __call__(self) -> None:
        for _ in range(self.times):
            self.x.grad = None
            self.layer.zero_grad()
            self.layer(self.x).backward(self.dy)
        if self.x.is_cuda:
            torch.cuda.synchronize()


def _times(layers: dict[str, nn.Module], shape: tuple[int, ...], repeats: int, device: str) -> dict[str, list[float]]:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
    times = max(1, int(2e6) // x.numel()) if repeats > 2 else 1
    if repeats > 2 and x.numel() < 4e6:
        repeats *= 3  # they take milliseconds, so other work on the machine shows
    return seconds({name: _Pass(layer, x, times) for name, layer in layers.items()}, repeats)


def _settings(quick: bool) -> tuple[tuple[tuple[int, ...], ...], int]:
    return (TINY, 2) if quick else (SHAPES, 15)


def eager(quick: bool = False, device: str = "cpu") -> list[Row]:
    """Our layers over `nn.BatchNorm2d`, and what a one-pass variance would gain and lose."""
    shapes, repeats = _settings(quick)
    rows = []
    for shape in shapes:
        c = shape[1]
        layers = {
            "nn": nn.BatchNorm2d(c),
            "teaching": BatchNorm2d(c),
            "collapsed": FastBatchNorm2d(c),
            "one pass": _OnePassLayer(c),
        }
        times = _times(layers, shape, repeats, device)
        for name, what, target, note in (
            ("teaching", "`utils.layers.BatchNorm2d`", None, "The teaching version is written to be read."),
            ("collapsed", "`utils.layers.collapsed.FastBatchNorm2d`", 1.5, ""),
            ("one pass", "E[x²] - E[x]², not shifted", None, "Fast and wrong: see the errors below."),
        ):
            rows.append(
                Row(
                    f"{what}, {shape}",
                    "`nn.BatchNorm2d`",
                    ratios(times[name], times["nn"]),
                    target,
                    note=note,
                    explanation=WHY_SMALL,
                )
            )
    if device == "cpu":
        rows.append(_in_one_thread(shapes[-1], repeats))
    return rows + _errors(shapes[-1], device)


def _in_one_thread(shape: tuple[int, ...], repeats: int) -> Row:
    """The smallest shape again, where threads cost more than they give."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        layers = {"nn": nn.BatchNorm2d(shape[1]), "collapsed": FastBatchNorm2d(shape[1])}
        times = _times(layers, shape, repeats, "cpu")
    finally:
        torch.set_num_threads(threads)
    what = f"`utils.layers.collapsed.FastBatchNorm2d`, {shape}, one thread"
    return Row(what, "`nn.BatchNorm2d`, one thread", ratios(times["collapsed"], times["nn"]))


def _errors(shape: tuple[int, ...], device: str) -> list[Row]:
    """The largest error of the output at a mean of 1,000 and a spread of 1, against float64."""
    x = (torch.randn(shape, generator=torch.Generator().manual_seed(0)) + 1000).to(device)
    with torch.no_grad():
        right = BatchNorm2d(shape[1]).double().to(device)(x.double())
        layers = {
            "nn.BatchNorm2d": nn.BatchNorm2d(shape[1]),
            "FastBatchNorm2d": FastBatchNorm2d(shape[1]),
            "one pass": _OnePassLayer(shape[1]),
        }
        errors = {name: (layer.to(device)(x) - right).abs().max().item() for name, layer in layers.items()}
    targets = {"FastBatchNorm2d": 1e-3}
    return [
        Row(
            f"{name}: largest error, mean 1,000, spread 1",
            "float64",
            (error,),
            targets.get(name),
            unit="(absolute)",
        )
        for name, error in errors.items()
    ]


def compiled(quick: bool = False, device: str = "cpu") -> list[Row]:
    """Our layers through `torch.compile` over `nn.BatchNorm2d`, eager."""
    shapes, repeats = _settings(quick)
    backend = "eager" if quick else "inductor"
    rows = []
    for shape in shapes:
        against = "`nn.BatchNorm2d`, eager"
        torch.compiler.reset()
        layers = {
            "nn": nn.BatchNorm2d(shape[1]),
            **{
                name: torch.compile(make(shape[1]), dynamic=False, backend=backend)
                for name, make in (("BatchNorm2d", BatchNorm2d), ("FastBatchNorm2d", FastBatchNorm2d))
            },
        }
        try:
            times = _times(layers, shape, repeats, device)
        except Exception as error:  # no compiler on this machine, most often
            why = f"torch.compile does not work here: {type(error).__name__}"
            rows.append(skipped(f"`torch.compile` of our layers, {shape}", against, why, 0.9))
            continue
        rows += [
            Row(f"`torch.compile` of our `{name}`, {shape}", against, ratios(times[name], times["nn"]), 0.9,
                explanation=WHY_COMPILED if name == "BatchNorm2d" else "")
            for name in ("BatchNorm2d", "FastBatchNorm2d")
        ]  # fmt: skip
    return rows


def exhibits(quick: bool = False, device: str = "cpu") -> list[Row]:
    """The formulas of published layers over ours."""
    shapes, repeats = _settings(quick)
    rows = []
    for shape in shapes:
        layers = {name: Exhibit(statistics, shape[1]) for name, statistics in EXHIBITS.items()}
        times = _times({"ours": FastBatchNorm2d(shape[1]), **layers}, shape, repeats, device)
        against = "`utils.layers.collapsed.FastBatchNorm2d`"
        rows += [
            Row(f"{name}, {shape}", against, ratios(times[name], times["ours"]), 1, at_least=True) for name in EXHIBITS
        ]
    return rows
