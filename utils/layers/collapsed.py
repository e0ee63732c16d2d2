"""Batch normalization whose whole gradient is one formula, computed piece by piece: our layer, nearly at full speed.

Autograd goes through `utils.layers.BatchNorm2d` line by line, and each line writes a tensor as large as the input into
fresh memory; that is what makes it slow. Here the lines are collapsed (notebook 06 derives the formula), and the work
is done in pieces that stay in the processor's cache, on memory that is there already. On a small tensor what counts is
the number of calls: where one can do the work of two, it does.
"""

import math

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from utils.layers import BatchNorm2d

__all__ = ["FastBatchNorm2d", "Normalize", "NormalizeLines"]

EVERY = 8  # of so many images one is looked at for a first guess of the mean
PIECE = 262_144  # values that each thread of a CPU works on at a time: a megabyte


class Normalize(torch.autograd.Function):
    """(x - mean) / √(var + eps) · weight + bias: `Normalize.apply(x, weight, bias, eps)` → output, mean, var.

    Args:
        x: floating point, shape (N, C, ...), more than one value a channel.
        weight, bias: γ and β, shape (C,), or both None.
        eps: added to the variance.

    Returns:
        The output, shaped as x; the mean (C,) and the biased variance (C,) of each channel, which have no gradient.

    E[x²] - E[x]² has no digits left where the mean is large, so both are taken of x - c, and c is the mean of every
    eighth image: with it the variance is at least (c - mean)²/8, and the difference loses one digit at most. With x̂
    the normalized x, n values a channel, and sums over a channel:

        ∂L/∂β = Σ dy        ∂L/∂γ = Σ dy·x̂        ∂L/∂x = γ/σ · (dy - (∂L/∂β + x̂ · ∂L/∂γ) / n)

    Ioffe & Szegedy (2015), section 3, the chain rule, collapsed.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float):
        plane = _Plane(x)
        rows, out = plane.rows(x), plane.empty_like(x)
        new = plane.rows(out)
        some = rows[::EVERY]
        near = plane.channel(some.sum(0)).div_(len(some) * plane.places)
        (centre,), sums, squares = plane.spread(near), None, None
        for (source,) in plane.pieces(rows):
            distance = torch.sub(source, centre, out=new[: len(source)])
            sums = plane.add_images(distance, sums)
            squares = plane.add_images(distance.mul_(distance), squares)
        rest = plane.channel(sums).div_(plane.count)
        var = plane.channel(squares).div_(plane.count).addcmul_(rest, rest, value=-1)
        scale = (var + eps).rsqrt_()
        factor = scale if weight is None else scale * weight
        shift = -rest * factor if weight is None else torch.addcmul(bias, rest, factor, value=-1)
        factors, shifts = plane.spread(factor, shift)
        for source, target in plane.pieces(rows, new):
            torch.addcmul(shifts, torch.sub(source, centre, out=target), factors, out=target)
        mean = near + rest
        ctx.eps = eps
        ctx.save_for_backward(x, weight, centre, rest, scale)
        ctx.mark_non_differentiable(mean, var)
        return out, mean, var

    @staticmethod
    def backward(ctx, dy: Tensor, *_):
        x, weight, centre, rest, scale = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody wants to differentiate this once more
            mean = x.mean(_layout(x)[0], keepdim=True)
            scale = ((x - mean).square().mean(_layout(x)[0]) + ctx.eps).rsqrt()
            return *_gradients(x, weight, dy, mean, scale), None
        plane = _Plane(x)
        rows, slopes, dx = plane.rows(x), plane.rows(plane.like(dy)), plane.empty_like(x)
        new = plane.rows(dx)
        products = None
        for source, slope in plane.pieces(rows, slopes):
            distance = torch.sub(source, centre, out=new[: len(source)])
            products = plane.add_images(distance.mul_(slope), products)
        d_bias = plane.channel(plane.add_images(slopes))
        d_weight = plane.channel(products).addcmul_(rest, d_bias, value=-1).mul_(scale)

        factor = scale if weight is None else scale * weight
        along = (factor * scale).mul_(d_weight).div_(-plane.count)  # times x - mean, which is x - near - rest
        shift = (rest * along).addcmul_(factor, d_bias, value=1 / plane.count).neg_()
        factors, alongs, shifts = plane.spread(factor, along, shift)
        for source, slope, target in plane.pieces(rows, slopes, new):
            torch.sub(source, centre, out=target)
            torch.addcmul(shifts, target, alongs, out=target).addcmul_(slope, factors)
        return (dx, None, None, None) if weight is None else (dx, d_weight, d_bias, None)


class NormalizeLines(torch.autograd.Function):
    """`Normalize` in plain lines: the same arguments, results and formulas, for `torch.compile`.

    A compiler makes pieces and loops by itself, but not the one formula: left to autograd, `BatchNorm2d` reads the
    input twice more on the way back, once for a sum that is zero. It can be differentiated once only, and says so.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float):
        dims, column = _layout(x)
        near = x[::EVERY].mean(dims, keepdim=True)
        distance = x - near
        rest = distance.mean(dims)
        var = distance.square().mean(dims) - rest.square()
        scale = (var + eps).rsqrt()
        factor = scale if weight is None else scale * weight
        shift = -rest * factor if bias is None else bias - rest * factor
        mean = near + rest.view(column)
        ctx.save_for_backward(x, weight, mean, scale)
        flat = mean.flatten()
        ctx.mark_non_differentiable(flat, var)
        return distance * factor.view(column) + shift.view(column), flat, var

    @staticmethod
    @once_differentiable  # mean and scale are constants here, which they are not for a second derivative
    def backward(ctx, dy: Tensor, *_):
        x, weight, mean, scale = ctx.saved_tensors
        return *_gradients(x, weight, dy, mean, scale), None


class FastBatchNorm2d(BatchNorm2d):
    """`BatchNorm2d` with `Normalize` in the place of its lines: the same results, two to six times as fast.

    It starts many small operations: with more threads than free cores, each waits, and it is slower than `BatchNorm2d`.

    Inside `torch.compile` it is `NormalizeLines`. In evaluation, in an export and for memory formats other than
    contiguous and channels_last it is `BatchNorm2d`.

    Args, shape, errors: as `BatchNorm2d`.

    Ioffe & Szegedy (2015), algorithms 1 and 2; for the moving averages, PyTorch's conventions.
    """

    def forward(self, x: Tensor) -> Tensor:
        compiling = torch.compiler.is_compiling()
        fits = x.ndim >= 2 and x.shape[1] == self.num_features and x.is_floating_point()
        enough = x.numel() > max(1, self.num_features)
        by_batch = self.training or self.running_mean is None
        if not (by_batch and fits and enough and (compiling or _in_order(x))) or torch.compiler.is_exporting():
            return super().forward(x)
        values = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        weight, bias = (None if p is None else p.to(values.dtype) for p in (self.weight, self.bias))
        with torch.autocast(x.device.type, enabled=False):  # which would round the sums
            normalize = NormalizeLines if compiling else Normalize
            out, mean, var = normalize.apply(values, weight, bias, self.eps)
        if self.training and self.running_mean is not None:
            count = x.numel() // self.num_features
            self._update_running(mean, var * (count / (count - 1)))
        return out.to(x.dtype)


class _Plane:
    """x (N, C, ...) as a matrix, a row an image, in the order of its memory; and the channels' numbers in that order.

    So every operation runs along whole rows, and a sum over images is one product of a vector and a matrix. Until the
    result is written, the place of its first piece is where the pieces are worked on: that asks for no more memory.
    """

    def __init__(self, x: Tensor):
        self.images, self.channels = x.shape[:2]
        self.places = math.prod(x.shape[2:])
        self.count = self.images * self.places
        self.last = not x.is_contiguous()  # channels last
        self.threads = torch.get_num_threads() if x.device.type == "cpu" else 1
        together = PIECE * self.threads if x.device.type == "cpu" else x.numel()
        self.piece = max(1, together // (self.channels * self.places))
        self.whole = self.piece >= self.images  # one piece is all of it
        self.ones = None if self.whole else x.new_ones(self.images)

    def like(self, y: Tensor) -> Tensor:
        return y.contiguous(memory_format=torch.channels_last if self.last else torch.contiguous_format)

    def empty_like(self, x: Tensor) -> Tensor:
        return torch.empty_like(x, memory_format=torch.channels_last if self.last else torch.contiguous_format)

    def rows(self, x: Tensor) -> Tensor:
        """(N, C·P), or (N, P·C) for channels last; nothing is copied."""
        return (x.permute(0, 2, 3, 1) if self.last else x).view(self.images, -1)

    def pieces(self, *matrices: Tensor):
        if self.whole:
            return [matrices]
        return zip(*(matrix.split(self.piece) for matrix in matrices), strict=True)

    def spread(self, *channels: Tensor) -> tuple[Tensor, ...]:
        """Each (C,) → (C·P,): the channel's number at each of its places."""
        table = torch.stack(channels)
        table = (
            table[:, None].expand(-1, self.places, -1) if self.last else table[..., None].expand(-1, -1, self.places)
        )
        return table.reshape(len(channels), -1).unbind()

    def channel(self, row: Tensor) -> Tensor:
        """(C·P,) → (C,): the sum over a channel's places."""
        return row.view(-1, self.channels).sum(0) if self.last else row.view(self.channels, -1).sum(1)

    def add_images(self, rows: Tensor, to: Tensor | None = None) -> Tensor:
        """(n, C·P) → (C·P,): the sum over images, added in place to what there is."""
        if self.threads > 1 and len(rows) % self.threads == 0:
            # A thread adds up the images that it has just written: from another core's cache they take longer.
            rows = rows.view(self.threads, -1, rows.shape[1]).sum(1)
        elif to is not None or len(rows) > self.piece:
            ones = self.ones[: len(rows)]
            return ones @ rows if to is None else to.addmv_(rows.t(), ones)
        total = rows.sum(0)
        return total if to is None else to.add_(total)


def _in_order(x: Tensor) -> bool:
    return x.is_contiguous() or (x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last))


def _layout(x: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """All dimensions but the channels', and the shape in which a number a channel is broadcast."""
    return (0, *range(2, x.ndim)), (-1, *[1] * (x.ndim - 2))


def _gradients(
    x: Tensor, weight: Tensor | None, dy: Tensor, mean: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The formula of `Normalize` in operations that autograd can go through; mean (1, C, 1, 1), scale (C,)."""
    dims, column = _layout(x)
    count = x.numel() // x.shape[1]
    normalized = (x - mean) * scale.view(column)
    d_weight, d_bias = (dy * normalized).sum(dims), dy.sum(dims)
    factor = scale if weight is None else scale * weight
    dx = factor.view(column) * (dy - (d_bias.view(column) + normalized * d_weight.view(column)) / count)
    return (dx, None, None) if weight is None else (dx, d_weight, d_bias)
