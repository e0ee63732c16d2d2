"""Normalization layers that are all correct, each written in its own way.

`VARIANTS` lists them: `make` takes the number of channels, `options` holds what cannot be seen from outside,
`why` says what is unusual. A layer that declares other constants than PyTorch's keeps them in attributes.
"""
import contextlib
import functools
import math
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Callable, NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize


class Variant(NamedTuple):
    name: str
    make: Callable[..., nn.Module]
    options: dict[str, Any]
    why: str


# ---------------------------------------------------------------------------------------------------- small helpers
def _wide(x):
    """Half precision is computed in float32, everything else as it comes."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _dims(x):
    return [d for d in range(x.dim()) if d != 1]


def _col(v, x):
    """A vector over channels, shaped to broadcast along axis 1 of x."""
    return v.view(1, -1, *[1] * (x.dim() - 2))


def _count(x, channels, training, axis=1):
    """Values per channel; refuses what the layer cannot normalize."""
    if not x.is_floating_point():
        raise TypeError(f"expected a floating-point input, got {x.dtype}")
    if x.dim() < 2 or x.shape[axis] != channels:
        raise ValueError(f"expected {channels} channels on axis {axis}, got an input of size {tuple(x.shape)}")
    n = x.numel() // channels
    if training and n < 2:
        raise ValueError(f"more than one value per channel is needed in training, got size {tuple(x.shape)}")
    return n


def _images(x):
    if x.dim() != 4:
        raise ValueError(f"expected a 4D input, got {x.dim()}D")


def _same_layout(y, x):
    """y, laid out in memory as x is (contiguous or channels last)."""
    last = x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    return y.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def _no_autocast(x):
    """Matrix products and convolutions must not fall to half precision inside a normalization."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if kind in ("cpu", "cuda") else contextlib.nullcontext()


def _script(thing):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(thing)


# ------------------------------------------------------------------------------------- stand-ins for nn.BatchNorm2d
class _Drop(nn.Module):
    """Names, options and checks of nn.BatchNorm2d; subclasses do the arithmetic in other ways."""

    _version = 2
    ndims = (4,)

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True,
                 device=None, dtype=None, *, bias=True):
        super().__init__()
        if eps <= 0:
            raise ValueError(f"eps must be positive, got {eps}")
        kw = {"device": device, "dtype": dtype}
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.register_parameter("weight", nn.Parameter(torch.empty(num_features, **kw)) if affine else None)
        self.register_parameter("bias", nn.Parameter(torch.empty(num_features, **kw)) if affine and bias else None)
        track = track_running_stats
        self.register_buffer("running_mean", torch.zeros(num_features, **kw) if track else None)
        self.register_buffer("running_var", torch.ones(num_features, **kw) if track else None)
        self.register_buffer("num_batches_tracked",
                             torch.tensor(0, dtype=torch.long, device=device) if track else None)
        self.reset_parameters()

    def reset_running_stats(self):
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self):
        self.reset_running_stats()
        if self.weight is not None:
            nn.init.ones_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def extra_repr(self):
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
                f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}")

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *rest):
        if (local_metadata.get("version") or 0) < 2 and self.track_running_stats:
            state_dict.setdefault(prefix + "num_batches_tracked", torch.tensor(0, dtype=torch.long))
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    def uses_batch(self):
        return self.training or self.running_mean is None

    def check(self, x):
        if x.dim() not in self.ndims:
            raise ValueError(f"expected {' or '.join(map(str, self.ndims))}D input (got {x.dim()}D input)")
        if x.shape[1] != self.num_features:
            raise RuntimeError(f"expected {self.num_features} channels, got {x.shape[1]}")
        if not x.is_floating_point():
            raise NotImplementedError(f"not implemented for {x.dtype}")
        n = x.numel() // self.num_features
        if n == 1 and self.uses_batch():
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {x.shape}")
        return n

    def factor(self):
        """Weight of the new batch in the running statistics; counts the batch."""
        self.num_batches_tracked.add_(1)
        if self.momentum is not None:
            return self.momentum
        return 1.0 / self.num_batches_tracked.to(_wide(self.running_mean).dtype)

    def stats(self, z):
        mean = z.mean(_dims(z))
        return mean, (z - _col(mean, z)).square().mean(_dims(z))

    def track(self, mean, var, f):
        self.running_mean.mul_(1 - f).add_(f * mean)
        self.running_var.mul_(1 - f).add_(f * var)

    def normalize(self, z, mean, var):
        return (z - _col(mean, z)) / torch.sqrt(_col(var, z) + self.eps)

    def gain(self, h):
        if self.weight is not None:
            h = h * _col(self.weight, h)
        return h if self.bias is None else h + _col(self.bias, h)

    def forward(self, x):
        n, z = self.check(x), _wide(x)
        mean, var = self.running_mean, self.running_var
        if not self.uses_batch():
            mean, var = _wide(mean), _wide(var)
        f = self.factor() if self.training and self.track_running_stats else None
        if self.uses_batch():
            mean, var = self.stats(z) if n else (z.new_zeros(self.num_features), z.new_ones(self.num_features))
            if f is not None and n:
                with torch.no_grad():
                    self.track(mean, var * (n / (n - 1)), f)
        return self.gain(self.normalize(z, mean, var)).to(x.dtype)


class TwoPass(_Drop):
    pass


class VarMean(_Drop):
    def stats(self, z):
        var, mean = torch.var_mean(z, _dims(z), correction=0)
        return mean, var


class StdSquared(_Drop):
    def stats(self, z):
        return z.mean(_dims(z)), z.std(_dims(z), correction=0).square()


class SumOverCount(_Drop):
    def stats(self, z):
        n = z.numel() / z.shape[1]
        mean = z.sum(_dims(z)) / n
        return mean, (z - _col(mean, z)).pow(2).sum(_dims(z)) / n


class Einsum(_Drop):
    def stats(self, z):
        n = z.numel() / z.shape[1]
        with _no_autocast(z):
            mean = torch.einsum("nchw->c", z) / n
            d = z - _col(mean, z)
            return mean, torch.einsum("nchw,nchw->c", d, d) / n


class MatrixProduct(_Drop):
    def stats(self, z):
        rows = z.transpose(0, 1).reshape(z.shape[1], -1)
        weights = rows.new_full((rows.shape[1],), 1 / rows.shape[1])
        with _no_autocast(z):
            mean = rows @ weights
            return mean, (rows - mean[:, None]).square() @ weights


class Rows(_Drop):
    def stats(self, z):
        rows = z.transpose(0, 1).reshape(z.shape[1], -1)
        mean = rows.mean(1)
        return mean, (rows - mean.unsqueeze(1)).square().mean(1)

    def normalize(self, z, mean, var):
        n, c, h, w = z.shape
        rows = z.transpose(0, 1).reshape(c, n * h * w)
        rows = (rows - mean[:, None]) * (var[:, None] + self.eps).pow(-0.5)
        return _same_layout(rows.view(c, n, h, w).transpose(0, 1), z)


class Permuted(_Drop):
    def stats(self, z):
        last = z.permute(0, 2, 3, 1)
        mean = last.mean((0, 1, 2))
        return mean, ((last - mean) ** 2).mean((0, 1, 2))

    def normalize(self, z, mean, var):
        last = (z.permute(0, 2, 3, 1) - mean) / (var + self.eps).sqrt()
        return _same_layout(last.permute(0, 3, 1, 2), z)


class Flattened(_Drop):
    def stats(self, z):
        flat = z.flatten(2)
        return flat.mean((0, 2)), flat.var((0, 2), correction=0)


class Welford(_Drop):
    def stats(self, z):
        mean, m2, seen = z.new_zeros(z.shape[1]), z.new_zeros(z.shape[1]), 0
        for sample in z.flatten(2).unbind(0):
            new = sample.mean(1)
            m2_new = (sample - new[:, None]).square().sum(1)
            k = sample.shape[1]
            delta = new - mean
            mean = mean + delta * (k / (seen + k))
            m2 = m2 + m2_new + delta.square() * (seen * k / (seen + k))
            seen += k
        return mean, m2 / seen


class TwoChunks(_Drop):
    def stats(self, z):
        parts = [p.flatten(1) for p in z.transpose(0, 1).chunk(2, dim=1)]
        n = sum(p.shape[1] for p in parts)
        mean = sum(p.sum(1) for p in parts) / n
        within = sum(p.var(1, correction=0) * (p.shape[1] / n) for p in parts)
        between = sum((p.mean(1) - mean).square() * (p.shape[1] / n) for p in parts)
        return mean, within + between


class CorrectedTwoPass(_Drop):
    def stats(self, z):
        rough = z.mean(_dims(z))
        d = z - _col(rough, z)
        rest = d.mean(_dims(z))
        return rough + rest, d.square().mean(_dims(z)) - rest.square()


class ShiftedMoments(_Drop):
    def stats(self, z):
        pivot = z.detach().mean(_dims(z))
        d = z - _col(pivot, z)
        first = d.mean(_dims(z))
        return pivot + first, (d * d).mean(_dims(z)) - first * first


class VectorDot(_Drop):
    def stats(self, z):
        rows = z.movedim(1, 0).flatten(1)
        mean = rows.mean(1)
        d = rows - mean[:, None]
        with _no_autocast(z):
            return mean, torch.linalg.vecdot(d, d) / rows.shape[1]


class Mse(_Drop):
    def stats(self, z):
        mean = z.mean(_dims(z))
        return mean, F.mse_loss(z, _col(mean, z).expand_as(z), reduction="none").mean(_dims(z))


class Rsqrt(_Drop):
    def normalize(self, z, mean, var):
        return (z - _col(mean, z)) * torch.rsqrt(_col(var, z) + self.eps)


class AddcmulGain(_Drop):
    def gain(self, h):
        if self.weight is None or self.bias is None:
            return super().gain(h)
        return torch.addcmul(_col(self.bias, h), h, _col(self.weight, h))


class AddcdivNormalize(_Drop):
    def normalize(self, z, mean, var):
        d = z - _col(mean, z)
        return torch.addcdiv(torch.zeros_like(d), d, (_col(var, z) + self.eps).sqrt().expand_as(d))


class Folded(_Drop):
    def forward(self, x):
        n, z = self.check(x), _wide(x)
        mean, var = self.running_mean, self.running_var
        if not self.uses_batch():
            mean, var = _wide(mean), _wide(var)
        f = self.factor() if self.training and self.track_running_stats else None
        if self.uses_batch():
            var, mean = torch.var_mean(z, (0, 2, 3), correction=0)
            if f is not None and n:
                with torch.no_grad():
                    self.track(mean, var * n / (n - 1), f)
        scale = torch.rsqrt(var + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        shift = -mean * scale
        if self.bias is not None:
            shift = shift + self.bias
        return (z * _col(scale, z) + _col(shift, z)).to(x.dtype)


class InPlaceOnCopy(_Drop):
    def normalize(self, z, mean, var):
        y = z.clone()
        y -= _col(mean, z)
        y /= (_col(var, z) + self.eps).sqrt()
        return y


class LerpTrack(_Drop):
    def track(self, mean, var, f):
        for old, new in ((self.running_mean, mean), (self.running_var, var)):
            old.lerp_(new.to(old.dtype), f.to(old.dtype) if torch.is_tensor(f) else f)


class CopyTrack(_Drop):
    def track(self, mean, var, f):
        self.running_mean.copy_((1 - f) * self.running_mean + f * mean)
        self.running_var.copy_((1 - f) * self.running_var + f * var)


class DataTrack(_Drop):
    def track(self, mean, var, f):
        self.running_mean.data += f * (mean.data - self.running_mean.data)
        self.running_var.data += f * (var.data - self.running_var.data)


class ForeachTrack(_Drop):
    def track(self, mean, var, f):
        running = [self.running_mean, self.running_var]
        torch._foreach_mul_(running, 1 - f)
        torch._foreach_add_(running, [(f * s).to(r.dtype) for s, r in zip((mean, var), running)])


class AsLayerNorm(_Drop):
    def normalize(self, z, mean, var):
        if not self.uses_batch():
            return super().normalize(z, mean, var)
        rows = z.transpose(0, 1).flatten(1)
        rows = F.layer_norm(rows, rows.shape[1:], eps=self.eps)
        return _same_layout(rows.view(z.transpose(0, 1).shape).transpose(0, 1), z)


class AsGroupNorm(_Drop):
    def normalize(self, z, mean, var):
        if not self.uses_batch() or not z.numel():
            return super().normalize(z, mean, var)
        swapped = z.transpose(0, 1)
        h = F.group_norm(swapped.reshape(1, z.shape[1], -1), z.shape[1], eps=self.eps)
        return _same_layout(h.view(swapped.shape).transpose(0, 1), z)


class AsInstanceNorm(_Drop):
    def normalize(self, z, mean, var):
        if not self.uses_batch() or not z.numel():
            return super().normalize(z, mean, var)
        swapped = z.transpose(0, 1)
        h = F.instance_norm(swapped.reshape(1, z.shape[1], -1), eps=self.eps)
        return _same_layout(h.view(swapped.shape).transpose(0, 1), z)


class Functional(_Drop):
    def forward(self, x):
        self.check(x)
        f = float(self.factor()) if self.training and self.track_running_stats else 0.0
        keep = not self.training or self.track_running_stats
        return F.batch_norm(x, self.running_mean if keep else None, self.running_var if keep else None,
                            self.weight, self.bias, self.uses_batch(), f, self.eps)


class TorchBatchNorm(_Drop):
    def forward(self, x):
        self.check(x)
        f = float(self.factor()) if self.training and self.track_running_stats else 0.0
        keep = not self.training or self.track_running_stats
        return torch.batch_norm(x, self.weight, self.bias, self.running_mean if keep else None,
                                self.running_var if keep else None, self.uses_batch(), f, self.eps,
                                torch.backends.cudnn.enabled)


class NativeBatchNorm(_Drop):
    def forward(self, x):
        self.check(x)
        f = float(self.factor()) if self.training and self.track_running_stats else 0.0
        keep = not self.training or self.track_running_stats
        if not x.numel():
            return self.gain(torch.zeros_like(x))
        y, _, _ = torch.native_batch_norm(x, self.weight, self.bias, self.running_mean if keep else None,
                                          self.running_var if keep else None, self.uses_batch(), f, self.eps)
        return y


class ScratchBuffers(_Drop):
    def forward(self, x):
        n = self.check(x)
        if not self.uses_batch():
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        if not (self.training and self.track_running_stats):
            return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)
        mean, var = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        y = F.batch_norm(x, mean, var, self.weight, self.bias, True, 1.0, self.eps)
        f = self.factor()
        if n:
            self.track(mean, var, f)
        return y


class CumulativeByDefault(_Drop):
    def __init__(self, num_features, eps=1e-5, momentum=None, *args, **kwargs):
        super().__init__(num_features, eps, momentum, *args, **kwargs)


class AnyRank(_Drop):
    ndims = (2, 3, 4, 5)

    def stats(self, z):
        var, mean = torch.var_mean(z, _dims(z), correction=0)
        return mean, var


class Features(_Drop):
    ndims = (2,)

    def stats(self, z):
        mean = z.mean(0)
        return mean, ((z - mean) ** 2).mean(0)

    def normalize(self, z, mean, var):
        return (z - mean) / (var + self.eps).sqrt()


class Volumes(_Drop):
    ndims = (5,)

    def stats(self, z):
        return z.mean((0, 2, 3, 4)), z.var((0, 2, 3, 4), unbiased=False)


class SubclassOwnForward(nn.BatchNorm2d):
    def forward(self, x):
        usual = (self.training and self.track_running_stats and self.bias is not None and x.dim() == 4
                 and x.dtype in (torch.float32, torch.float64) and x.dtype == self.running_mean.dtype
                 and x.shape[1] == self.num_features < x.numel())
        if not usual or self.eps <= 0:
            return super().forward(x)
        var, mean = torch.var_mean(x, (0, 2, 3), correction=0, keepdim=True)
        n = x.numel() // x.shape[1]
        with torch.no_grad():
            self.num_batches_tracked += 1
            f = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean += f * (mean.flatten() - self.running_mean)
            self.running_var += f * (var.flatten() * n / (n - 1) - self.running_var)
        return (x - mean) * torch.rsqrt(var + self.eps) * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


class SubclassAnyDim(_BatchNorm):
    def _check_input_dim(self, input):
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")


class SubclassCallsSuper(nn.BatchNorm2d):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.last_shape = None

    def forward(self, input):
        self.last_shape = tuple(input.shape)
        return super().forward(input)


# -------------------------------------------------------------------- engineering: other names, other places of state
class StackedBuffer(nn.Module):
    """Both running statistics are rows of one buffer."""

    def __init__(self, channels, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("stats", torch.stack((torch.zeros(channels), torch.ones(channels))))

    def forward(self, x):
        n, z = _count(x, self.weight.numel(), self.training), _wide(x)
        if self.training:
            var, mean = torch.var_mean(z, _dims(z), correction=0)
            new = torch.stack((mean, var * n / (n - 1))).detach()
            self.stats.lerp_(new.to(self.stats.dtype), self.momentum)
        else:
            mean, var = _wide(self.stats).unbind(0)
        h = (z - _col(mean, z)) * torch.rsqrt(_col(var, z) + self.eps)
        return (h * _col(self.weight, z) + _col(self.bias, z)).to(x.dtype)


class BroadcastShapes(nn.Module):
    """Everything has shape (1, C, 1, 1)."""

    def __init__(self, channels, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.gamma = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.register_buffer("running_mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("running_var", torch.ones(1, channels, 1, 1))

    def forward(self, x):
        _images(x)
        n, z = _count(x, self.gamma.shape[1], self.training), _wide(x)
        if self.training:
            mean = z.mean((0, 2, 3), keepdim=True)
            var = ((z - mean) ** 2).mean((0, 2, 3), keepdim=True)
            with torch.no_grad():
                self.running_mean.mul_(1 - self.momentum).add_(self.momentum * mean)
                self.running_var.mul_(1 - self.momentum).add_(self.momentum * var * n / (n - 1))
        else:
            mean, var = self.running_mean, _wide(self.running_var)
        return (self.gamma * (z - mean) / torch.sqrt(var + self.eps) + self.beta).to(x.dtype)


class ColumnParameters(nn.Module):
    """Scale and shift of shape (C, 1, 1), running statistics of shape (C,)."""

    def __init__(self, channels, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x):
        _images(x)
        n, z = _count(x, self.weight.shape[0], self.training), _wide(x)
        mean, var = self.running_mean, _wide(self.running_var)
        if self.training:
            mean, var = z.mean((0, 2, 3)), z.var((0, 2, 3), correction=0)
            with torch.no_grad():
                self.running_mean += self.momentum * (mean - self.running_mean)
                self.running_var += self.momentum * (var * n / (n - 1) - self.running_var)
        h = (z - mean[:, None, None]) / (var[:, None, None] + self.eps).sqrt()
        return (h * self.weight + self.bias).to(x.dtype)


class GammaBeta(nn.Module):
    def __init__(self, channels, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.gamma, self.beta = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("moving_mean", torch.zeros(channels))
        self.register_buffer("moving_var", torch.ones(channels))

    @torch.no_grad()
    def update(self, mean, unbiased):
        self.moving_mean.lerp_(mean.to(self.moving_mean.dtype), self.momentum)
        self.moving_var.lerp_(unbiased.to(self.moving_var.dtype), self.momentum)

    def forward(self, x):
        _count(x, self.gamma.numel(), self.training)
        z = _wide(x)
        if self.training:
            mean, var = z.mean(_dims(z)), z.var(_dims(z), correction=0)
            self.update(mean, z.var(_dims(z), correction=1))
        else:
            mean, var = self.moving_mean, _wide(self.moving_var)
        h = (z - _col(mean, z)) / torch.sqrt(_col(var, z) + self.eps)
        return torch.addcmul(_col(self.beta, z), _col(self.gamma, z), h).to(x.dtype)


class ScaleShift(nn.Module):
    def __init__(self, channels, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.scale, self.shift = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("var", torch.ones(channels))

    def forward(self, x):
        n, z = _count(x, self.scale.numel(), self.training), _wide(x)
        mean, var = self.mean, self.var
        if self.training:
            var, mean = torch.var_mean(z, _dims(z), correction=0)
            self.mean.copy_(self.mean + self.momentum * (mean.detach() - self.mean))
            self.var.copy_(self.var + self.momentum * (var.detach() * (n / (n - 1)) - self.var))
        a = self.scale / torch.sqrt(_wide(var) + self.eps)
        return ((z - _col(mean, z)) * _col(a, z) + _col(self.shift, z)).to(x.dtype)


class ShortNames(nn.Module):
    def __init__(self, c, e=1e-5, m=0.1):
        super().__init__()
        self.e, self.m = e, m
        self.g, self.b = nn.Parameter(torch.ones(c)), nn.Parameter(torch.zeros(c))
        self.register_buffer("mu", torch.zeros(c))
        self.register_buffer("s2", torch.ones(c))

    def forward(self, x):
        n, z = _count(x, self.g.numel(), self.training), _wide(x)
        mu, s2 = self.mu, _wide(self.s2)
        if self.training:
            mu = z.mean(_dims(z))
            s2 = (z - _col(mu, z)).square().mean(_dims(z))
            with torch.no_grad():
                self.mu.mul_(1 - self.m).add_(mu, alpha=self.m)
                self.s2.mul_(1 - self.m).add_(s2, alpha=self.m * n / (n - 1))
        return ((z - _col(mu, z)) * (_col(s2, z) + self.e) ** -0.5 * _col(self.g, z) + _col(self.b, z)).to(x.dtype)


class _Lean(nn.Module):
    """State of a small layer, for the variants below whose peculiarity lies elsewhere."""

    def __init__(self, channels, eps=1e-5, momentum=0.1):
        super().__init__()
        self.channels, self.eps, self.momentum = channels, eps, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def remember(self, mean, unbiased):
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)

    def statistics(self, x, z):
        """Mean and variance to normalize with; remembers those of a training batch."""
        n = _count(x, self.channels, self.training)
        if not self.training:
            return self.running_mean, _wide(self.running_var)
        var, mean = torch.var_mean(z, _dims(z), correction=0)
        self.remember(mean, var * (n / (n - 1)))
        return mean, var

    def gamma(self):
        return self.weight

    def beta(self):
        return self.bias

    def forward(self, x):
        z = _wide(x)
        mean, var = self.statistics(x, z)
        h = (z - _col(mean, z)) * torch.rsqrt(_col(var, z) + self.eps)
        return (h * _col(self.gamma(), z) + _col(self.beta(), z)).to(x.dtype)


class OnePlusWeight(_Lean):
    def __init__(self, channels):
        super().__init__(channels)
        nn.init.zeros_(self.weight)

    def gamma(self):
        return 1 + self.weight


class ExpWeight(_Lean):
    def __init__(self, channels):
        super().__init__(channels)
        nn.init.zeros_(self.weight)

    def gamma(self):
        return self.weight.exp()


class SoftplusWeight(_Lean):
    def __init__(self, channels):
        super().__init__(channels)
        nn.init.constant_(self.weight, math.log(math.e - 1))

    def gamma(self):
        return F.softplus(self.weight)


class ChannelAffine(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        if x.shape[1] != self.scale.numel():
            raise ValueError(f"expected {self.scale.numel()} channels, got {x.shape[1]}")
        z = _wide(x)
        return (z * _col(self.scale, z) + _col(self.offset, z)).to(x.dtype)


class SubmoduleAffine(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.eps, self.momentum = 1e-5, 0.1
        self.post = ChannelAffine(channels)
        self.register_buffer("avg_mean", torch.zeros(channels))
        self.register_buffer("avg_var", torch.ones(channels))

    def forward(self, x):
        n, z = _count(x, self.avg_mean.numel(), self.training), _wide(x)
        mean, var = self.avg_mean, _wide(self.avg_var)
        if self.training:
            var, mean = torch.var_mean(z, _dims(z), correction=0)
            with torch.no_grad():
                self.avg_mean += self.momentum * (mean - self.avg_mean)
                self.avg_var += self.momentum * (var * (n / (n - 1)) - self.avg_var)
        return self.post((z - _col(mean, z)) / (_col(var, z) + self.eps).sqrt()).to(x.dtype)


class InParameterDict(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.eps, self.momentum = 1e-5, 0.1
        self.p = nn.ParameterDict({"gamma": nn.Parameter(torch.ones(channels)),
                                   "beta": nn.Parameter(torch.zeros(channels))})
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x):
        _count(x, self.running_mean.numel(), self.training)
        gamma, beta = self.p["gamma"], self.p["beta"]
        return F.batch_norm(x, self.running_mean, self.running_var, gamma, beta, self.training, self.momentum, self.eps)


class _Unchanged(nn.Module):
    def forward(self, w):
        return w


def parametrized(channels):
    bn = nn.BatchNorm2d(channels)
    parametrize.register_parametrization(bn, "weight", _Unchanged())
    return bn


class Wrapped(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        return self.bn(x)


class ByRank(nn.Module):
    """Three layers; the input's rank says which one works (each with its own state)."""

    def __init__(self, channels):
        super().__init__()
        self.by_rank = nn.ModuleDict({"3": nn.BatchNorm1d(channels), "4": nn.BatchNorm2d(channels),
                                      "5": nn.BatchNorm3d(channels)})

    def forward(self, x):
        if not 3 <= x.dim() <= 5:
            raise ValueError(f"expected a 3D, 4D or 5D input, got {x.dim()}D")
        return self.by_rank[str(x.dim())](x)


class Proxy(nn.Module):
    """Hands every unknown attribute on to the layer inside."""

    def __init__(self, channels):
        super().__init__()
        self.inner = nn.BatchNorm2d(channels)

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "inner":
                raise
            return getattr(super().__getattr__("inner"), name)

    def forward(self, x):
        return self.inner(x)


def without_affine_then_affine(channels):
    return nn.Sequential(nn.BatchNorm2d(channels, affine=False), ChannelAffine(channels))


def followed_by_identity(channels):
    return nn.Sequential(OrderedDict(norm=nn.BatchNorm2d(channels), drop=nn.Dropout(0.0), act=nn.Identity()))


class RunningAsParameters(nn.Module):
    """Running statistics are parameters that need no gradient."""

    def __init__(self, channels, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.running_mean = nn.Parameter(torch.zeros(channels), requires_grad=False)
        self.running_var = nn.Parameter(torch.ones(channels), requires_grad=False)

    def forward(self, x):
        _count(x, self.weight.numel(), self.training)
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training,
                            self.momentum, self.eps)


class AssignedBuffers(_Lean):
    def remember(self, mean, unbiased):
        m = self.momentum
        self.running_mean = ((1 - m) * self.running_mean + m * mean.detach()).to(self.running_mean.dtype)
        self.running_var = ((1 - m) * self.running_var + m * unbiased.detach()).to(self.running_var.dtype)


class WhereSelects(_Lean):
    """The mode is a tensor; torch.where chooses between batch and running statistics."""

    def forward(self, x):
        n = _count(x, self.channels, self.training)
        z = _wide(x)
        mode = torch.full((), self.training, dtype=torch.bool, device=x.device)
        source = z if self.training else z.detach()
        var, mean = torch.var_mean(source, _dims(z), correction=0)
        with torch.no_grad():
            for old, new in ((self.running_mean, mean), (self.running_var, var * n / max(n - 1, 1))):
                old.copy_(torch.where(mode, old + self.momentum * (new - old), old))
        mean = torch.where(mode, mean, self.running_mean)
        var = torch.where(mode, var, self.running_var)
        h = (z - _col(mean, z)) / (_col(var, z) + self.eps).sqrt()
        return (h * _col(self.weight, z) + _col(self.bias, z)).to(x.dtype)


class SkipsNonFinite(_Lean):
    """A batch with NaN or infinity leaves the running statistics as they were."""

    def remember(self, mean, unbiased):
        with torch.no_grad():
            fine = torch.isfinite(mean) & torch.isfinite(unbiased)
            for old, new in ((self.running_mean, mean), (self.running_var, unbiased)):
                old.copy_(torch.where(fine, torch.lerp(old.to(new.dtype), new, self.momentum), old))


class Vmapped(_Lean):
    """The formula for one channel, mapped over the channels."""

    def one(self, column, g, b):
        mean = column.mean()
        var = (column - mean).square().mean()
        return (column - mean) / (var + self.eps).sqrt() * g + b, mean, var

    def forward(self, x):
        n, z = _count(x, self.channels, self.training), _wide(x)
        if not self.training:
            return super().forward(x)
        g, b = self.weight.to(z.dtype), self.bias.to(z.dtype)
        y, mean, var = torch.vmap(self.one, in_dims=(1, 0, 0), out_dims=(1, 0, 0))(z, g, b)
        self.remember(mean, var * (n / (n - 1)))
        return y.to(x.dtype)


class DepthwiseConvolution(_Lean):
    """Scale and shift are applied by a 1x1 depthwise convolution of the centred input."""

    def forward(self, x):
        _images(x)
        z = _wide(x)
        mean, var = self.statistics(x, z)
        scale = (self.weight * torch.rsqrt(var + self.eps)).to(z.dtype).view(-1, 1, 1, 1)
        with _no_autocast(z):
            return F.conv2d(z - _col(mean, z), scale, self.bias.to(z.dtype), groups=self.channels).to(x.dtype)


class ChannelsLastMemory(_Lean):
    def forward(self, x):
        _images(x)
        _count(x, self.channels, self.training)
        x = x.contiguous(memory_format=torch.channels_last)
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training,
                            self.momentum, self.eps)


class _Standardize(torch.autograd.Function):
    """(x - mean) / sqrt(var + eps); the backward recomputes from x, so it can be differentiated again."""

    @staticmethod
    def forward(ctx, x, eps):
        ctx.save_for_backward(x)
        ctx.eps = eps
        var, mean = torch.var_mean(x, _dims(x), correction=0, keepdim=True)
        return (x - mean) * torch.rsqrt(var + eps)

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        dims = _dims(x)
        var, mean = torch.var_mean(x, dims, correction=0, keepdim=True)
        inv = torch.rsqrt(var + ctx.eps)
        h = (x - mean) * inv
        return inv * (g - g.mean(dims, keepdim=True) - h * (g * h).mean(dims, keepdim=True)), None


class HandWrittenBackward(_Lean):
    def forward(self, x):
        z = _wide(x)
        mean, var = self.statistics(x, z.detach())
        if self.training:
            h = _Standardize.apply(z, self.eps)
        else:
            h = (z - _col(mean, z)) * torch.rsqrt(_col(var, z) + self.eps)
        return (h * _col(self.weight, z) + _col(self.bias, z)).to(x.dtype)


class _StandardizeSavingOutputs(torch.autograd.Function):
    """As above, but keeps its outputs (normalized value, 1/sigma) for the backward."""

    @staticmethod
    def forward(x, eps):
        var, mean = torch.var_mean(x, _dims(x), correction=0, keepdim=True)
        inv = torch.rsqrt(var + eps)
        return (x - mean) * inv, inv

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*output)

    @staticmethod
    def backward(ctx, g, g_inv):
        h, inv = ctx.saved_tensors
        dims = _dims(h)
        n = h.numel() / h.shape[1]
        dx = inv * (g - g.mean(dims, keepdim=True) - h * (g * h).mean(dims, keepdim=True))
        return dx - g_inv * inv.square() * h / n, None


class SavesOutputs(HandWrittenBackward):
    def forward(self, x):
        if not self.training:
            return super().forward(x)
        z = _wide(x)
        self.statistics(x, z.detach())
        h, _ = _StandardizeSavingOutputs.apply(z, self.eps)
        return (h * _col(self.weight, z) + _col(self.bias, z)).to(x.dtype)


class _ForScript(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.eps: float = 1e-5
        self.momentum: float = 0.1
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.size(1) != self.weight.numel():
            raise ValueError("expected a 4D input with the right number of channels")
        n = x.numel() // x.size(1)
        if self.training:
            if n < 2:
                raise ValueError("more than one value per channel is needed in training")
            mean = x.mean([0, 2, 3])
            var = (x - mean.view(1, -1, 1, 1)).square().mean([0, 2, 3])
            self.running_mean.mul_(1 - self.momentum).add_(mean.detach() * self.momentum)
            self.running_var.mul_(1 - self.momentum).add_(var.detach() * (self.momentum * n / (n - 1)))
        else:
            mean, var = self.running_mean, self.running_var
        h = (x - mean.view(1, -1, 1, 1)) * torch.rsqrt(var.view(1, -1, 1, 1) + self.eps)
        return h * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


def scripted(channels):
    return _script(_ForScript(channels))


def compiled(channels):
    return torch.compile(VarMean(channels), backend="eager")


def compiled_in_place(channels):
    layer = Rsqrt(channels)
    layer.compile(backend="eager")
    return layer


@_script
def _scripted_formula(x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    shape = [1, -1] + [1] * (x.dim() - 2)
    scale = weight * torch.rsqrt(var + eps)
    return (x - mean.view(shape)) * scale.view(shape) + bias.view(shape)


class ScriptInside(_Lean):
    def forward(self, x):
        z = _wide(x)
        state = [t.to(z.dtype) for t in (*self.statistics(x, z), self.weight, self.bias)]
        if not torch.is_grad_enabled():
            state = [t.detach() for t in state]
        return _scripted_formula(z, *state, self.eps).to(x.dtype)


# ------------------------------------------------------------------------------------------- frozen and synchronized
class FrozenBatchNorm(nn.Module):
    """Statistics, scale and shift are all fixed buffers."""

    def __init__(self, num_features, eps=1e-5):
        super().__init__()
        self.eps = eps
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((num_features,), value))

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        state_dict.pop(prefix + "num_batches_tracked", None)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def forward(self, x):
        _count(x, self.weight.numel(), False)
        z = _wide(x)
        scale = _wide(self.weight) * (_wide(self.running_var) + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return (z * _col(scale, z) + _col(shift, z)).to(x.dtype)


class FrozenStatistics(_Lean):
    """Fixed statistics, learned scale and shift."""

    def statistics(self, x, z):
        _count(x, self.channels, False)
        return self.running_mean, _wide(self.running_var)


class StaysInEvaluation(nn.BatchNorm2d):
    def __init__(self, num_features):
        super().__init__(num_features)
        self.eval()

    def train(self, mode=True):
        return super().train(False)


class Synchronized(_Lean):
    """Sums over all processes where there are several, else over this one."""

    @staticmethod
    def several():
        return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1

    def total(self, t):
        if not self.several():
            return t
        import torch.distributed.nn.functional as dnn
        return dnn.all_reduce(t)

    def statistics(self, x, z):
        n = _count(x, self.channels, self.training and not self.several())
        if not self.training:
            return self.running_mean, _wide(self.running_var)
        sums = self.total(torch.cat((z.sum(_dims(z)), z.new_full((1,), n))))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        var = self.total((z - _col(mean, z)).square().sum(_dims(z))) / count
        self.remember(mean, var * count / (count - 1))
        return mean, var


# --------------------------------------------------------------------------------------- unusual inputs and outputs
class NormOutput(NamedTuple):
    output: Tensor
    mean: Tensor
    var: Tensor


class TupleOutput(_Lean):
    def forward(self, x):
        z = _wide(x)
        mean, var = self.statistics(x, z)
        h = (z - _col(mean, z)) / (_col(var, z) + self.eps).sqrt()
        return (h * _col(self.weight, z) + _col(self.bias, z)).to(x.dtype), mean, var


class NamedTupleOutput(TupleOutput):
    def forward(self, x):
        return NormOutput(*super().forward(x))


class DictOutput(TupleOutput):
    def forward(self, x):
        return dict(zip(("out", "mean", "var"), super().forward(x)))


def _call_dict(layer, x):
    return layer(x)["out"]


class OptionalMask(_Lean):
    """Statistics over the places where the mask is set; without a mask, over all of them."""

    def forward(self, x, mask=None):
        if mask is None or not self.training:
            return super().forward(x)
        _count(x, self.channels, True)
        z = _wide(x)
        m = mask.to(z.dtype).expand(x.shape[0], 1, *x.shape[2:])
        n = m.sum()
        mean = (z * m).sum(_dims(z)) / n
        d = z - _col(mean, z)
        var = (d.square() * m).sum(_dims(z)) / n
        self.remember(mean, var * n / (n - 1).clamp(min=1))
        return (d * torch.rsqrt(_col(var, z) + self.eps) * _col(self.weight, z) + _col(self.bias, z)).to(x.dtype)


class RequiredMask(OptionalMask):
    def forward(self, x, mask):
        return super().forward(x, mask)


def _call_mask(layer, x):
    return layer(x, x.new_ones(x.shape[0], 1, *x.shape[2:]))


class DomainSpecific(nn.Module):
    """One layer per domain; the caller names the domain."""

    def __init__(self, channels, domains=2):
        super().__init__()
        self.domains = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(domains))

    def forward(self, x, domain):
        return self.domains[domain](x)


def _call_domain(layer, x):
    return layer(x, 0)


class ClassConditional(nn.Module):
    """Scale and shift are looked up by the label of each sample."""

    def __init__(self, channels, classes=3):
        super().__init__()
        self.bn = nn.BatchNorm2d(channels, affine=False)
        self.gamma = nn.Embedding(classes, channels)
        self.beta = nn.Embedding(classes, channels)
        nn.init.ones_(self.gamma.weight)
        nn.init.zeros_(self.beta.weight)

    def forward(self, x, labels):
        h = self.bn(x)
        return (self.gamma(labels)[:, :, None, None] * h + self.beta(labels)[:, :, None, None]).to(x.dtype)


def _call_labels(layer, x):
    return layer(x, torch.zeros(x.shape[0], dtype=torch.long, device=x.device))


class TrainingArgument(_Lean):
    """The caller may choose the mode of one call; by default it is the module's."""

    def forward(self, x, training=None):
        training = self.training if training is None else training
        _count(x, self.channels, training)
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, training,
                            self.momentum, self.eps)


class LastAxis(nn.Module):
    """Channels on the last axis, any number of axes before it."""

    def __init__(self, channels, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x):
        n, z = _count(x, self.weight.numel(), self.training, axis=-1), _wide(x)
        mean, var = self.running_mean, _wide(self.running_var)
        if self.training:
            var, mean = torch.var_mean(z, tuple(range(x.dim() - 1)), correction=0)
            with torch.no_grad():
                self.running_mean += self.momentum * (mean - self.running_mean)
                self.running_var += self.momentum * (var * (n / (n - 1)) - self.running_var)
        return ((z - mean) * torch.rsqrt(var + self.eps) * self.weight + self.bias).to(x.dtype)


class SequenceFlattened(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.bn = nn.BatchNorm1d(channels)

    def forward(self, x):
        _count(x, self.bn.num_features, self.training, axis=-1)
        return self.bn(x.reshape(-1, x.shape[-1])).view(x.shape)


class SequenceTransposed(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.bn = nn.BatchNorm1d(channels)

    def forward(self, x):
        return self.bn(x.transpose(1, 2)).transpose(1, 2)


class NodeFeatures(nn.Module):
    """For the nodes of a graph, (nodes, channels); edges do not matter."""

    def __init__(self, in_channels):
        super().__init__()
        self.module = nn.BatchNorm1d(in_channels)

    def forward(self, x, edge_index=None):
        if x.dim() != 2:
            raise ValueError(f"expected (nodes, channels), got {x.dim()}D")
        return self.module(x)


# --------------------------------------------------------------------------------------------- constants and precision
class OtherEpsilon(_Lean):
    def __init__(self, channels, epsilon=1e-3):
        super().__init__(channels, eps=epsilon)
        self.epsilon = epsilon


class OtherMomentum(_Lean):
    def __init__(self, channels, momentum=0.03):
        super().__init__(channels, momentum=momentum)


class Decay(nn.Module):
    """`decay` is the weight of the past; the running variance is unbiased."""

    def __init__(self, channels, decay=0.8, variance_epsilon=1e-5):
        super().__init__()
        self.decay, self.variance_epsilon = decay, variance_epsilon
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x):
        _count(x, self.weight.numel(), self.training)
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training,
                            1 - self.decay, self.variance_epsilon)


class DoubleInside(_Lean):
    def forward(self, x):
        z = x.double()
        mean, var = self.statistics(x, z)
        h = (z - _col(mean, z)) / (_col(var, z) + self.eps).sqrt()
        return (h * _col(self.weight, z) + _col(self.bias, z)).to(x.dtype)


class WideStatistics(_Lean):
    """Only the statistics are taken in float32; the formula itself runs in the input's precision."""

    def forward(self, x):
        mean, var = self.statistics(x, _wide(x))
        h = (x - _col(mean, x)) * torch.rsqrt(_col(var, x) + self.eps)
        return (h * _col(self.weight, x) + _col(self.bias, x)).to(x.dtype)


class NoDoubleOnMps(_Lean):
    """Accumulates in float64 for float32 inputs, except on devices that have none."""

    def forward(self, x):
        z = _wide(x) if x.device.type == "mps" else x.to(torch.float64)
        n = _count(x, self.channels, self.training)
        mean, var = self.running_mean, _wide(self.running_var)
        if self.training:
            mean = z.sum(_dims(z)) / n
            var = (z - _col(mean, z)).square().sum(_dims(z)) / n
            self.remember(mean, var * n / (n - 1))
        work = _wide(x)
        h = (work - _col(mean.to(work.dtype), work)) * torch.rsqrt(_col(var.to(work.dtype), work) + self.eps)
        return (h * _col(self.weight, work) + _col(self.bias, work)).to(x.dtype)


class KerasLike(nn.Module):
    def __init__(self, channels, axis=-1, momentum=0.99, epsilon=1e-3):
        super().__init__()
        self.axis, self.momentum, self.epsilon = axis, momentum, epsilon
        self.gamma, self.beta = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("moving_mean", torch.zeros(channels))
        self.register_buffer("moving_variance", torch.ones(channels))

    def forward(self, inputs):
        _count(inputs, self.gamma.numel(), self.training, axis=self.axis)
        z = _wide(inputs).movedim(self.axis, -1)
        mean, var = self.moving_mean, self.moving_variance
        if self.training:
            var, mean = torch.var_mean(z, tuple(range(z.dim() - 1)), correction=0)
            with torch.no_grad():
                self.moving_mean.mul_(self.momentum).add_((1 - self.momentum) * mean)
                self.moving_variance.mul_(self.momentum).add_((1 - self.momentum) * var)
        inv = torch.rsqrt(_wide(var) + self.epsilon) * self.gamma
        return ((z - mean) * inv + self.beta).movedim(-1, self.axis).to(inputs.dtype)


keras_first = functools.partial(KerasLike, axis=1)
keras_textbook = functools.partial(KerasLike, axis=1, momentum=0.9, epsilon=1e-5)


class FlaxLike(nn.Module):
    def __init__(self, features, momentum=0.99, epsilon=1e-5):
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.scale, self.bias = nn.Parameter(torch.ones(features)), nn.Parameter(torch.zeros(features))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("var", torch.ones(features))

    def forward(self, x):
        _count(x, self.scale.numel(), self.training, axis=-1)
        z = _wide(x)
        mean, var = self.mean, self.var
        if self.training:
            axes = tuple(range(x.dim() - 1))
            mean = z.mean(axes)
            var = (z - mean).square().mean(axes)
            with torch.no_grad():
                self.mean.copy_(self.momentum * self.mean + (1 - self.momentum) * mean)
                self.var.copy_(self.momentum * self.var + (1 - self.momentum) * var)
        return ((z - mean) * (torch.rsqrt(_wide(var) + self.epsilon) * self.scale) + self.bias).to(x.dtype)


class ReciprocalVariance(nn.Module):
    """Keeps 1/variance; the average is still taken over the variance."""

    def __init__(self, channels, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("precision", torch.ones(channels))

    def forward(self, x):
        n = _count(x, self.weight.numel(), self.training)
        if self.training:
            var, mean = torch.var_mean(x, _dims(x), correction=0)
            with torch.no_grad():
                self.mean.lerp_(mean, self.momentum)
                self.precision.copy_(1 / torch.lerp(1 / self.precision, var * n / (n - 1), self.momentum))
        else:
            mean, var = self.mean, 1 / self.precision
        return (x - _col(mean, x)) / (_col(var, x) + self.eps).sqrt() * _col(self.weight, x) + _col(self.bias, x)


# --------------------------------------------------------------------------- relatives that reduce to the plain layer
class BatchRenorm(_Lean):
    """Batch renormalization; at r_max=1 and d_max=0 the correction is none."""

    def __init__(self, channels, r_max=1.0, d_max=0.0):
        super().__init__(channels)
        self.r_max, self.d_max = r_max, d_max

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        n, z = _count(x, self.channels, True), _wide(x)
        var, mean = torch.var_mean(z, _dims(z), correction=0)
        sigma, running_sigma = (var + self.eps).sqrt(), (_wide(self.running_var) + self.eps).sqrt()
        r = (sigma.detach() / running_sigma).clamp(1 / self.r_max, self.r_max)
        d = ((mean.detach() - self.running_mean) / running_sigma).clamp(-self.d_max, self.d_max)
        self.remember(mean, var * n / (n - 1))
        h = (z - _col(mean, z)) / _col(sigma, z) * _col(r, z) + _col(d, z)
        return (h * _col(self.weight, z) + _col(self.bias, z)).to(x.dtype)


class Ghost(nn.Module):
    """Normalizes ghost batches apart; by default the whole batch is the one ghost."""

    def __init__(self, channels, ghosts=1):
        super().__init__()
        self.ghosts = ghosts
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        if not self.training:
            return self.bn(x)
        return torch.cat([self.bn(part) for part in x.chunk(self.ghosts)])


class FusedActivation(nn.BatchNorm2d):
    def __init__(self, *args, activation=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.activation = activation

    def forward(self, input):
        y = super().forward(input)
        return y if self.activation is None else self.activation(y)


class PreciseOff(_Lean):
    """Can also sum up plain averages over many batches (precise statistics); off by default."""

    def __init__(self, channels, precise=False):
        super().__init__(channels)
        self.precise = precise
        if precise:
            self.register_buffer("sums", torch.zeros(3, channels))

    def remember(self, mean, unbiased):
        super().remember(mean, unbiased)
        if self.precise:
            self.sums += torch.stack((mean, unbiased, torch.ones_like(mean))).detach()


def lazy(channels):
    return nn.LazyBatchNorm2d()


# ---------------------------------------------------------------------------------------------- unusual constructions
class KeywordOnly(_Lean):
    def __init__(self, *, num_channels, eps=1e-5, momentum=0.1):
        super().__init__(num_channels, eps, momentum)


def keyword_only(channels):
    return KeywordOnly(num_channels=channels)


class KeywordOptions(_Drop):
    def __init__(self, num_features, *, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True,
                 device=None, dtype=None, bias=True):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)


@dataclass(frozen=True)
class NormConfig:
    width: int
    eps: float = 1e-5
    momentum: float = 0.1


class FromConfig(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.gain = nn.Parameter(torch.ones(config.width))
        self.offset = nn.Parameter(torch.zeros(config.width))
        self.register_buffer("ema_mean", torch.zeros(config.width))
        self.register_buffer("ema_var", torch.ones(config.width))

    def forward(self, x):
        _count(x, self.config.width, self.training)
        return F.batch_norm(x, self.ema_mean, self.ema_var, self.gain, self.offset, self.training,
                            self.config.momentum, self.config.eps)


def from_config(channels):
    return FromConfig(NormConfig(width=channels))


@dataclass(eq=False, repr=False)
class DataclassLayer(nn.Module):
    channels: int
    eps: float = 1e-5
    momentum: float = 0.1

    def __post_init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(self.channels)), nn.Parameter(torch.zeros(self.channels))
        self.register_buffer("running_mean", torch.zeros(self.channels))
        self.register_buffer("running_var", torch.ones(self.channels))

    def forward(self, x):
        _count(x, self.channels, self.training)
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training,
                            self.momentum, self.eps)


class DeviceAndDtype(nn.Module):
    def __init__(self, channels, eps=1e-5, momentum=0.1, device=None, dtype=None):
        super().__init__()
        kw = {"device": device, "dtype": dtype}
        self.eps, self.momentum = eps, momentum
        self.affine = nn.Parameter(torch.stack((torch.ones(channels, **kw), torch.zeros(channels, **kw))))
        self.register_buffer("running_mean", torch.zeros(channels, **kw))
        self.register_buffer("running_var", torch.ones(channels, **kw))

    def forward(self, x):
        n, z = _count(x, self.running_mean.numel(), self.training), _wide(x)
        mean, var = self.running_mean, _wide(self.running_var)
        if self.training:
            mean, var = z.mean(_dims(z)), z.var(_dims(z), correction=0)
            with torch.no_grad():
                self.running_mean += self.momentum * (mean - self.running_mean)
                self.running_var += self.momentum * (var * n / (n - 1) - self.running_var)
        weight, bias = self.affine
        return ((z - _col(mean, z)) / (_col(var, z) + self.eps).sqrt() * _col(weight, z) + _col(bias, z)).to(x.dtype)


class KeepsLastBatch(_Lean):
    """The last batch's statistics stay in a plain attribute, for logging."""

    last = None

    def remember(self, mean, unbiased):
        super().remember(mean, unbiased)
        self.last = {"mean": mean.detach(), "var": unbiased.detach()}


class HasExtraState(_Lean):
    """Saves the number of its format beside the tensors."""

    format = 2

    def get_extra_state(self):
        return {"format": self.format}

    def set_extra_state(self, state):
        if state["format"] != self.format:
            raise ValueError(f"cannot load format {state['format']}")


class CountsInPython(_Lean):
    def __init__(self, channels):
        super().__init__(channels)
        self.batches = 0

    def remember(self, mean, unbiased):
        super().remember(mean, unbiased)
        self.batches += 1


class NormInputError(ValueError):
    pass


class OwnError(_Lean):
    def forward(self, x):
        try:
            _count(x, self.channels, self.training)
        except (TypeError, ValueError) as e:
            raise NormInputError(f"{type(self).__name__}: {e}") from e
        return super().forward(x)


def _check_input(module, args):
    _count(args[0], module.channels, module.training)


def _apply_affine(module, args, output):
    x, = args
    return (output * _col(module.weight, x) + _col(module.bias, x)).to(x.dtype)


class Hooked(_Lean):
    """The forward only standardizes; a pre-hook checks the input, a forward hook scales and shifts."""

    def __init__(self, channels):
        super().__init__(channels)
        self.register_forward_pre_hook(_check_input)
        self.register_forward_hook(_apply_affine)

    def forward(self, x):
        z = _wide(x)
        mean, var = self.statistics(x, z)
        return (z - _col(mean, z)) * torch.rsqrt(_col(var, z) + self.eps)


class CheckpointSafe(_Lean):
    """Does not count a batch twice where checkpointing runs the forward again during the backward."""

    def remember(self, mean, unbiased):
        if torch.compiler.is_compiling() or torch._C._current_graph_task_id() == -1:
            super().remember(mean, unbiased)


class UnusedBuffer(_Lean):
    def __init__(self, channels):
        super().__init__(channels)
        self.register_buffer("calibration", torch.zeros(channels, 2))


def _in_wide_precision(forward):
    """Decorator: computes in at least float32 and returns the input's dtype."""
    @functools.wraps(forward)
    def wrapper(self, x):
        return forward(self, _wide(x)).to(x.dtype)
    return wrapper


class Decorated(_Lean):
    @_in_wide_precision
    def forward(self, x):
        mean, var = self.statistics(x, x)
        return (x - _col(mean, x)) / (_col(var, x) + self.eps).sqrt() * _col(self.weight, x) + _col(self.bias, x)


class PaperOnly(nn.Module):
    """The paper's algorithms 1 and 2, and nothing else."""

    def __init__(self, m, alpha=0.1, epsilon=1e-5):
        super().__init__()
        self.alpha, self.epsilon = alpha, epsilon
        self.gamma, self.beta = nn.Parameter(torch.ones(m)), nn.Parameter(torch.zeros(m))
        self.register_buffer("e_x", torch.zeros(m))
        self.register_buffer("var_x", torch.ones(m))

    def forward(self, x):
        m = _count(x, self.gamma.numel(), self.training)
        if self.training:
            mu_b = x.sum(_dims(x), keepdim=True) / m
            sigma2_b = ((x - mu_b) ** 2).sum(_dims(x), keepdim=True) / m
            x_hat = (x - mu_b) / torch.sqrt(sigma2_b + self.epsilon)
            self.e_x += self.alpha * (mu_b.detach().flatten() - self.e_x)
            self.var_x += self.alpha * (m / (m - 1) * sigma2_b.detach().flatten() - self.var_x)
            return _col(self.gamma, x) * x_hat + _col(self.beta, x)
        ratio = self.gamma / torch.sqrt(self.var_x + self.epsilon)
        return _col(ratio, x) * x + _col(self.beta - ratio * self.e_x, x)


# ------------------------------------------------------------------------------------------ layer, group, instance, rms
class OwnLayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.gamma, self.beta = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        _count(x, self.gamma.numel(), False, axis=-1)
        z = _wide(x)
        var, mean = torch.var_mean(z, -1, correction=0, keepdim=True)
        return ((z - mean) * torch.rsqrt(var + self.eps) * self.gamma + self.beta).to(x.dtype)


class LayerNormNoBias(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.eps = 1e-5
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return F.layer_norm(x, self.weight.shape, self.weight, None, self.eps)


class LayerNorm2d(nn.Module):
    """Over the channels of each pixel, channels first."""

    def __init__(self, channels, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        _count(x, self.weight.numel(), False)
        z = _wide(x)
        u = z.mean(1, keepdim=True)
        s = (z - u).pow(2).mean(1, keepdim=True)
        h = (z - u) / torch.sqrt(s + self.eps)
        return (self.weight[:, None, None] * h + self.bias[:, None, None]).to(x.dtype)


class LayerNormPermuted(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _groups(channels):
    """Smallest proper divisor above one, else one group."""
    return next((g for g in range(2, channels) if channels % g == 0), 1)


def group_norm(channels):
    return nn.GroupNorm(_groups(channels), channels)


class OwnGroupNorm(nn.Module):
    def __init__(self, channels, eps=1e-5):
        super().__init__()
        self.num_groups, self.eps = _groups(channels), eps
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x):
        _count(x, self.weight.shape[0], False)
        n, c, h, w = x.shape
        z = _wide(x).reshape(n, self.num_groups, -1)
        z = (z - z.mean(2, keepdim=True)) / (z.var(2, correction=0, keepdim=True) + self.eps).sqrt()
        return (z.view(n, c, h, w) * self.weight + self.bias).to(x.dtype)


class OwnInstanceNorm(nn.Module):
    def __init__(self, channels, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.scale = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.shift = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x):
        if x.dim() != 4 or x.shape[2] * x.shape[3] < 2:
            raise ValueError(f"expected (N, C, H, W) with more than one pixel, got {tuple(x.shape)}")
        _count(x, self.scale.shape[1], False)
        z = _wide(x)
        var, mean = torch.var_mean(z, (2, 3), correction=0, keepdim=True)
        return ((z - mean) / (var + self.eps).sqrt() * self.scale + self.shift).to(x.dtype)


class OwnRMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.variance_epsilon = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        _count(x, self.weight.numel(), False, axis=-1)
        z = _wide(x)
        return (self.weight * z * torch.rsqrt(z.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)).to(x.dtype)


class ZeroCentredRMSNorm(nn.Module):
    """gamma = 1 + weight, the weight starts at zero."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        _count(x, self.weight.numel(), False, axis=-1)
        z = _wide(x)
        rms = torch.sqrt(z.square().mean(-1, keepdim=True) + self.eps)
        return (z / rms * (1 + self.weight)).to(x.dtype)


# ------------------------------------------------------------------------------------------------------------ the list
_ENG = {"profile": "engineering"}
_DEF = {"profile": "definition"}
_SEQ = {"input_shape": (8, 7, 5), "channel_axis": -1}
_FLAT = {"input_shape": (16, 5)}
_SET = {"torch": {}, "eng": _ENG, "def": _DEF}


def _v(make, why, profile="eng", name=None, **options):
    return Variant(name or make.__name__, make, {**_SET[profile], **options}, why)


VARIANTS = [
    # PyTorch's own
    _v(nn.BatchNorm2d, "PyTorch's own layer for images.", "torch", "nn.BatchNorm2d"),
    _v(nn.BatchNorm1d, "PyTorch's own layer on (N, C).", "torch", "nn.BatchNorm1d features", **_FLAT),
    _v(nn.BatchNorm1d, "PyTorch's own layer on (N, C, L).", "torch", "nn.BatchNorm1d signals", input_shape=(8, 5, 7)),
    _v(nn.BatchNorm3d, "PyTorch's own layer for volumes.", "torch", "nn.BatchNorm3d", input_shape=(4, 5, 3, 4, 2)),
    _v(nn.SyncBatchNorm, "Without a process group it trains on the CPU like nn.BatchNorm.", "eng", "nn.SyncBatchNorm"),
    _v(lazy, "nn.LazyBatchNorm2d learns the number of channels from the first input.", "eng", "nn.LazyBatchNorm2d"),
    _v(functools.partial(nn.BatchNorm2d, eps=1e-3), "A partial with another eps.", "torch", "partial eps=1e-3"),
    _v(functools.partial(nn.BatchNorm2d, momentum=0.01), "A partial with a slow average.", "torch",
       "partial momentum=0.01"),
    _v(functools.partial(nn.BatchNorm2d, momentum=None), "A partial with the cumulative average.", "torch",
       "partial momentum=None"),
    _v(functools.partial(nn.BatchNorm2d, affine=False), "No scale and no shift.", "eng", "partial affine=False"),
    # stand-ins for nn.BatchNorm2d, each with another arithmetic
    _v(TwoPass, "Mean first, then the mean of the squared deviations.", "torch"),
    _v(VarMean, "One call of var_mean with correction=0.", "torch"),
    _v(StdSquared, "Squares the biased standard deviation.", "def"),
    _v(SumOverCount, "Sums divided by the number of values.", "torch"),
    _v(Einsum, "Both moments by einsum.", "torch"),
    _v(MatrixProduct, "Both moments as products of a (C, n) matrix with a vector of 1/n.", "torch"),
    _v(Rows, "Works on a (C, n) matrix throughout.", "torch"),
    _v(Permuted, "Moves the channels last and back.", "torch"),
    _v(Flattened, "Flattens the pixels first.", "torch"),
    _v(Welford, "Merges the samples one by one (Welford, Chan).", "torch"),
    _v(TwoChunks, "Within- plus between-variance of two halves of the batch.", "torch"),
    _v(CorrectedTwoPass, "Two passes with the correction of the rounding of the mean.", "torch"),
    _v(ShiftedMoments, "E[d^2] - E[d]^2 of data shifted by a detached mean.", "torch"),
    _v(VectorDot, "Variance as the product of a deviation vector with itself.", "torch"),
    _v(Mse, "Variance as mean squared error against the mean.", "torch"),
    _v(Rsqrt, "Multiplies with rsqrt.", "torch"),
    _v(AddcmulGain, "Scale and shift with addcmul.", "torch"),
    _v(AddcdivNormalize, "Divides with addcdiv.", "torch"),
    _v(Folded, "One multiply-add with folded scale and shift.", "torch"),
    _v(InPlaceOnCopy, "Normalizes in place, on a copy of the input.", "torch"),
    _v(LerpTrack, "Running statistics with lerp_.", "torch"),
    _v(CopyTrack, "Running statistics with copy_.", "torch"),
    _v(DataTrack, "Running statistics through .data.", "torch"),
    _v(ForeachTrack, "Running statistics with foreach operations.", "torch"),
    _v(AsLayerNorm, "Layer norm of the (C, n) matrix.", "torch"),
    _v(AsGroupNorm, "Group norm of a batch turned into one sample.", "torch"),
    _v(AsInstanceNorm, "Instance norm of a batch turned into one sample.", "torch"),
    _v(Functional, "Calls F.batch_norm.", "torch"),
    _v(TorchBatchNorm, "Calls torch.batch_norm.", "torch"),
    _v(NativeBatchNorm, "Calls torch.native_batch_norm.", "torch"),
    _v(ScratchBuffers, "Takes the statistics from scratch buffers with momentum 1, then averages itself.", "torch"),
    _v(CumulativeByDefault, "The default momentum is None: a cumulative average.", "torch"),
    _v(AnyRank, "Takes (N, C) up to (N, C, D, H, W)."),
    _v(Features, "Only for (N, C).", **_FLAT),
    _v(Volumes, "Only for (N, C, D, H, W).", "torch", input_shape=(4, 5, 3, 4, 2)),
    _v(KeywordOptions, "All options are keyword-only."),
    _v(SubclassOwnForward, "Subclass of nn.BatchNorm2d with its own training formula.", "torch"),
    _v(SubclassAnyDim, "Subclass of _BatchNorm that takes any rank."),
    _v(SubclassCallsSuper, "Subclass that notes the shape and calls the original.", "torch"),
    _v(FusedActivation, "Could apply an activation; by default it does not.", "torch"),
    _v(compiled_in_place, "Compiled in place by Module.compile.", "eng"),
    # names, shapes and places of the state
    _v(StackedBuffer, "Both running statistics in one (2, C) buffer."),
    _v(BroadcastShapes, "Parameters and buffers of shape (1, C, 1, 1)."),
    _v(ColumnParameters, "Parameters of shape (C, 1, 1)."),
    _v(GammaBeta, "Names gamma, beta, moving_mean, moving_var."),
    _v(ScaleShift, "Names scale, shift, mean, var."),
    _v(ShortNames, "Names g, b, mu, s2 and attributes e, m."),
    _v(DeviceAndDtype, "Scale and shift are rows of one parameter; device and dtype are options."),
    _v(OnePlusWeight, "The scale is 1 + weight, with a weight of zero."),
    _v(ExpWeight, "The scale is exp(weight)."),
    _v(SoftplusWeight, "The scale is softplus(weight)."),
    _v(SubmoduleAffine, "Scale and shift live in a sub-module."),
    _v(InParameterDict, "Scale and shift live in a ParameterDict."),
    _v(parametrized, "nn.BatchNorm2d whose weight carries a parametrization that changes nothing.", "def"),
    _v(RunningAsParameters, "Running statistics are parameters without gradient."),
    _v(AssignedBuffers, "Replaces the buffers by new tensors instead of writing into them."),
    _v(ReciprocalVariance, "Stores 1/variance.", "def"),
    _v(UnusedBuffer, "Carries one buffer that nothing uses."),
    # nested
    _v(Wrapped, "Wraps nn.BatchNorm2d."),
    _v(ByRank, "Chooses among three layers by the rank of the input."),
    _v(Proxy, "Hands unknown attributes on by __getattr__."),
    _v(without_affine_then_affine, "A Sequential of standardization and a channel-wise affine map."),
    _v(followed_by_identity, "A Sequential of the layer, a dropout of 0 and an identity."),
    # ways of computing
    _v(WhereSelects, "torch.where selects batch or running statistics."),
    _v(SkipsNonFinite, "Running statistics skip a batch that is not finite."),
    _v(Vmapped, "vmap over the channels."),
    _v(DepthwiseConvolution, "Scale and shift by a depthwise convolution."),
    _v(ChannelsLastMemory, "Converts to the channels-last memory format, the axes stay."),
    _v(HandWrittenBackward, "Hand-written autograd function, differentiable twice."),
    _v(SavesOutputs, "Hand-written autograd function that saves its outputs, differentiable twice."),
    _v(scripted, "A scripted layer.", "def"),
    _v(compiled, "A layer wrapped by torch.compile.", "def"),
    _v(ScriptInside, "The formula is a scripted function."),
    _v(Decorated, "A decorator around forward takes care of the precision."),
    _v(PaperOnly, "The paper's text, line by line.", "def"),
    # frozen, synchronized
    _v(FrozenBatchNorm, "All four tensors are fixed buffers; training changes nothing."),
    _v(FrozenStatistics, "Fixed statistics, learned scale and shift."),
    _v(StaysInEvaluation, "train() keeps it in evaluation mode."),
    _v(Synchronized, "Sums over processes; alone, it is the plain layer."),
    # inputs and outputs
    _v(TupleOutput, "Returns (y, mean, var)."),
    _v(NamedTupleOutput, "Returns a named tuple with the output first."),
    _v(DictOutput, "Returns a dict.", call=_call_dict),
    _v(OptionalMask, "Takes an optional mask."),
    _v(RequiredMask, "Needs a mask.", call=_call_mask),
    _v(DomainSpecific, "Needs the number of a domain and keeps one layer for each.", call=_call_domain),
    _v(ClassConditional, "Needs labels, which select scale and shift.", call=_call_labels),
    _v(TrainingArgument, "The mode can be given with the call."),
    _v(LastAxis, "Channels last, (N, H, W, C).", channel_axis=-1, input_shape=(8, 5, 6, 4)),
    _v(LastAxis, "Channels last on sequences, (N, L, C).", name="LastAxis sequences", **_SEQ),
    _v(SequenceFlattened, "(N, L, C) flattened to (N * L, C).", **_SEQ),
    _v(SequenceTransposed, "(N, L, C) transposed to (N, C, L) and back.", **_SEQ),
    _v(NodeFeatures, "(nodes, C) with an optional second argument.", **_FLAT),
    # constants and precision
    _v(OtherEpsilon, "eps is 1e-3."),
    _v(OtherMomentum, "momentum is 0.03."),
    _v(Decay, "decay = 0.8 is the weight of the past, the running variance is unbiased.", "def"),
    _v(DoubleInside, "Computes in float64."),
    _v(WideStatistics, "Statistics in float32 for half-precision inputs."),
    _v(NoDoubleOnMps, "Accumulates in float64 where the device has it."),
    _v(KerasLike, "Keras' conventions and constants, channels last.", conventions="keras", channel_axis=-1,
       input_shape=(8, 5, 6, 4)),
    _v(keras_first, "Keras' conventions and constants, channels first.", name="KerasLike axis=1", conventions="keras"),
    _v(keras_textbook, "Keras' conventions with momentum 0.9 and epsilon 1e-5.", name="KerasLike 0.9 1e-5",
       conventions="keras"),
    _v(FlaxLike, "Flax: as Keras, but epsilon is 1e-5.", conventions="keras", channel_axis=-1,
       input_shape=(8, 5, 6, 4)),
    # relatives that reduce to the plain layer
    _v(BatchRenorm, "Batch renormalization at r_max = 1, d_max = 0."),
    _v(Ghost, "Ghost batch normalization with one ghost."),
    _v(PreciseOff, "Precise statistics, switched off."),
    # constructions
    _v(keyword_only, "Even the number of channels is keyword-only."),
    _v(from_config, "Built from a config object."),
    _v(DataclassLayer, "A dataclass that is a module."),
    _v(functools.partial(GammaBeta, eps=1e-4, momentum=0.2), "A partial of an own class.", name="partial GammaBeta"),
    _v(KeepsLastBatch, "Keeps the last batch's statistics in a plain attribute."),
    _v(CountsInPython, "Counts batches in a Python int.", "def"),
    _v(HasExtraState, "Its state_dict holds an entry that is no tensor."),
    _v(OwnError, "Raises its own exception, derived from ValueError."),
    _v(Hooked, "A forward hook applies scale and shift."),
    _v(CheckpointSafe, "Ignores the second forward of a checkpointed segment."),
    # layer, group, instance, rms
    _v(nn.LayerNorm, "PyTorch's own layer norm.", "torch", "nn.LayerNorm", kind="layer", **_SEQ),
    _v(OwnLayerNorm, "Layer norm by var_mean, names gamma and beta.", kind="layer", **_SEQ),
    _v(LayerNormNoBias, "Layer norm without a shift.", kind="layer", **_SEQ),
    _v(LayerNorm2d, "Over the channels of each pixel, channels first, eps 1e-6.", kind="layer"),
    _v(LayerNormPermuted, "Subclass of nn.LayerNorm for channels first.", kind="layer"),
    _v(group_norm, "PyTorch's own group norm.", "torch", "nn.GroupNorm", kind="group"),
    _v(functools.partial(nn.GroupNorm, 1), "Group norm with one group.", "torch", "nn.GroupNorm one group",
       kind="group"),
    _v(OwnGroupNorm, "Group norm by reshaping, parameters of shape (C, 1, 1).", kind="group"),
    _v(functools.partial(nn.InstanceNorm2d, affine=True), "PyTorch's own instance norm with scale and shift.", "torch",
       "nn.InstanceNorm2d", kind="instance"),
    _v(OwnInstanceNorm, "Instance norm by var_mean, parameters of shape (1, C, 1, 1).", kind="instance"),
    _v(nn.RMSNorm, "PyTorch's own RMS norm; eps=None means the machine epsilon.", "torch", "nn.RMSNorm", kind="rms",
       **_SEQ),
    _v(OwnRMSNorm, "RMS norm with variance_epsilon 1e-6.", kind="rms", **_SEQ),
    _v(ZeroCentredRMSNorm, "RMS norm with the scale 1 + weight.", kind="rms", **_SEQ),
]
