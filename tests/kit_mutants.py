"""Single faults of batch-normalization layers, each made by a text replacement in one of three correct layers.
Every mutant carries the sentence that says what is wrong and the kind of fault it is."""

import itertools
import sys
import types
from typing import NamedTuple

_HEAD = '''\
import torch
from torch import nn
from torch.nn import functional as F
'''

_CLASS = '''

class Layer(nn.Module):
    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True,
                 device=None, dtype=None):
        super().__init__()
        options = {"device": device, "dtype": dtype}
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = nn.Parameter(torch.empty(num_features, **options))
            self.bias = nn.Parameter(torch.empty(num_features, **options))
        else:
            self.register_parameter("weight", None)
            self.register_parameter("bias", None)
        if track_running_stats:
            self.register_buffer("running_mean", torch.empty(num_features, **options))
            self.register_buffer("running_var", torch.empty(num_features, **options))
            self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long, device=device))
        else:
            self.register_buffer("running_mean", None)
            self.register_buffer("running_var", None)
            self.register_buffer("num_batches_tracked", None)
        self.reset_parameters()

    def reset_running_stats(self):
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self):
        self.reset_running_stats()
        if self.affine:
            nn.init.ones_(self.weight)
            nn.init.zeros_(self.bias)

    def extra_repr(self):
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
                f"track_running_stats={self.track_running_stats}")

    def _check_input(self, x, batch_stats):
        if not x.is_floating_point():
            raise TypeError(f"expected a floating-point input, got {x.dtype}")
        if x.dim() < 2:
            raise ValueError(f"expected at least 2 dimensions, got {x.dim()}")
        if x.size(1) != self.num_features:
            raise ValueError(f"expected {self.num_features} channels, got {x.size(1)}")
        if self.eps < 0 or batch_stats and self.eps == 0:
            raise ValueError(f"expected a positive eps, got {self.eps}")
        if batch_stats and x.numel() == self.num_features:
            raise ValueError(f"expected more than 1 value per channel, got input size {tuple(x.shape)}")
'''

_REMEMBER = '''
    @torch.no_grad()
    def _remember(self, x, mean, var):
        self.num_batches_tracked.add_(1)
        count = x.numel() // self.num_features
        if count == 0:
            return
        if self.momentum is None:
            factor = 1.0 / self.num_batches_tracked.to(var.dtype)
        else:
            factor = self.momentum
        unbiased = var * (count / (count - 1))
        self.running_mean.mul_(1 - factor).add_(factor * mean)
        self.running_var.mul_(1 - factor).add_(factor * unbiased)
'''

_EXPLICIT = '''
    def forward(self, x):
        batch_stats = self.training or self.running_mean is None
        self._check_input(x, batch_stats)
        axes = [d for d in range(x.dim()) if d != 1]
        shape = [1, self.num_features] + [1] * (x.dim() - 2)
        h = x.to(torch.promote_types(x.dtype, torch.float32))
        if batch_stats:
            mean = h.mean(axes, keepdim=True)
            var = (h - mean).square().mean(axes, keepdim=True)
            if self.training and self.track_running_stats:
                self._remember(x, mean.flatten(), var.flatten())
        else:
            mean = self.running_mean.view(shape)
            var = self.running_var.view(shape)
        centred = h - mean
        scale = torch.sqrt(var + self.eps)
        y = centred / scale
        if self.weight is not None:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(x.dtype)
'''

_FUNCTIONAL = '''
    def forward(self, x):
        batch_stats = self.training or self.running_mean is None
        self._check_input(x, batch_stats)
        remember = self.training and self.track_running_stats
        factor = self.momentum
        if remember:
            self.num_batches_tracked.add_(1)
        if factor is None:
            factor = 1.0 / float(self.num_batches_tracked) if remember else 0.0
        mean = self.running_mean if remember or not batch_stats else None
        var = self.running_var if remember or not batch_stats else None
        return F.batch_norm(x, mean, var, self.weight, self.bias, batch_stats, factor, self.eps)
'''

_FUNCTION = '''

def layout(x):
    return [d for d in range(x.dim()) if d != 1], [1, -1] + [1] * (x.dim() - 2)


def wide(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


class BatchNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(x, weight, bias, eps):
        axes, shape = layout(x)
        h = wide(x)
        var, mean = torch.var_mean(h, axes, correction=0)
        y = (h - mean.view(shape)) * torch.rsqrt(var + eps).view(shape)
        if weight is not None:
            y = y * weight.view(shape) + bias.view(shape)
        return y.to(x.dtype), mean, var

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, weight, _, ctx.eps = inputs
        ctx.save_for_backward(x, weight)
        ctx.mark_non_differentiable(output[1], output[2])

    @staticmethod
    def backward(ctx, grad, *unused):
        x, weight = ctx.saved_tensors
        axes, shape = layout(x)
        h, g = wide(x), wide(grad)
        var, mean = torch.var_mean(h, axes, correction=0, keepdim=True)
        inv = torch.rsqrt(var + ctx.eps)
        normed = (h - mean) * inv
        dweight = dbias = None
        if weight is not None:
            dweight = (g * normed).sum(axes)
            dbias = g.sum(axes)
            g = g * weight.view(shape)
        along = normed * (g * normed).mean(axes, keepdim=True)
        dx = inv * (g - g.mean(axes, keepdim=True) - along)
        return dx.to(x.dtype), dweight, dbias, None
'''

_AUTOGRAD = '''
    def forward(self, x):
        batch_stats = self.training or self.running_mean is None
        self._check_input(x, batch_stats)
        if batch_stats:
            y, mean, var = BatchNormFunction.apply(x, self.weight, self.bias, self.eps)
            if self.training and self.track_running_stats:
                self._remember(x, mean, var)
            return y
        shape = layout(x)[1]
        inv = torch.rsqrt(self.running_var + self.eps).view(shape)
        y = (wide(x) - self.running_mean.view(shape)) * inv
        if self.weight is not None:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(x.dtype)
'''

BASES = [
    _HEAD + _CLASS + _REMEMBER + _EXPLICIT,
    _HEAD + _CLASS + _FUNCTIONAL,
    _HEAD + _FUNCTION + _CLASS + _REMEMBER + _AUTOGRAD,
]


class Mutant(NamedTuple):
    name: str
    base: int
    old: str | tuple[str, ...]
    new: str | tuple[str, ...]
    fault: str
    kind: str


_KEEP = "self._remember(x, mean.flatten(), var.flatten())"
_ELSE = _KEEP + "\n        else:"
_AFFINE = "y = y * self.weight.view(shape) + self.bias.view(shape)"
_MODE = "batch_stats = self.training or self.running_mean is None"
_TRACK = "if self.training and self.track_running_stats:"
_WIDE = "h = x.to(torch.promote_types(x.dtype, torch.float32))"
_MEAN = "mean = h.mean(axes, keepdim=True)"
_VAR = "var = (h - mean).square().mean(axes, keepdim=True)"
_SCALE = "scale = torch.sqrt(var + self.eps)"
_RM = "self.running_mean.mul_(1 - factor).add_(factor * mean)"
_RV = "self.running_var.mul_(1 - factor).add_(factor * unbiased)"
_BESSEL = "unbiased = var * (count / (count - 1))"
_COUNT = "self.num_batches_tracked.add_(1)"
_CUMULATIVE = "factor = 1.0 / self.num_batches_tracked.to(var.dtype)"
_EVAL_MEAN = "mean = self.running_mean.view(shape)"
_EVAL_VAR = "var = self.running_var.view(shape)"
_OUT = "y = y * self.weight.view(shape) + self.bias.view(shape)\n        return y.to(x.dtype)"
_REPR = "    def extra_repr(self):"
_WEIGHT = "self.weight = nn.Parameter(torch.empty(num_features, **options))"
_BIAS = "self.bias = nn.Parameter(torch.empty(num_features, **options))"
_BUF_MEAN = 'self.register_buffer("running_mean", torch.empty(num_features, **options))'
_BUF_VAR = 'self.register_buffer("running_var", torch.empty(num_features, **options))'
_BUF_COUNT = 'self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long, device=device))'
_CALL = "return F.batch_norm(x, mean, var, self.weight, self.bias, batch_stats, factor, self.eps)"
_DX = "dx = inv * (g - g.mean(axes, keepdim=True) - along)"
_DIM = 'if x.dim() < 2:\n            raise ValueError(f"expected at least 2 dimensions, got {x.dim()}")'
_FLOAT = ('if not x.is_floating_point():\n            '
          'raise TypeError(f"expected a floating-point input, got {x.dtype}")')
_FREE = "self.num_batches_tracked.zero_()\n\n    def reset_parameters"


def _then(*lines):
    return _KEEP + "".join(f"\n            {line}" for line in lines) + "\n        else:"


def _inner(*lines):
    return "\n                ".join((_KEEP, *lines))


def _reject(condition, error, text):
    return f'\n        if {condition}:\n            raise {error}("{text}")'


def _method(code):
    return code.strip("\n") + "\n\n" + _REPR


MUTANTS = [
    # formula: axes of the statistics that normalise
    Mutant("axes_batch_only", 0, _ELSE,
           _then("mean, var = h.mean(0, keepdim=True), h.var(0, keepdim=True, unbiased=False)"),
           "In training every position is normalised by its own statistics over the batch axis only.", "formula"),
    Mutant("axes_per_sample", 0, _ELSE,
           _then("flat, per_sample = h.unsqueeze(-1).flatten(2), [-1] + shape[1:]",
                 "mean, var = flat.mean(2).view(per_sample), flat.var(2, unbiased=False).view(per_sample)"),
           "In training every sample is normalised by its own statistics (instance normalisation).", "formula"),
    Mutant("axes_layer", 0, _ELSE,
           _then("rest = list(range(1, h.dim()))",
                 "mean, var = h.mean(rest, keepdim=True), h.var(rest, keepdim=True, unbiased=False)"),
           "In training the statistics run over channels and positions of each sample (layer normalisation).",
           "formula"),
    Mutant("axes_all", 0, _ELSE, _then("mean, var = h.mean(), h.var(unbiased=False)"),
           "In training one mean and one variance of the whole tensor are used for all channels.", "formula"),
    Mutant("axes_all_mean", 0, _ELSE, _then("mean = h.mean()"),
           "In training the mean that is subtracted is the mean of the whole tensor, not of the channel.", "formula"),
    Mutant("axes_pooled_var", 0, _ELSE, _then("var = var.mean()"),
           "In training one variance, averaged over the channels, scales all channels.", "formula"),
    Mutant("axes_last_is_channel", 0, _ELSE,
           _then("rest = list(range(h.dim() - 1))",
                 "mean, var = h.mean(rest, keepdim=True), h.var(rest, keepdim=True, unbiased=False)"),
           "In training the last axis is taken for the channel axis when computing the statistics.", "formula"),
    Mutant("axes_width_left_out", 0, _ELSE,
           _then("part = axes[:2]",
                 "mean, var = h.mean(part, keepdim=True), h.var(part, keepdim=True, unbiased=False)"),
           "In training the statistics run over batch and first spatial axis only; the other axes are left out.",
           "formula"),
    Mutant("axes_depth_left_out", 0, _ELSE,
           _then("part = axes[:1] + axes[1:][-2:]",
                 "mean, var = h.mean(part, keepdim=True), h.var(part, keepdim=True, unbiased=False)"),
           "For 5-D inputs the training statistics leave out the depth axis.", "formula"),
    Mutant("axes_batch_left_out_of_mean", 0, _ELSE,
           _then("mean = h.unsqueeze(-1).flatten(2).mean(2).view([-1] + shape[1:])"),
           "In training the subtracted mean is that of the single sample, not of the batch.", "formula"),
    Mutant("axes_batch_left_out_of_var", 0, _ELSE,
           _then("var = h.unsqueeze(-1).flatten(2).var(2, unbiased=False).view([-1] + shape[1:])"),
           "In training the variance is that of the single sample, not of the batch.", "formula"),
    Mutant("axes_space_left_out_of_mean", 0, _ELSE, _then("mean = h.mean(0, keepdim=True)"),
           "In training the subtracted mean is taken over the batch axis only, position by position.", "formula"),
    Mutant("axes_space_left_out_of_var", 0, _ELSE, _then("var = h.var(0, keepdim=True, unbiased=False)"),
           "In training the variance is taken over the batch axis only, position by position.", "formula"),
    Mutant("axes_within_sample_var", 0, _ELSE,
           _then("flat = h.unsqueeze(-1).flatten(2)",
                 "var = (flat - flat.mean(2, keepdim=True)).square().mean((0, 2)).view(shape)"),
           "In training the variance is the average of the samples' own variances; the spread between samples is "
           "missing.", "formula"),
    Mutant("axes_first_channel_mean", 0, _ELSE, _then("mean = mean[:, :1]"),
           "In training the first channel's mean is subtracted from all channels.", "formula"),
    Mutant("axes_first_channel_var", 0, _ELSE, _then("var = var[:, :1]"),
           "In training the first channel's variance scales all channels.", "formula"),
    Mutant("axes_neighbour_mean", 0, _ELSE, _then("mean = mean.roll(1, 1)"),
           "In training each channel is centred with the mean of the channel before it.", "formula"),
    Mutant("axes_neighbour_var", 0, _ELSE, _then("var = var.roll(1, 1)"),
           "In training each channel is scaled with the variance of the channel before it.", "formula"),
    # formula: centre and scale
    Mutant("no_centre", 0, "y = centred / scale", "y = h / scale",
           "The mean is never subtracted.", "formula"),
    Mutant("no_centre_train", 0, _ELSE, _then("mean = torch.zeros_like(mean)"),
           "In training the mean is not subtracted.", "formula"),
    Mutant("no_scale", 0, "y = centred / scale", "y = centred",
           "The centred value is never divided by the standard deviation.", "formula"),
    Mutant("no_scale_train", 0, "y = centred / scale", "y = centred if batch_stats else centred / scale",
           "In training the centred value is not divided by the standard deviation.", "formula"),
    Mutant("var_for_std", 0, _SCALE, "scale = var + self.eps",
           "Divides by the variance instead of its square root.", "formula"),
    Mutant("var_for_std_train", 0, _SCALE, "scale = var + self.eps if batch_stats else torch.sqrt(var + self.eps)",
           "In training divides by the variance instead of its square root.", "formula"),
    Mutant("fourth_root", 0, _SCALE, "scale = torch.sqrt(var + self.eps).sqrt()",
           "The square root is taken twice.", "formula"),
    Mutant("times_std", 0, "y = centred / scale", "y = centred * scale",
           "Multiplies by the standard deviation instead of dividing.", "formula"),
    Mutant("sign_flipped", 0, "centred = h - mean", "centred = mean - h",
           "The subtraction is the wrong way round: mean minus input.", "formula"),
    Mutant("mean_added", 0, "centred = h - mean", "centred = h + mean",
           "The mean is added instead of subtracted.", "formula"),
    Mutant("mean_twice", 0, "centred = h - mean", "centred = h - 2 * mean",
           "The mean is subtracted twice.", "formula"),
    Mutant("mean_after_scale", 0, "y = centred / scale", "y = h / scale - mean",
           "The mean is subtracted after the division, without being scaled.", "formula"),
    Mutant("rms_norm", 0, _ELSE, _then("var = h.square().mean(axes, keepdim=True)"),
           "In training the scale is the root mean square of the raw input; the variance is not centred.", "formula"),
    Mutant("rms_norm_everywhere", 0, _VAR, "var = h.square().mean(axes, keepdim=True)",
           "The batch variance is computed without subtracting the mean (second moment).", "formula"),
    Mutant("ddof_one", 0, _ELSE, _then("var = h.var(axes, keepdim=True)"),
           "In training normalises with the unbiased variance (n - 1) instead of the biased one.", "formula"),
    Mutant("ddof_batch_size", 0, _ELSE, _then("var = var * h.size(0) / max(h.size(0) - 1, 1)"),
           "In training the variance is multiplied by N / (N - 1) with N the batch size.", "formula"),
    Mutant("ddof_reversed", 0, _ELSE,
           _then("n = h.numel() / self.num_features", "var = var * (n - 1) / max(n, 1)"),
           "In training the variance is multiplied by (n - 1) / n, the correction the wrong way round.", "formula"),
    Mutant("ddof_two", 0, _ELSE,
           _then("n = h.numel() / self.num_features", "var = var * n / max(n - 2, 1)"),
           "In training the sum of squares is divided by n - 2 instead of n.", "formula"),
    Mutant("mean_sum_over_batch_size", 0, _MEAN, "mean = h.sum(axes, keepdim=True) / h.size(0)",
           "The mean divides the sum over all values of a channel by the batch size N instead of N*H*W.", "formula"),
    Mutant("var_sum_over_batch_size", 0, _VAR, "var = (h - mean).square().sum(axes, keepdim=True) / h.size(0)",
           "The variance divides the sum over all values of a channel by the batch size N instead of N*H*W.",
           "formula"),
    Mutant("unit_norm", 0, _ELSE, _then("var = (h - mean).square().sum(axes, keepdim=True)"),
           "In training divides by the channel's Euclidean norm: the sum of squares is not divided by n.", "formula"),
    Mutant("mean_absolute_deviation", 0, _ELSE, _then("var = (h - mean).abs().mean(axes, keepdim=True).square()"),
           "In training the scale is the mean absolute deviation instead of the standard deviation.", "formula"),
    Mutant("range_scale", 0, _ELSE,
           _then("var = (h.amax(axes, keepdim=True) - h.amin(axes, keepdim=True)).square()"),
           "In training divides by the range (max - min) instead of the standard deviation.", "formula"),
    Mutant("max_scale", 0, _ELSE, _then("var = (h - mean).abs().amax(axes, keepdim=True).square()"),
           "In training divides by the largest absolute deviation instead of the standard deviation.", "formula"),
    Mutant("median_centre", 0, _ELSE, _then("mean = h.transpose(0, 1).flatten(1).median(1).values.view(shape)"),
           "In training the median is subtracted instead of the mean.", "formula"),
    Mutant("min_centre", 0, _ELSE, _then("mean = h.amin(axes, keepdim=True)"),
           "In training the minimum is subtracted instead of the mean.", "formula"),
    Mutant("var_cancellation", 0, _VAR, "var = h.square().mean(axes, keepdim=True) - mean.square()",
           "The variance is computed as E[x^2] - E[x]^2, which cancels for inputs far from zero.", "formula"),
    Mutant("var_cancellation_clamped", 0, _VAR,
           "var = (h.square().mean(axes, keepdim=True) - mean.square()).clamp(min=0)",
           "The variance is computed as E[x^2] - E[x]^2 and clamped at zero; it cancels for inputs far from zero.",
           "formula"),
    Mutant("var_around_running_mean", 0, _VAR,
           "origin = mean if self.running_mean is None else self.running_mean.view(shape)\n"
           "            var = (h - origin).square().mean(axes, keepdim=True)",
           "The batch variance is taken around the running mean instead of the batch mean.", "formula"),
    Mutant("std_floor_one", 0, _SCALE, "scale = torch.sqrt(var + self.eps).clamp(min=1)",
           "The divisor is never allowed below 1.", "formula"),
    Mutant("normalised_twice", 0, _ELSE,
           _then("h = (h - mean) / torch.sqrt(var + self.eps)", _MEAN, _VAR),
           "In training the input is normalised twice in a row.", "formula"),
    # formula: eps
    Mutant("eps_outside_root", 0, _SCALE, "scale = torch.sqrt(var) + self.eps",
           "eps is added to the standard deviation, outside the root.", "formula"),
    Mutant("eps_missing", 0, _SCALE, "scale = torch.sqrt(var)",
           "eps is not used at all.", "formula"),
    Mutant("eps_missing_train", 0, _SCALE, "scale = torch.sqrt(var + (0.0 if self.training else self.eps))",
           "eps is left out in training.", "formula"),
    Mutant("eps_twice", 0, _SCALE, "scale = torch.sqrt(var + self.eps) + self.eps",
           "eps is added twice, inside and outside the root.", "formula"),
    Mutant("eps_doubled", 0, _ELSE, _then("var = var + self.eps"),
           "In training eps is added to the variance twice.", "formula"),
    Mutant("eps_squared", 0, _SCALE, "scale = torch.sqrt(var + self.eps ** 2)",
           "eps is squared before it is added to the variance.", "formula"),
    Mutant("eps_root", 0, _SCALE, "scale = torch.sqrt(var + self.eps ** 0.5)",
           "The square root of eps is added to the variance instead of eps.", "formula"),
    Mutant("eps_clamp_var", 0, _SCALE, "scale = torch.sqrt(var.clamp(min=self.eps))",
           "The variance is clamped at eps instead of having eps added.", "formula"),
    Mutant("eps_clamp_std", 0, _SCALE, "scale = torch.sqrt(var).clamp(min=self.eps)",
           "The standard deviation is clamped at eps instead of adding eps to the variance.", "formula"),
    Mutant("eps_subtracted", 0, _SCALE, "scale = torch.sqrt((var - self.eps).abs())",
           "eps is subtracted from the variance instead of added.", "formula"),
    Mutant("eps_relative", 0, _SCALE, "scale = torch.sqrt(var * (1 + self.eps))",
           "eps is applied relative to the variance, so a constant channel divides by zero.", "formula"),
    Mutant("eps_only_for_zero_var", 0, _SCALE,
           "scale = torch.sqrt(torch.where(var == 0, torch.full_like(var, self.eps), var))",
           "eps is only used where the variance is exactly zero.", "formula"),
    Mutant("eps_in_numerator", 0, "y = centred / scale", "y = (centred + self.eps) / scale",
           "eps is also added to the numerator.", "formula"),
    # formula: affine
    Mutant("affine_swapped", 0, _AFFINE, "y = y * self.bias.view(shape) + self.weight.view(shape)",
           "weight and bias are swapped: multiplies by bias and adds weight.", "formula"),
    Mutant("affine_before", 0, ("centred = h - mean", _AFFINE),
           ("centred = (h if self.weight is None else h * self.weight.view(shape) + self.bias.view(shape)) - mean",
            "pass"),
           "weight and bias are applied to the input before it is normalised.", "formula"),
    Mutant("bias_before_scale", 0, ("y = centred / scale", _AFFINE),
           ("y = (centred if self.bias is None else centred + self.bias.view(shape)) / scale",
            "y = y * self.weight.view(shape)"),
           "bias is added before the division by the standard deviation and the multiplication by weight.", "formula"),
    Mutant("bias_times_weight", 0, _AFFINE, "y = (y + self.bias.view(shape)) * self.weight.view(shape)",
           "bias is added before the multiplication by weight, so it is scaled too.", "formula"),
    Mutant("weight_shared", 0, _AFFINE, "y = y * self.weight.mean() + self.bias.view(shape)",
           "One weight, the mean over the channels, scales all channels.", "formula"),
    Mutant("weight_first_only", 0, _AFFINE, "y = y * self.weight[0] + self.bias.view(shape)",
           "The first element of weight is used for all channels.", "formula"),
    Mutant("bias_first_only", 2, _AFFINE, "y = y * self.weight.view(shape) + self.bias[0]",
           "In evaluation the first element of bias is used for all channels.", "formula"),
    Mutant("bias_shared", 0, _AFFINE, "y = y * self.weight.view(shape) + self.bias.mean()",
           "One bias, the mean over the channels, is added to all channels.", "formula"),
    Mutant("weight_reversed", 0, _AFFINE, "y = y * self.weight.flip(0).view(shape) + self.bias.view(shape)",
           "weight is applied to the channels in reverse order.", "formula"),
    Mutant("weight_missing", 0, _AFFINE, "y = y + self.bias.view(shape)",
           "weight is never multiplied in.", "formula"),
    Mutant("bias_missing", 0, _AFFINE, "y = y * self.weight.view(shape)",
           "bias is never added.", "formula"),
    Mutant("affine_missing_train", 0, "if self.weight is not None:",
           "if self.weight is not None and not self.training:",
           "weight and bias are not applied in training.", "formula"),
    Mutant("affine_missing_eval", 2, "if self.weight is not None:", "if False:",
           "weight and bias are not applied in evaluation.", "formula"),
    Mutant("bias_missing_eval", 1, _CALL,
           "bias = self.bias if self.training else None\n"
           "        return F.batch_norm(x, mean, var, self.weight, bias, batch_stats, factor, self.eps)",
           "bias is not added in evaluation.", "formula"),
    Mutant("weight_missing_train", 1, _CALL,
           "weight = self.weight\n"
           "        if self.training and weight is not None:\n            weight = torch.ones_like(weight)\n"
           "        return F.batch_norm(x, mean, var, weight, self.bias, batch_stats, factor, self.eps)",
           "weight is not applied in training.", "formula"),
    Mutant("weight_divides", 0, _AFFINE, "y = y / self.weight.view(shape) + self.bias.view(shape)",
           "Divides by weight instead of multiplying.", "formula"),
    Mutant("weight_twice", 0, _AFFINE, "y = y * self.weight.view(shape).square() + self.bias.view(shape)",
           "weight is multiplied in twice.", "formula"),
    Mutant("bias_subtracted", 0, _AFFINE, "y = y * self.weight.view(shape) - self.bias.view(shape)",
           "bias is subtracted instead of added.", "formula"),
    Mutant("bias_twice_eval", 2, _OUT,
           "y = y * self.weight.view(shape) + 2 * self.bias.view(shape)\n        return y.to(x.dtype)",
           "In evaluation bias is added twice.", "formula"),
    Mutant("weight_plus_one", 0, _AFFINE, "y = y * (1 + self.weight.view(shape)) + self.bias.view(shape)",
           "Scales by 1 + weight although weight starts at 1.", "formula"),
    Mutant("weight_abs", 0, _AFFINE, "y = y * self.weight.abs().view(shape) + self.bias.view(shape)",
           "The absolute value of weight is used, so a negative weight loses its sign.", "formula"),
    Mutant("weight_clamped", 0, _AFFINE, "y = y * self.weight.clamp(min=0).view(shape) + self.bias.view(shape)",
           "weight is clamped at zero, so negative weights switch the channel off.", "formula"),
    Mutant("weight_exp", 0, _AFFINE, "y = y * self.weight.exp().view(shape) + self.bias.view(shape)",
           "The exponential of weight is used as the scale.", "formula"),
    Mutant("weight_mean_not_scaled_eval", 2, "y = (wide(x) - self.running_mean.view(shape)) * inv",
           "y = wide(x) * inv - self.running_mean.view(shape)",
           "In evaluation the running mean is subtracted after the scaling, without being scaled itself.", "formula"),
    Mutant("eval_scale_std", 2, "inv = torch.rsqrt(self.running_var + self.eps).view(shape)",
           "inv = torch.reciprocal(self.running_var + self.eps).view(shape)",
           "Evaluation divides by the running variance instead of its square root.", "formula"),
    Mutant("eval_eps_outside", 2, "inv = torch.rsqrt(self.running_var + self.eps).view(shape)",
           "inv = 1 / (self.running_var.sqrt() + self.eps).view(shape)",
           "In evaluation eps is added to the standard deviation, outside the root.", "formula"),
    Mutant("eval_eps_twice", 2, "inv = torch.rsqrt(self.running_var + self.eps).view(shape)",
           "inv = torch.rsqrt(self.running_var + 2 * self.eps).view(shape)",
           "In evaluation eps is added to the variance twice.", "formula"),

    # gradient: detached parts
    Mutant("mean_detached", 0, "centred = h - mean", "centred = h - mean.detach()",
           "The subtracted mean is detached: no gradient flows through the mean.", "gradient"),
    Mutant("var_detached", 0, _SCALE, "scale = torch.sqrt(var + self.eps).detach()",
           "The standard deviation is detached: no gradient flows through the variance.", "gradient"),
    Mutant("stats_detached", 0, _ELSE, _then("mean, var = mean.detach(), var.detach()"),
           "Batch mean and variance are both detached and treated as constants in the backward pass.", "gradient"),
    Mutant("stats_detached_when_tracking", 0, _KEEP,
           "mean, var = mean.detach(), var.detach()\n                " + _KEEP,
           "The statistics are detached for the update of the buffers and then used detached for normalising too.",
           "gradient"),
    Mutant("mean_in_var_detached", 0, _VAR, "var = (h - mean.detach()).square().mean(axes, keepdim=True)",
           "The mean inside the variance is detached, which only the second derivative notices.", "gradient"),
    Mutant("weight_detached", 0, _AFFINE, "y = y * self.weight.detach().view(shape) + self.bias.view(shape)",
           "weight is detached in the forward pass and gets no gradient.", "gradient"),
    Mutant("bias_detached", 0, _AFFINE, "y = y * self.weight.view(shape) + self.bias.detach().view(shape)",
           "bias is detached in the forward pass and gets no gradient.", "gradient"),
    Mutant("weight_data", 1, _CALL, _CALL.replace("self.weight", "None if self.weight is None else self.weight.data"),
           "weight.data is used in the forward pass, so weight gets no gradient.", "gradient"),
    Mutant("input_detached", 0, _WIDE, _WIDE.replace("x.to", "x.detach().to"),
           "The input is detached: no gradient reaches it.", "gradient"),
    Mutant("input_data", 1, _CALL, _CALL.replace("(x,", "(x.data,"),
           "x.data is normalised, so no gradient reaches the input.", "gradient"),
    Mutant("eval_no_grad", 0, _OUT, _OUT.replace("return y", "return (y if batch_stats else y.detach())"),
           "The evaluation output is detached: no gradient flows in evaluation mode.", "gradient"),
    Mutant("eval_input_detached", 2, "y = (wide(x) - self", "y = (wide(x.detach()) - self",
           "In evaluation mode the input is detached.", "gradient"),
    Mutant("straight_through", 0, "y = centred / scale", "y = h + (centred / scale - h).detach()",
           "The gradient is passed straight through as if normalisation were the identity.", "gradient"),
    Mutant("gradient_halved", 0, "y = centred / scale", "y = (centred / scale + (centred / scale).detach()) / 2",
           "The gradient of the normalised value is halved by a half-detached average.", "gradient"),
    Mutant("gradient_clipped", 0, _OUT,
           _OUT.replace("return", "if y.requires_grad:\n            y.register_hook(lambda g: g.clamp(-1, 1))\n"
                        "        return"),
           "A hook clips the incoming gradient to [-1, 1].", "gradient"),
    Mutant("mean_numpy", 0, _ELSE,
           _then("mean = torch.from_numpy(h.detach().numpy().mean(tuple(axes), keepdims=True))"),
           "The mean is computed in numpy, outside autograd.", "gradient"),
    Mutant("weight_frozen", 0, _WEIGHT, _WEIGHT.replace("**options)", "**options), requires_grad=False"),
           "weight is created with requires_grad=False.", "gradient"),
    Mutant("bias_frozen", 1, _BIAS, _BIAS.replace("**options)", "**options), requires_grad=False"),
           "bias is created with requires_grad=False.", "gradient"),
    # gradient: backward formulas
    Mutant("back_mean_term_missing", 2, _DX, "dx = inv * (g - along)",
           "The backward pass lacks the term of the mean (the mean of the gradient is not subtracted).", "gradient"),
    Mutant("back_projection_missing", 2, _DX, "dx = inv * (g - g.mean(axes, keepdim=True))",
           "The backward pass lacks the term of the variance (the projection on the normalised value).", "gradient"),
    Mutant("back_both_terms_missing", 2, _DX, "dx = inv * g",
           "The backward pass treats the statistics as constants.", "gradient"),
    Mutant("back_n_minus_one", 2, "along = normed * (g * normed).mean(axes, keepdim=True)",
           "along = normed * (g * normed).sum(axes, keepdim=True) / (x.numel() // x.size(1) - 1)",
           "The variance term of the backward pass divides by n - 1 although the forward pass divides by n.",
           "gradient"),
    Mutant("back_mean_n_minus_one", 2, _DX,
           "dx = inv * (g - g.sum(axes, keepdim=True) / (x.numel() // x.size(1) - 1) - along)",
           "The mean term of the backward pass divides by n - 1 instead of n.", "gradient"),
    Mutant("back_projection_sign", 2, _DX, "dx = inv * (g - g.mean(axes, keepdim=True) + along)",
           "The variance term of the backward pass has the wrong sign.", "gradient"),
    Mutant("back_mean_sign", 2, _DX, "dx = inv * (g + g.mean(axes, keepdim=True) - along)",
           "The mean term of the backward pass has the wrong sign.", "gradient"),
    Mutant("back_projection_doubled", 2, _DX, "dx = inv * (g - g.mean(axes, keepdim=True) - 2 * along)",
           "The variance term of the backward pass is twice too large.", "gradient"),
    Mutant("back_projection_unscaled", 2, "along = normed *", "along = (h - mean) *",
           "The variance term of the backward pass uses the centred instead of the normalised input.", "gradient"),
    Mutant("back_projection_sum", 2, "along = normed * (g * normed).mean(axes, keepdim=True)",
           "along = normed * (g * normed).sum(axes, keepdim=True)",
           "The variance term of the backward pass is summed instead of averaged over the batch.", "gradient"),
    Mutant("back_mean_batch_axis", 2, _DX, "dx = inv * (g - g.mean(0, keepdim=True) - along)",
           "The mean term of the backward pass averages over the batch axis only.", "gradient"),
    Mutant("back_mean_all_axes", 2, _DX, "dx = inv * (g - g.mean() - along)",
           "The mean term of the backward pass averages over the channels too.", "gradient"),
    Mutant("back_inv_missing", 2, _DX, "dx = g - g.mean(axes, keepdim=True) - along",
           "The input gradient is not divided by the standard deviation.", "gradient"),
    Mutant("back_inv_squared", 2, _DX, "dx = inv.square() * (g - g.mean(axes, keepdim=True) - along)",
           "The input gradient is divided by the variance instead of the standard deviation.", "gradient"),
    Mutant("back_weight_missing", 2, "g = g * weight.view(shape)", "pass",
           "The input gradient is not multiplied by weight.", "gradient"),
    Mutant("back_weight_twice", 2, "g = g * weight.view(shape)", "g = g * weight.view(shape).square()",
           "The input gradient is multiplied by weight twice.", "gradient"),
    Mutant("back_weight_abs", 2, "g = g * weight.view(shape)", "g = g * weight.abs().view(shape)",
           "The input gradient uses the absolute value of weight.", "gradient"),
    Mutant("back_projection_weight_missing", 2, "along = normed * (g * normed).mean(axes, keepdim=True)",
           "along = normed * (wide(grad) * normed).mean(axes, keepdim=True)",
           "The variance term of the backward pass lacks the factor weight.", "gradient"),
    Mutant("back_bias_averaged", 2, "dbias = g.sum(axes)", "dbias = g.mean(axes)",
           "The gradient of bias is averaged instead of summed over the batch.", "gradient"),
    Mutant("back_weight_averaged", 2, "dweight = (g * normed).sum(axes)", "dweight = (g * normed).mean(axes)",
           "The gradient of weight is averaged instead of summed over the batch.", "gradient"),
    Mutant("back_weight_over_batch_size", 2, "dweight = (g * normed).sum(axes)",
           "dweight = (g * normed).sum(axes) / max(x.size(0), 1)",
           "The gradient of weight is divided by the batch size.", "gradient"),
    Mutant("back_weight_from_input", 2, "dweight = (g * normed).sum(axes)", "dweight = (g * h).sum(axes)",
           "The gradient of weight is computed from the raw input instead of the normalised one.", "gradient"),
    Mutant("back_weight_from_centred", 2, "dweight = (g * normed).sum(axes)", "dweight = (g * (h - mean)).sum(axes)",
           "The gradient of weight is computed from the centred input that is not divided by the standard deviation.",
           "gradient"),
    Mutant("back_weight_times_weight", 2, "dweight = (g * normed).sum(axes)",
           "dweight = (g * normed).sum(axes) * weight",
           "The gradient of weight is multiplied by weight.", "gradient"),
    Mutant("back_bias_times_weight", 2, "dbias = g.sum(axes)", "dbias = g.sum(axes) * weight",
           "The gradient of bias is multiplied by weight.", "gradient"),
    Mutant("back_bias_all_channels", 2, "dbias = g.sum(axes)", "dbias = g.sum().expand(weight.shape)",
           "The gradient of bias is summed over the channels too.", "gradient"),
    Mutant("back_params_swapped", 2, "return dx.to(x.dtype), dweight, dbias, None",
           "return dx.to(x.dtype), dbias, dweight, None",
           "The gradients of weight and bias are returned in the wrong order.", "gradient"),
    Mutant("back_bias_none", 2, "return dx.to(x.dtype), dweight, dbias, None",
           "return dx.to(x.dtype), dweight, None, None",
           "The backward pass returns no gradient for bias.", "gradient"),
    Mutant("back_affine_false_none", 2, "return dx.to(x.dtype), dweight, dbias, None",
           "return None if weight is None else dx.to(x.dtype), dweight, dbias, None",
           "With affine=False the backward pass returns no gradient for the input.", "gradient"),
    Mutant("back_eps_missing", 2, "inv = torch.rsqrt(var + ctx.eps)", "inv = torch.rsqrt(var)",
           "The backward pass leaves out eps.", "gradient"),
    Mutant("back_eps_default", 2, "inv = torch.rsqrt(var + ctx.eps)", "inv = torch.rsqrt(var + 1e-5)",
           "The backward pass uses a hard-coded eps of 1e-5 instead of the layer's.", "gradient"),
    Mutant("back_unbiased", 2, "var, mean = torch.var_mean(h, axes, correction=0, keepdim=True)",
           "var, mean = torch.var_mean(h, axes, correction=1, keepdim=True)",
           "The backward pass normalises with the unbiased variance, the forward pass with the biased one.",
           "gradient"),
    Mutant("back_once", 2, "    @staticmethod\n    def backward",
           "    @staticmethod\n    @torch.autograd.function.once_differentiable\n    def backward",
           "The backward pass is marked once-differentiable, so second derivatives fail.", "gradient"),
    Mutant("back_saved_detached", 2, "h, g = wide(x), wide(grad)", "h, g = wide(x.detach()), wide(grad)",
           "The backward pass treats the input as a constant, so second derivatives lack its share.", "gradient"),
    Mutant("back_grad_detached", 2, "h, g = wide(x), wide(grad)", "h, g = wide(x), wide(grad.detach())",
           "The backward pass detaches the incoming gradient, so second derivatives lack its share.", "gradient"),
    Mutant("back_inv_detached", 2, "inv = torch.rsqrt(var + ctx.eps)", "inv = torch.rsqrt(var + ctx.eps).detach()",
           "The inverse standard deviation is a constant in the backward pass, so second derivatives are wrong.",
           "gradient"),
    Mutant("back_weight_saved_detached", 2, "g = g * weight.view(shape)", "g = g * weight.detach().view(shape)",
           "The backward pass treats weight as a constant, so second derivatives lack its share.", "gradient"),
    Mutant("back_no_grad", 2, "    @staticmethod\n    def backward",
           "    @staticmethod\n    @torch.no_grad()\n    def backward",
           "The backward pass runs under no_grad, so second derivatives are lost.", "gradient"),
    Mutant("back_input_kept_on_ctx", 2, ("ctx.save_for_backward(x, weight)", "x, weight = ctx.saved_tensors"),
           ("ctx.save_for_backward(weight)\n        ctx.x = x", "x, (weight,) = ctx.x, ctx.saved_tensors"),
           "The input is kept as an attribute of ctx instead of save_for_backward, so in-place changes go unnoticed.",
           "gradient"),
    Mutant("back_grad_in_place", 2, "g = g * weight.view(shape)", "g = g.mul_(weight.detach().view(shape))",
           "The backward pass multiplies the incoming gradient by weight in place.", "gradient"),

    # running: the average
    Mutant("momentum_reversed", 0, "factor = self.momentum", "factor = 1 - self.momentum",
           "momentum weights the old running statistics instead of the new batch.", "running"),
    Mutant("momentum_reversed_functional", 1, "factor = self.momentum",
           "factor = None if self.momentum is None else 1 - self.momentum",
           "1 - momentum is passed as the weight of the new batch.", "running"),
    Mutant("momentum_reversed_mean", 0, _RM, "self.running_mean.mul_(factor).add_((1 - factor) * mean)",
           "The running mean weights the new batch with 1 - momentum.", "running"),
    Mutant("momentum_reversed_var", 0, _RV, "self.running_var.mul_(factor).add_((1 - factor) * unbiased)",
           "The running variance weights the new batch with 1 - momentum.", "running"),
    Mutant("last_batch", 0, (_RM, _RV), ("self.running_mean.copy_(mean)", "self.running_var.copy_(unbiased)"),
           "The running statistics are overwritten by the last batch instead of averaged.", "running"),
    Mutant("last_batch_mean", 2, _RM, "self.running_mean.copy_(mean)",
           "The running mean is overwritten by the last batch mean.", "running"),
    Mutant("last_batch_var", 2, _RV, "self.running_var.copy_(unbiased)",
           "The running variance is overwritten by the last batch variance.", "running"),
    Mutant("never_updated", 0, (_RM, _RV), ("pass", "pass"),
           "The running statistics are never updated.", "running"),
    Mutant("never_updated_copies", 1, _CALL,
           "if mean is not None:\n            mean, var = mean.clone(), var.clone()\n        " + _CALL,
           "F.batch_norm gets copies of the running statistics, so the buffers are never updated.", "running"),
    Mutant("mean_never_updated", 0, _RM, "pass",
           "The running mean is never updated.", "running"),
    Mutant("var_never_updated", 0, _RV, "pass",
           "The running variance is never updated.", "running"),
    Mutant("mean_not_in_place", 2, _RM, "self.running_mean.mul(1 - factor).add(factor * mean)",
           "The new running mean is computed but not stored.", "running"),
    Mutant("updated_twice", 0, (_RM, _RV),
           ("for _ in range(2):\n            " + _RM, "for _ in range(2):\n            " + _RV),
           "Every training batch is averaged into the running statistics twice.", "running"),
    Mutant("updated_twice_functional", 1, _CALL, _CALL.replace("return", "y =") + "\n        " + _CALL,
           "F.batch_norm is called twice per forward pass, so the running statistics are updated twice.", "running"),
    Mutant("mean_updated_twice", 2, _RM, _RM + "\n        " + _RM,
           "The running mean is updated twice per batch.", "running"),
    Mutant("no_decay", 0, (_RM, _RV),
           ("self.running_mean.add_(factor * mean)", "self.running_var.add_(factor * unbiased)"),
           "The old running statistics are not multiplied by 1 - momentum, so they grow.", "running"),
    Mutant("mean_no_decay", 2, _RM, "self.running_mean.add_(factor * mean)",
           "The old running mean is not multiplied by 1 - momentum.", "running"),
    Mutant("var_no_share", 2, _RV, "self.running_var.mul_(1 - factor).add_(unbiased)",
           "The new batch variance is not multiplied by momentum before it is added.", "running"),
    Mutant("decay_only", 0, _RV, "self.running_var.mul_(1 - factor)",
           "The running variance only decays; the batch variance is not added.", "running"),
    Mutant("running_var_max", 0, _RV, "self.running_var.copy_(torch.maximum(self.running_var, unbiased))",
           "The running variance keeps the largest batch variance instead of averaging.", "running"),
    Mutant("first_batch_replaces", 0, _BESSEL,
           "factor = factor + (1 - factor) * (self.num_batches_tracked == 1).to(var.dtype)\n        " + _BESSEL,
           "The first batch replaces the initial running statistics instead of being weighted by momentum.", "running"),
    Mutant("momentum_over_batches", 0, "factor = self.momentum",
           "factor = self.momentum / self.num_batches_tracked.to(var.dtype)",
           "momentum is divided by the number of batches, so later batches count less.", "running"),
    Mutant("every_second_batch", 0, _BESSEL,
           "factor = factor * (self.num_batches_tracked % 2).to(var.dtype)\n        " + _BESSEL,
           "Only every second training batch updates the running statistics.", "running"),
    Mutant("stops_after_twenty", 0, _BESSEL,
           "factor = factor * (self.num_batches_tracked <= 20).to(var.dtype)\n        " + _BESSEL,
           "The running statistics are no longer updated after twenty batches.", "running"),
    Mutant("one_batch_late", 0, _RM,
           "late, self._late = getattr(self, '_late', None), (mean.detach(), unbiased)\n"
           "        if late is None:\n            return\n        mean, unbiased = late\n        " + _RM,
           "The running statistics are updated with the batch before the current one.", "running"),
    Mutant("adam_correction", 0, _EVAL_MEAN,
           "seen = self.num_batches_tracked.to(h.dtype)\n"
           "            share = 1 - (1 - (self.momentum or 0)) ** seen\n"
           "            mean = (self.running_mean / torch.where(share > 0, share, 1)).view(shape)",
           "Evaluation divides the running mean by 1 - (1 - momentum)^t, an optimiser's start-up correction.",
           "running"),
    # running: which variance and mean are remembered
    Mutant("running_var_biased", 0, _BESSEL, "unbiased = var",
           "The running variance averages the biased instead of the unbiased batch variance.", "running"),
    Mutant("bessel_batch_size", 0, _BESSEL, "unbiased = var * (x.size(0) / max(x.size(0) - 1, 1))",
           "The unbiased running variance uses N / (N - 1) with N the batch size instead of N*H*W.", "running"),
    Mutant("bessel_space", 2, _BESSEL,
           "space = count // x.size(0)\n        unbiased = var * (space / max(space - 1, 1))",
           "The unbiased running variance uses the number of positions H*W instead of N*H*W.", "running"),
    Mutant("bessel_all_values", 2, _BESSEL, "unbiased = var * (x.numel() / (x.numel() - 1))",
           "The unbiased running variance counts the values of all channels instead of one channel's.", "running"),
    Mutant("bessel_twice", 0, _BESSEL, "unbiased = var * (count / (count - 1)) ** 2",
           "The correction n / (n - 1) of the running variance is applied twice.", "running"),
    Mutant("bessel_reversed", 0, _BESSEL, "unbiased = var * ((count - 1) / count)",
           "The running variance is multiplied by (n - 1) / n instead of n / (n - 1).", "running"),
    Mutant("bessel_mean", 0, _RM, "self.running_mean.mul_(1 - factor).add_(factor * mean * (count / (count - 1)))",
           "The correction n / (n - 1) is applied to the running mean too.", "running"),
    Mutant("running_std", 0, _BESSEL, "unbiased = (var * (count / (count - 1))).sqrt()",
           "The buffer running_var averages standard deviations but is read as a variance.", "running"),
    Mutant("std_averaged", 0, _RV,
           "self.running_var.sqrt_().mul_(1 - factor).add_(factor * unbiased.sqrt()).square_()",
           "The running variance is the square of averaged standard deviations instead of averaged variances.",
           "running"),
    Mutant("inverse_std_averaged", 0, _RV,
           "self.running_var.rsqrt_().mul_(1 - factor).add_(factor * unbiased.rsqrt()).pow_(-2)",
           "The inverse standard deviations are averaged instead of the variances.", "running"),
    Mutant("log_var_averaged", 2, _RV,
           "self.running_var.log_().mul_(1 - factor).add_(factor * unbiased.log()).exp_()",
           "The logarithms of the variances are averaged (geometric mean) instead of the variances.", "running"),
    Mutant("running_normalised", 0, _KEEP,
           "z = (h - mean) / torch.sqrt(var + self.eps)\n"
           "                self._remember(x, z.mean(axes), z.var(axes, unbiased=False))",
           "The statistics of the normalised output are remembered instead of the input's.", "running"),
    Mutant("running_var_normalised", 0, _KEEP,
           "self._remember(x, mean.flatten(), (var / (var + self.eps)).flatten())",
           "The variance of the normalised output is remembered instead of the input's.", "running"),
    Mutant("running_affine_output", 0, _KEEP,
           "z = (h - mean) / torch.sqrt(var + self.eps)\n"
           "                z = z if self.weight is None else z * self.weight.view(shape) + self.bias.view(shape)\n"
           "                self._remember(x, z.mean(axes), z.var(axes, unbiased=False))",
           "The statistics of the layer's output, after weight and bias, are remembered.", "running"),
    Mutant("running_affine_input", 0, _KEEP,
           "z = h if self.weight is None else h * self.weight.view(shape) + self.bias.view(shape)\n"
           "                self._remember(x, z.mean(axes), z.var(axes, unbiased=False))",
           "The remembered statistics are those of the input multiplied by weight and shifted by bias.", "running"),
    Mutant("running_exchanged", 0, _KEEP, "self._remember(x, var.flatten(), mean.flatten())",
           "Mean and variance are exchanged in the update: the mean goes into running_var and the variance into "
           "running_mean.", "running"),
    Mutant("running_second_moment", 0, _KEEP, "self._remember(x, mean.flatten(), (var + mean.square()).flatten())",
           "The running variance averages the second moment E[x^2] instead of the variance.", "running"),
    Mutant("running_mean_abs", 0, _RM, "self.running_mean.mul_(1 - factor).add_(factor * mean.abs())",
           "The running mean averages the absolute value of the batch mean.", "running"),
    Mutant("running_mean_of_abs", 0, _KEEP, "self._remember(x, h.abs().mean(axes), var.flatten())",
           "The running mean averages the mean of |x| instead of the mean of x.", "running"),
    Mutant("running_mean_subtracted", 2, _RM, "self.running_mean.mul_(1 - factor).sub_(factor * mean)",
           "The batch mean enters the running mean with the wrong sign.", "running"),
    Mutant("running_mean_sum", 0, _KEEP, "self._remember(x, h.sum(axes) / h.size(0), var.flatten())",
           "The remembered mean divides the channel's sum by the batch size N instead of N*H*W.", "running"),
    Mutant("running_first_sample", 0, _KEEP,
           "part = h[:1]\n"
           "                self._remember(x, part.mean(axes), part.var(axes, unbiased=False))",
           "Only the first sample's statistics are remembered.", "running"),
    Mutant("running_var_within_samples", 0, _KEEP,
           "flat = h.unsqueeze(-1).flatten(2)\n"
           "                self._remember(x, mean.flatten(), flat.var(2, unbiased=False).mean(0))",
           "The remembered variance is the average of the samples' own variances; the spread between samples is "
           "missing.", "running"),
    Mutant("running_var_within_positions", 0, _KEEP,
           "flat = h.unsqueeze(-1).flatten(2)\n"
           "                self._remember(x, mean.flatten(), flat.var(0, unbiased=False).mean(1))",
           "The remembered variance is taken over the batch axis at each position and then averaged.", "running"),
    Mutant("running_mean_all_channels", 0, _KEEP,
           "self._remember(x, mean.mean().expand(self.num_features), var.flatten())",
           "The mean over all channels is remembered for every channel.", "running"),
    Mutant("running_var_all_channels", 0, _KEEP,
           "self._remember(x, mean.flatten(), h.var(unbiased=False).expand(self.num_features))",
           "The variance of the whole tensor is remembered for every channel.", "running"),
    Mutant("running_mean_channel_shift", 2, _RM, "self.running_mean.mul_(1 - factor).add_(factor * mean.roll(1))",
           "The batch means are stored one channel off.", "running"),
    Mutant("running_var_with_eps", 0, _BESSEL, "unbiased = var * (count / (count - 1)) + self.eps",
           "eps is already added to the variance that is remembered.", "running"),
    Mutant("running_var_around_running_mean", 0, (_BESSEL, _RM, _RV),
           (_RM, "off = mean - self.running_mean.to(mean.dtype)",
            "unbiased = (var + off.square()) * (count / (count - 1))\n        " + _RV),
           "The remembered variance is taken around the running mean instead of the batch mean.", "running"),
    Mutant("running_var_floor", 2, _RV, _RV + ".clamp_(min=0.1)",
           "The running variance is never allowed below 0.1.", "running"),
    Mutant("graph_kept", 0, "    @torch.no_grad()\n    def _remember", "    def _remember",
           "The running statistics are updated without detaching, so they keep the graph of every batch.", "running"),
    Mutant("graph_kept_mean", 0, _RM,
           "with torch.enable_grad():\n            " + _RM,
           "The running mean is updated without detaching, so it keeps the graph of every batch.", "running"),
    # running: momentum=None and the counter
    Mutant("momentum_none_zero", 0, _CUMULATIVE, "factor = 0.0",
           "momentum=None is treated as momentum 0, so the running statistics never change.", "running"),
    Mutant("momentum_none_tenth", 0, _CUMULATIVE, "factor = 0.1",
           "momentum=None is treated as momentum 0.1 instead of a cumulative average.", "running"),
    Mutant("momentum_none_one", 2, _CUMULATIVE, "factor = 1.0",
           "momentum=None keeps only the last batch instead of a cumulative average.", "running"),
    Mutant("momentum_none_zero_functional", 1,
           "factor = 1.0 / float(self.num_batches_tracked) if remember else 0.0", "factor = 0.0",
           "momentum=None passes 0 to F.batch_norm, so the running statistics never change.", "running"),
    Mutant("momentum_none_late_count", 0, _CUMULATIVE,
           "factor = 1.0 / (self.num_batches_tracked - 1).clamp(min=1).to(var.dtype)",
           "With momentum=None the average divides by the batch count before the current batch is counted.", "running"),
    Mutant("momentum_none_initial_counted", 2, _CUMULATIVE,
           "factor = 1.0 / (self.num_batches_tracked + 1).to(var.dtype)",
           "With momentum=None the initial values are averaged in as if they were a batch (1 / (t + 1)).", "running"),
    Mutant("momentum_none_mean_only", 2, _RV,
           "factor = 0.1 if self.momentum is None else factor\n        " + _RV,
           "With momentum=None only the running mean is a cumulative average; the variance uses 0.1.", "running"),
    Mutant("counter_never", 1, _COUNT, "pass",
           "The batch counter is never increased.", "running"),
    Mutant("counter_twice", 0, _RM, _RM + "\n        self.num_batches_tracked.add_(1)",
           "The batch counter is increased twice per training batch.", "running"),
    Mutant("counter_eval", 0, _EVAL_MEAN, "self.num_batches_tracked.add_(1)\n            " + _EVAL_MEAN,
           "The batch counter also counts evaluation batches.", "running"),
    Mutant("counter_samples", 0, _COUNT, "self.num_batches_tracked.add_(x.size(0))",
           "The counter counts samples instead of batches.", "running"),
    Mutant("counter_only_cumulative", 1, "if remember:", "if remember and factor is None:",
           "Batches are only counted when momentum is None.", "running"),
    Mutant("counter_set_to_one", 2, _COUNT, "self.num_batches_tracked.fill_(1)",
           "The batch counter is set to 1 instead of being increased.", "running"),
    Mutant("counter_starts_at_one", 0, "self.num_batches_tracked.zero_()", "self.num_batches_tracked.fill_(1)",
           "The batch counter starts at 1 instead of 0.", "running"),

    # mode: evaluation
    Mutant("eval_batch_stats", 0, _MODE, "batch_stats = True",
           "Evaluation uses the statistics of its own batch instead of the running statistics.", "mode"),
    Mutant("eval_batch_stats_functional", 1, _CALL,
           _CALL.replace("mean, var", "*(mean, var) if remember else (None, None)").replace("batch_stats", "True"),
           "F.batch_norm is always called with training=True, so evaluation uses its own batch's statistics.", "mode"),
    Mutant("always_training", 1, (_MODE, "remember = self.training and self.track_running_stats"),
           ("batch_stats = True", "remember = self.track_running_stats"),
           "self.training is ignored: the layer always normalises by the batch and updates the running statistics.",
           "mode"),
    Mutant("always_training_autograd", 2, (_MODE, _TRACK), ("batch_stats = True", "if self.track_running_stats:"),
           "The mode is never looked at: evaluation behaves as training, updates included.", "mode"),
    Mutant("eval_updates", 0, "        return y.to(x.dtype)",
           "        if not batch_stats and x.numel() > self.num_features:\n"
           "            self._remember(x, h.mean(axes), h.var(axes, unbiased=False))\n"
           "        return y.to(x.dtype)",
           "Evaluation batches also update the running statistics.", "mode"),
    Mutant("eval_updates_mean", 0, "        return y.to(x.dtype)",
           "        if not batch_stats and x.numel():\n"
           "            with torch.no_grad():\n"
           "                self.running_mean.lerp_(h.mean(axes).to(self.running_mean.dtype), self.momentum or 0.1)\n"
           "        return y.to(x.dtype)",
           "Evaluation batches also move the running mean.", "mode"),
    Mutant("eval_running_mean_only", 0, _EVAL_VAR, "var = h.var(axes, unbiased=False, keepdim=True)",
           "Evaluation uses the running mean but its own batch's variance.", "mode"),
    Mutant("eval_running_var_only", 0, _EVAL_MEAN, "mean = h.mean(axes, keepdim=True)",
           "Evaluation uses the running variance but its own batch's mean.", "mode"),
    Mutant("eval_bessel", 0, _EVAL_VAR,
           "count = x.numel() // self.num_features\n"
           "            var = self.running_var.view(shape) * (count / max(count - 1, 1))",
           "Evaluation multiplies the running variance by n / (n - 1) of the current batch.", "mode"),
    Mutant("eval_no_eps", 0, _SCALE, "scale = torch.sqrt(var + (self.eps if batch_stats else 0.0))",
           "eps is left out in evaluation.", "mode"),
    Mutant("eval_no_centre", 0, _EVAL_MEAN, "mean = torch.zeros_like(self.running_mean).view(shape)",
           "Evaluation does not subtract the running mean.", "mode"),
    Mutant("eval_no_scale", 0, _EVAL_VAR, "var = torch.ones_like(self.running_var).view(shape)",
           "Evaluation does not divide by the running standard deviation.", "mode"),
    Mutant("eval_identity", 2, "        shape = layout(x)[1]\n",
           "        return x.clone()\n        shape = layout(x)[1]\n",
           "Evaluation returns the input unchanged.", "mode"),
    Mutant("eval_averaged_stats", 0, _EVAL_VAR,
           _EVAL_VAR + "\n            mean = (mean + h.mean(axes, keepdim=True)) / 2\n"
           "            var = (var + h.var(axes, unbiased=False, keepdim=True)) / 2",
           "Evaluation averages the running statistics with its own batch's.", "mode"),
    Mutant("eval_last_training_batch", 0, (_KEEP, _EVAL_VAR),
           (_KEEP + "\n                self._last = mean.detach().flatten(), var.detach().flatten()",
            _EVAL_VAR + "\n            if hasattr(self, '_last'):\n"
            "                mean, var = (s.view(shape) for s in self._last)"),
           "Evaluation uses the statistics of the last training batch instead of the running statistics.", "mode"),
    Mutant("eval_batch_stats_when_untrained", 1, _MODE,
           "batch_stats = self.training or self.running_mean is None or not self.num_batches_tracked",
           "Until the first training batch evaluation uses its own batch's statistics.", "mode"),
    Mutant("eval_batch_stats_when_large", 2, _MODE,
           "batch_stats = self.training or self.running_mean is None or x.shape[:1] > (16,)",
           "Evaluation batches of more than 16 samples are normalised by their own statistics.", "mode"),
    Mutant("eval_mean_reversed", 2, "y = (wide(x) - self.running_mean.view(shape)) * inv",
           "y = (wide(x) - self.running_mean.flip(0).view(shape)) * inv",
           "Evaluation subtracts the running means in reverse channel order.", "mode"),
    Mutant("eval_var_shared", 2, "inv = torch.rsqrt(self.running_var + self.eps).view(shape)",
           "inv = torch.rsqrt(self.running_var.mean() + self.eps)",
           "Evaluation scales all channels by one running variance averaged over the channels.", "mode"),
    # mode: training
    Mutant("train_running_stats", 0, _KEEP,
           "before = self.running_mean.clone().view(shape), self.running_var.clone().view(shape)\n"
           "                " + _KEEP + "\n                mean, var = before",
           "Training normalises by the running statistics, before they are updated.", "mode"),
    Mutant("train_running_stats_updated", 0, _KEEP,
           _inner("mean, var = self.running_mean.clone().view(shape), self.running_var.clone().view(shape)"),
           "Training normalises by the running statistics, just after they are updated.", "mode"),
    Mutant("train_running_mean", 0, _KEEP, _inner("mean = self.running_mean.clone().view(shape)"),
           "Training subtracts the updated running mean instead of the batch mean.", "mode"),
    Mutant("train_running_var", 0, _KEEP, _inner("var = self.running_var.clone().view(shape)"),
           "Training divides by the updated running standard deviation instead of the batch's.", "mode"),
    Mutant("train_mixed_stats", 0, _KEEP,
           _inner("mean = (mean + self.running_mean.clone().view(shape)) / 2",
                  "var = (var + self.running_var.clone().view(shape)) / 2"),
           "Training normalises by the average of batch and running statistics.", "mode"),
    Mutant("train_running_after_ten", 0, _KEEP,
           _inner("if self.num_batches_tracked > 10:",
                  "    mean, var = self.running_mean.clone().view(shape), self.running_var.clone().view(shape)"),
           "After ten training batches training normalises by the running statistics.", "mode"),
    Mutant("train_running_functional", 1, _CALL,
           "y = F.batch_norm(x, mean, var, self.weight, self.bias, batch_stats, factor, self.eps)\n"
           "        if remember:\n"
           "            y = F.batch_norm(x, mean, var, self.weight, self.bias, False, factor, self.eps)\n"
           "        return y",
           "Training returns the output normalised by the updated running statistics.", "mode"),
    Mutant("train_single_sample", 0, _MODE, _MODE.replace("self.training", "self.training and x.shape[:1] != (1,)"),
           "A training batch of one sample is normalised by the running statistics and not remembered.", "mode"),
    Mutant("train_small_batch", 2, _MODE, _MODE.replace("self.training", "self.training and x.shape[:1] >= (4,)"),
           "Training batches of fewer than 4 samples are normalised by the running statistics.", "mode"),
    Mutant("train_small_batch_not_remembered", 2, _TRACK,
           "if self.training and self.track_running_stats and x.size(0) > 2:",
           "Training batches of one or two samples do not update the running statistics.", "mode"),
    # mode: what decides
    Mutant("mode_grad_enabled", 0, (_MODE, _TRACK),
           (_MODE.replace("self.training", "torch.is_grad_enabled()"),
            "if torch.is_grad_enabled() and self.track_running_stats:"),
           "The mode is taken from torch.is_grad_enabled() instead of self.training.", "mode"),
    Mutant("mode_training_and_grad", 1, (_MODE, "remember = self.training and"),
           (_MODE.replace("self.training", "self.training and torch.is_grad_enabled()"),
            "remember = self.training and torch.is_grad_enabled() and"),
           "Training mode counts only while gradients are enabled; under no_grad the running statistics are used.",
           "mode"),
    Mutant("update_only_with_grad", 2, _TRACK,
           "if self.training and self.track_running_stats and torch.is_grad_enabled():",
           "The running statistics are not updated under no_grad.", "mode"),
    Mutant("mode_weight_requires_grad", 0, (_MODE, _TRACK),
           ("active = self.training if self.weight is None else self.weight.requires_grad\n"
            "        batch_stats = active or self.running_mean is None", "if active and self.track_running_stats:"),
           "The mode is taken from weight.requires_grad instead of self.training.", "mode"),
    Mutant("update_only_unfrozen", 1, "remember = self.training and",
           "remember = self.training and (self.weight is None or self.weight.requires_grad) and",
           "The running statistics are not updated when weight is frozen.", "mode"),
    Mutant("mode_input_requires_grad", 0, (_MODE, _TRACK),
           (_MODE.replace("self.training", "x.requires_grad"), "if x.requires_grad and self.track_running_stats:"),
           "The mode is taken from the input's requires_grad instead of self.training.", "mode"),
    Mutant("update_only_input_grad", 2, _TRACK,
           "if self.training and self.track_running_stats and x.requires_grad:",
           "The running statistics are only updated when the input requires a gradient.", "mode"),
    Mutant("mode_inverted", 0, (_MODE, _TRACK),
           (_MODE.replace("self.training", "not self.training"),
            "if not self.training and self.track_running_stats:"),
           "Training and evaluation are exchanged.", "mode"),
    Mutant("mode_fixed_at_construction", 2, ("super().__init__()", _MODE, _TRACK),
           ("super().__init__()\n        self.mode = self.training", _MODE.replace("self.training", "self.mode"),
            "if self.mode and self.track_running_stats:"),
           "The mode is read once when the layer is built, so eval() has no effect.", "mode"),
    Mutant("train_does_nothing", 0, _REPR, _method("    def train(self, mode=True):\n        return self"),
           "train() is overridden to do nothing, so eval() has no effect.", "mode"),
    Mutant("eval_does_nothing", 1, _REPR, _method("    def eval(self):\n        return self"),
           "eval() is overridden to do nothing.", "mode"),
    Mutant("train_ignores_argument", 2, _REPR,
           _method("    def train(self, mode=True):\n        return super().train(True)"),
           "train(mode) ignores its argument and always switches to training.", "mode"),
    Mutant("train_inverted", 1, _REPR,
           _method("    def train(self, mode=True):\n        return super().train(not mode)"),
           "train(mode) sets the opposite mode.", "mode"),
    Mutant("train_returns_none", 0, _REPR, _method("    def train(self, mode=True):\n        super().train(mode)"),
           "train() does not return the layer.", "mode"),
    Mutant("train_resets_stats", 2, _REPR,
           _method("    def train(self, mode=True):\n"
                   "        if mode:\n            self.reset_running_stats()\n"
                   "        return super().train(mode)"),
           "train() resets the running statistics.", "mode"),
    Mutant("eval_resets_stats", 1, _REPR,
           _method("    def eval(self):\n        self.reset_running_stats()\n        return super().eval()"),
           "eval() resets the running statistics.", "mode"),
    Mutant("forward_calls_train", 0, "        " + _MODE, "        self.train()\n        " + _MODE,
           "forward calls self.train(), so evaluation mode is left at once.", "mode"),
    Mutant("eval_freezes_parameters", 2, _REPR,
           _method("    def eval(self):\n        self.requires_grad_(False)\n        return super().eval()"),
           "eval() switches off requires_grad of weight and bias.", "mode"),

    # state: what is registered
    Mutant("mean_plain_attribute", 0, _BUF_MEAN, "self.running_mean = torch.empty(num_features, **options)",
           "running_mean is a plain tensor attribute, not a buffer.", "state"),
    Mutant("var_plain_attribute", 2, _BUF_VAR, "self.running_var = torch.empty(num_features, **options)",
           "running_var is a plain tensor attribute, not a buffer.", "state"),
    Mutant("counter_plain_attribute", 1, _BUF_COUNT,
           "self.num_batches_tracked = torch.tensor(0, dtype=torch.long, device=device)",
           "num_batches_tracked is a plain tensor attribute, not a buffer.", "state"),
    Mutant("buffers_plain_attributes", 1, (_BUF_MEAN, _BUF_VAR),
           ("self.running_mean = torch.empty(num_features, **options)",
            "self.running_var = torch.empty(num_features, **options)"),
           "The running statistics are plain tensor attributes, not buffers.", "state"),
    Mutant("mean_not_persistent", 0, _BUF_MEAN, _BUF_MEAN[:-1] + ", persistent=False)",
           "running_mean is registered with persistent=False and not saved.", "state"),
    Mutant("var_not_persistent", 2, _BUF_VAR, _BUF_VAR[:-1] + ", persistent=False)",
           "running_var is registered with persistent=False and not saved.", "state"),
    Mutant("stats_not_persistent", 1, (_BUF_MEAN, _BUF_VAR),
           (_BUF_MEAN[:-1] + ", persistent=False)", _BUF_VAR[:-1] + ", persistent=False)"),
           "The running statistics are registered with persistent=False and not saved.", "state"),
    Mutant("counter_not_persistent", 0, _BUF_COUNT, _BUF_COUNT[:-1] + ", persistent=False)",
           "num_batches_tracked is registered with persistent=False and not saved.", "state"),
    Mutant("mean_other_name", 0, (_BUF_MEAN, 'self.register_buffer("running_mean", None)', _REPR),
           (_BUF_MEAN.replace("running", "moving"), 'self.register_buffer("moving_mean", None)',
            _method("    @property\n    def running_mean(self):\n        return self.moving_mean")),
           "The running mean is registered under the name moving_mean.", "state"),
    Mutant("var_other_name", 2, (_BUF_VAR, 'self.register_buffer("running_var", None)', _REPR),
           (_BUF_VAR.replace("running", "moving"), 'self.register_buffer("moving_var", None)',
            _method("    @property\n    def running_var(self):\n        return self.moving_var")),
           "The running variance is registered under the name moving_var.", "state"),
    Mutant("weight_other_name", 0, (_WEIGHT, 'self.register_parameter("weight", None)', _REPR),
           (_WEIGHT.replace("weight", "gamma"), 'self.register_parameter("gamma", None)',
            _method("    @property\n    def weight(self):\n        return self.gamma")),
           "weight is registered under the name gamma.", "state"),
    Mutant("bias_other_name", 1, (_BIAS, 'self.register_parameter("bias", None)', _REPR),
           (_BIAS.replace("bias", "beta"), 'self.register_parameter("beta", None)',
            _method("    @property\n    def bias(self):\n        return self.beta")),
           "bias is registered under the name beta.", "state"),
    Mutant("mean_parameter", 0, _BUF_MEAN,
           "self.running_mean = nn.Parameter(torch.empty(num_features, **options), requires_grad=False)",
           "running_mean is a Parameter instead of a buffer.", "state"),
    Mutant("var_parameter", 2, _BUF_VAR,
           "self.running_var = nn.Parameter(torch.empty(num_features, **options), requires_grad=False)",
           "running_var is a Parameter instead of a buffer.", "state"),
    Mutant("weight_buffer", 0, _WEIGHT, 'self.register_buffer("weight", torch.empty(num_features, **options))',
           "weight is a buffer instead of a Parameter.", "state"),
    Mutant("bias_buffer", 1, _BIAS, 'self.register_buffer("bias", torch.empty(num_features, **options))',
           "bias is a buffer instead of a Parameter.", "state"),
    Mutant("weight_plain_tensor", 0, _WEIGHT,
           "self.weight = torch.empty(num_features, requires_grad=True, **options)",
           "weight is a plain tensor that requires a gradient, not a Parameter.", "state"),
    Mutant("bias_plain_tensor", 2, _BIAS, "self.bias = torch.empty(num_features, **options)",
           "bias is a plain tensor, not a Parameter.", "state"),
    Mutant("stats_in_list", 0,
           (_BUF_MEAN, _BUF_VAR, 'self.register_buffer("running_mean", None)',
            'self.register_buffer("running_var", None)', _REPR),
           ("self.stats = [torch.empty(num_features, **options) for _ in range(2)]", "pass",
            "self.stats = [None, None]", "pass",
            _method("    @property\n    def running_mean(self):\n        return self.stats[0]\n\n"
                    "    @property\n    def running_var(self):\n        return self.stats[1]")),
           "The running statistics sit in a plain Python list and are not registered.", "state"),
    Mutant("weight_in_list", 1, (_WEIGHT, 'self.register_parameter("weight", None)', _REPR),
           ("self.scales = [nn.Parameter(torch.empty(num_features, **options))]", "self.scales = [None]",
            _method("    @property\n    def weight(self):\n        return self.scales[0]")),
           "weight sits in a plain Python list, so it is not registered as a Parameter.", "state"),
    # state: sharing and copying
    Mutant("mean_shared_by_instances", 0, ("class Layer(nn.Module):\n", _BUF_MEAN),
           ("class Layer(nn.Module):\n    _means = {}\n\n",
            'self.register_buffer("running_mean", self._means.setdefault((num_features, device, dtype), '
            "torch.empty(num_features, **options)))"),
           "running_mean is kept at class level and shared by all layers of the same width.", "state"),
    Mutant("var_shared_by_instances", 1, ("class Layer(nn.Module):\n", _BUF_VAR),
           ("class Layer(nn.Module):\n    _vars = {}\n\n",
            'self.register_buffer("running_var", self._vars.setdefault((num_features, device, dtype), '
            "torch.empty(num_features, **options)))"),
           "running_var is kept at class level and shared by all layers of the same width.", "state"),
    Mutant("weight_shared_by_instances", 2, ("class Layer(nn.Module):\n", _WEIGHT),
           ("class Layer(nn.Module):\n    _weights = {}\n\n",
            "self.weight = self._weights.setdefault((num_features, device, dtype), "
            "nn.Parameter(torch.empty(num_features, **options)))"),
           "weight is kept at class level and shared by all layers of the same width.", "state"),
    Mutant("counter_shared_by_instances", 0, ("class Layer(nn.Module):\n", _BUF_COUNT),
           ("class Layer(nn.Module):\n    _seen = {}\n\n",
            'self.register_buffer("num_batches_tracked", self._seen.setdefault(device, '
            "torch.tensor(0, dtype=torch.long, device=device)))"),
           "num_batches_tracked is kept at class level and shared by all layers.", "state"),
    Mutant("mean_var_same_tensor", 0, _BUF_VAR, 'self.register_buffer("running_var", self.running_mean)',
           "running_mean and running_var are the same tensor.", "state"),
    Mutant("weight_bias_same_tensor", 2, _BIAS, "self.bias = self.weight",
           "weight and bias are the same Parameter.", "state"),
    Mutant("stats_replaced", 2, (_RM, _RV),
           ("self.running_mean = ((1 - factor) * self.running_mean + factor * mean).to(self.running_mean.dtype)",
            "self.running_var = ((1 - factor) * self.running_var + factor * unbiased).to(self.running_var.dtype)"),
           "Each update replaces the buffers by new tensors instead of writing in place, so references go stale.",
           "state"),
    Mutant("counter_replaced", 1, _COUNT, "self.num_batches_tracked = self.num_batches_tracked + 1",
           "The counter is replaced by a new tensor instead of counting in place.", "state"),
    Mutant("deepcopy_same", 0, _REPR, _method("    def __deepcopy__(self, memo):\n        return self"),
           "__deepcopy__ returns the layer itself.", "state"),
    Mutant("deepcopy_drops_stats", 1, _REPR,
           _method("    def __deepcopy__(self, memo):\n"
                   "        import copy\n"
                   "        new = type(self).__new__(type(self))\n"
                   "        new.__dict__.update(copy.deepcopy(self.__dict__, memo))\n"
                   "        new.reset_running_stats()\n"
                   "        return new"),
           "__deepcopy__ does not copy the running statistics.", "state"),
    Mutant("deepcopy_shares_weight", 2, _REPR,
           _method("    def __deepcopy__(self, memo):\n"
                   "        import copy\n"
                   "        memo.update({id(p): p for p in self.parameters()})\n"
                   "        new = type(self).__new__(type(self))\n"
                   "        new.__dict__.update(copy.deepcopy(self.__dict__, memo))\n"
                   "        return new"),
           "__deepcopy__ shares weight and bias with the original.", "state"),
    Mutant("setstate_drops_stats", 0, _REPR,
           _method("    def __setstate__(self, state):\n"
                   "        super().__setstate__(state)\n        self.reset_running_stats()"),
           "__setstate__ resets the running statistics, so unpickled and copied layers lose them.", "state"),
    Mutant("lock_attribute", 1, "super().__init__()",
           "super().__init__()\n        import threading\n        self._lock = threading.Lock()",
           "The layer holds a lock, so it can neither be deep-copied nor pickled.", "state"),
    Mutant("lambda_attribute", 2, ("super().__init__()", "inv = torch.rsqrt(self.running_var + self.eps).view(shape)"),
           ("super().__init__()\n        self._inverse = lambda v, e: torch.rsqrt(v + e)",
            "inv = self._inverse(self.running_var, self.eps).view(shape)"),
           "The layer holds a lambda as an attribute, so it cannot be pickled.", "state"),
    Mutant("last_output_kept", 0, _OUT, _OUT.replace("return y", "self.last_output = y\n        return y"),
           "The last output is kept on the layer with its graph.", "state"),
    Mutant("last_input_kept", 1, "        return F", "        self.last_input = x\n        return F",
           "The last input is kept on the layer.", "state"),
    Mutant("history_kept", 2, _KEEP.replace(".flatten()", ""),
           _KEEP.replace(".flatten()", "") + "\n"
           "                self.history = getattr(self, 'history', []) + [(mean, var)]",
           "Every batch's statistics are appended to a list that grows without bound.", "state"),
    # state: shapes, types and start values
    Mutant("stats_four_dims", 0, (_BUF_MEAN, _BUF_VAR, _RM, _RV),
           ('self.register_buffer("running_mean", torch.empty(1, num_features, 1, 1, **options))',
            'self.register_buffer("running_var", torch.empty(1, num_features, 1, 1, **options))',
            _RM.replace("mean)", "mean.view(1, -1, 1, 1))"), _RV.replace("unbiased)", "unbiased.view(1, -1, 1, 1))")),
           "The running statistics are stored with shape (1, C, 1, 1) instead of (C,).", "state"),
    Mutant("weight_four_dims", 2, (_WEIGHT, "dweight = (g * normed).sum(axes)"),
           ("self.weight = nn.Parameter(torch.empty(1, num_features, 1, 1, **options))",
            "dweight = (g * normed).sum(axes).view_as(weight)"),
           "weight is stored with shape (1, C, 1, 1) instead of (C,).", "state"),
    Mutant("bias_column", 0, _BIAS, "self.bias = nn.Parameter(torch.empty(num_features, 1, **options))",
           "bias is stored with shape (C, 1) instead of (C,).", "state"),
    Mutant("counter_one_element", 0, _BUF_COUNT, _BUF_COUNT.replace("tensor(0", "tensor([0]"),
           "num_batches_tracked has shape (1,) instead of being a scalar.", "state"),
    Mutant("counter_float", 1, _BUF_COUNT, _BUF_COUNT.replace("dtype=torch.long", "dtype=torch.float32"),
           "num_batches_tracked is a float tensor instead of an integer one.", "state"),
    Mutant("stats_lazy", 2,
           (_BUF_MEAN, _BUF_VAR, "self.running_mean.zero_()\n            self.running_var.fill_(1)",
            "        count = x.numel() // self.num_features\n"),
           ('self.register_buffer("running_mean", None)\n            self._options = options',
            'self.register_buffer("running_var", None)', "self.running_mean = self.running_var = None",
            "        if self.running_mean is None:\n"
            "            self.running_mean = torch.zeros(self.num_features, **self._options)\n"
            "            self.running_var = torch.ones(self.num_features, **self._options)\n"
            "        count = x.numel() // self.num_features\n"),
           "The running statistics are only created at the first training batch.", "state"),
    Mutant("extra_buffer_eps", 0, "self.eps = eps", 'self.register_buffer("eps", torch.tensor(float(eps)))',
           "eps is registered as a buffer and turns up in the state_dict.", "state"),
    Mutant("extra_parameter", 1, "        self.reset_parameters()\n",
           "        self.offset = nn.Parameter(torch.zeros(num_features, **options))\n"
           "        self.reset_parameters()\n",
           "An extra, unused Parameter is registered.", "state"),
    Mutant("weight_init_zero", 0, "nn.init.ones_(self.weight)", "nn.init.zeros_(self.weight)",
           "weight starts at 0 instead of 1.", "state"),
    Mutant("weight_init_normal", 1, "nn.init.ones_(self.weight)", "nn.init.normal_(self.weight, 1.0, 0.02)",
           "weight starts at random values around 1 instead of 1.", "state"),
    Mutant("weight_init_uniform", 2, "nn.init.ones_(self.weight)", "nn.init.uniform_(self.weight)",
           "weight starts at uniform random values instead of 1.", "state"),
    Mutant("bias_init_one", 0, "nn.init.zeros_(self.bias)", "nn.init.ones_(self.bias)",
           "bias starts at 1 instead of 0.", "state"),
    Mutant("running_var_init_zero", 0, "self.running_var.fill_(1)", "self.running_var.zero_()",
           "running_var starts at 0 instead of 1.", "state"),
    Mutant("running_mean_init_one", 2, "self.running_mean.zero_()", "self.running_mean.fill_(1)",
           "running_mean starts at 1 instead of 0.", "state"),
    Mutant("running_var_init_eps", 1, "self.running_var.fill_(1)", "self.running_var.fill_(self.eps)",
           "running_var starts at eps instead of 1.", "state"),
    Mutant("reset_keeps_counter", 0, _FREE, "pass\n\n    def reset_parameters",
           "reset_running_stats does not reset the counter.", "state"),
    Mutant("load_resets_stats", 2, _REPR,
           _method("    def _load_from_state_dict(self, *args, **kwargs):\n"
                   "        super()._load_from_state_dict(*args, **kwargs)\n        self.reset_running_stats()"),
           "load_state_dict resets the running statistics after loading.", "state"),
    Mutant("load_ignores_weight", 1, _REPR,
           _method("    def _load_from_state_dict(self, *args, **kwargs):\n"
                   "        super()._load_from_state_dict(*args, **kwargs)\n"
                   "        if self.affine:\n            nn.init.ones_(self.weight)"),
           "load_state_dict sets weight back to 1 after loading.", "state"),
    Mutant("saved_in_half", 0, _REPR,
           _method("    def _save_to_state_dict(self, destination, prefix, keep_vars):\n"
                   "        super()._save_to_state_dict(destination, prefix, keep_vars)\n"
                   "        for key, value in destination.items():\n"
                   "            if key.startswith(prefix) and value.is_floating_point():\n"
                   "                destination[key] = value.half()"),
           "state_dict stores the tensors in half precision.", "state"),

    # dtype
    Mutant("stats_in_input_dtype", 0, _WIDE, "h = x",
           "The computation stays in the input's dtype, so half inputs have half statistics.", "dtype"),
    Mutant("var_in_input_dtype", 0, _VAR, _VAR.replace("(h - mean)", "(h - mean).to(x.dtype)"),
           "The batch variance of half inputs is computed in half precision.", "dtype"),
    Mutant("mean_in_input_dtype", 0, _MEAN, _MEAN + ".to(x.dtype)",
           "The batch mean is rounded to the input's dtype.", "dtype"),
    Mutant("function_not_widened", 2, "    return x.to(torch.promote_types(x.dtype, torch.float32))", "    return x",
           "Half inputs are not widened to float32 before computing.", "dtype"),
    Mutant("backward_not_widened", 2, "h, g = wide(x), wide(grad)", "h, g = x, grad",
           "The backward pass of half inputs is computed in half precision.", "dtype"),
    Mutant("backward_params_rounded", 2, "return dx.to(x.dtype), dweight, dbias, None",
           "dweight, dbias = (d if d is None else d.to(x.dtype).to(weight.dtype) for d in (dweight, dbias))\n"
           "        return dx.to(x.dtype), dweight, dbias, None",
           "The gradients of weight and bias are rounded to the input's dtype.", "dtype"),
    Mutant("eval_not_widened", 2, "y = (wide(x) - self.running_mean.view(shape)) * inv",
           "y = (x - self.running_mean.view(shape).to(x.dtype)) * inv.to(x.dtype)",
           "Evaluation normalises half inputs in half precision.", "dtype"),
    Mutant("buffers_follow_input", 0, (_RM, _RV),
           ("self.running_mean = self.running_mean.mul(1 - factor).add(factor * mean).to(x.dtype)",
            "self.running_var = self.running_var.mul(1 - factor).add(factor * unbiased).to(x.dtype)"),
           "The running statistics take on the input's dtype.", "dtype"),
    Mutant("buffers_become_float32", 2, (_RM, _RV),
           ("self.running_mean = self.running_mean.mul(1 - factor).add(factor * mean).float()",
            "self.running_var = self.running_var.mul(1 - factor).add(factor * unbiased).float()"),
           "The running statistics are converted to float32 at each update, whatever the layer's dtype.", "dtype"),
    Mutant("update_rounded", 0, _KEEP,
           "self._remember(x, mean.flatten().to(x.dtype), var.flatten().to(x.dtype))",
           "The batch statistics are rounded to the input's dtype before they are remembered.", "dtype"),
    Mutant("running_var_bfloat16", 0, _RV, _RV.replace("unbiased)", "unbiased.bfloat16())"),
           "The batch variance is rounded to bfloat16 before it is remembered.", "dtype"),
    Mutant("output_float32", 0, _OUT, _OUT.replace("y.to(x.dtype)", "y.float()"),
           "The output is always float32, whatever the input's dtype.", "dtype"),
    Mutant("output_not_narrowed", 0, _OUT, _OUT.replace("y.to(x.dtype)", "y"),
           "The output is not converted back to the input's dtype.", "dtype"),
    Mutant("eval_output_not_narrowed", 2, _OUT, _OUT.replace("y.to(x.dtype)", "y"),
           "The evaluation output is not converted back to the input's dtype.", "dtype"),
    Mutant("output_weight_dtype", 0, _OUT,
           _OUT.replace("y.to(x.dtype)", "y.to(x.dtype if self.weight is None else self.weight.dtype)"),
           "The output is converted to weight's dtype instead of the input's.", "dtype"),
    Mutant("float64_truncated", 0, _WIDE, "h = x.float()",
           "float64 inputs are truncated to float32 before computing.", "dtype"),
    Mutant("float64_truncated_eval", 2, "y = (wide(x) - self", "y = (x.float() - self",
           "Evaluation truncates float64 inputs to float32.", "dtype"),
    Mutant("float64_stats_truncated", 2, "    return x.to(torch.promote_types(x.dtype, torch.float32))",
           "    return x.float()",
           "float64 inputs and gradients are truncated to float32 in the computation.", "dtype"),
    Mutant("affine_after_narrowing", 0, "y = centred / scale", "y = (centred / scale).to(x.dtype)",
           "The normalised value is rounded to the input's dtype before weight and bias are applied.", "dtype"),
    Mutant("weight_rounded", 0, _AFFINE,
           "y = y * self.weight.to(x.dtype).view(shape) + self.bias.to(x.dtype).view(shape)",
           "weight and bias are rounded to the input's dtype before they are applied.", "dtype"),
    Mutant("buffers_float64", 0, (_BUF_MEAN, _BUF_VAR),
           (_BUF_MEAN.replace("**options", "device=device, dtype=torch.float64"),
            _BUF_VAR.replace("**options", "device=device, dtype=torch.float64")),
           "The running statistics are created in float64.", "dtype"),
    Mutant("running_var_half", 2, _BUF_VAR, _BUF_VAR.replace("**options", "device=device, dtype=torch.float16"),
           "running_var is created in float16.", "dtype"),
    Mutant("weight_half", 0, _WEIGHT, _WEIGHT.replace("**options", "device=device, dtype=torch.float16"),
           "weight is created in float16.", "dtype"),
    Mutant("counter_uint8", 0, _BUF_COUNT, _BUF_COUNT.replace("torch.long", "torch.uint8"),
           "num_batches_tracked is a uint8 tensor that wraps around after 255 batches.", "dtype"),
    Mutant("cumulative_factor_half", 2, _CUMULATIVE, "factor = 1.0 / self.num_batches_tracked.half()",
           "With momentum=None the averaging factor is computed in half precision.", "dtype"),
    Mutant("apply_ignored", 1, _REPR, _method("    def _apply(self, fn, recurse=True):\n        return self"),
           "_apply is overridden, so .to(), .double() and .half() leave the layer unchanged.", "dtype"),
    Mutant("apply_skips_buffers", 0, _REPR,
           _method("    def _apply(self, fn, recurse=True):\n"
                   "        kept = dict(self._buffers)\n"
                   "        super()._apply(fn, recurse)\n"
                   "        self._buffers.update(kept)\n"
                   "        return self"),
           "The buffers are left out when the layer is moved or converted with .to().", "dtype"),
    Mutant("bfloat16_rejected", 1, _FLOAT,
           _FLOAT + _reject("x.dtype == torch.bfloat16", "TypeError", "bfloat16 is not supported"),
           "bfloat16 inputs are rejected.", "dtype"),
    Mutant("half_rejected", 2, _FLOAT,
           _FLOAT + _reject("x.element_size() < 4", "TypeError", "half precision is not supported"),
           "float16 and bfloat16 inputs are rejected.", "dtype"),
    Mutant("float32_required", 1, _FLOAT,
           _FLOAT + _reject("x.dtype != torch.float32", "TypeError", "expected float32"),
           "Only float32 inputs are accepted.", "dtype"),
    Mutant("device_cpu_input", 0, _WIDE, _WIDE.replace("x.to(", "x.cpu().to("),
           "The input is moved to the CPU before computing.", "dtype"),
    Mutant("device_cpu_stats", 0, _VAR, _VAR + "\n            mean, var = mean.to('cpu'), var.to('cpu')",
           "The batch statistics are moved to the CPU, whatever the input's device.", "dtype"),
    Mutant("device_cpu_buffers", 2, _RV,
           _RV + "\n        self.running_mean, self.running_var = self.running_mean.cpu(), self.running_var.cpu()",
           "The running statistics are moved to the CPU at each update.", "dtype"),

    # inputs: in place and aliasing
    Mutant("centred_in_place", 0, "centred = h - mean", "centred = h.sub_(mean)",
           "The mean is subtracted from the input in place.", "inputs"),
    Mutant("input_overwritten", 1, _CALL,
           _CALL.replace("return", "y =") + "\n        x.data.copy_(y.detach())\n        return y",
           "The output is also written into the input tensor, through x.data.", "inputs"),
    Mutant("input_overwritten_eval", 2, _OUT,
           _OUT.replace("return y.to(x.dtype)", "x.data.copy_(y.detach())\n        return y.to(x.dtype)"),
           "Evaluation also writes its result into the input.", "inputs"),
    Mutant("output_buffer_reused", 1, _CALL,
           _CALL.replace("return", "y =") + "\n"
           "        if batch_stats or y.requires_grad:\n            return y\n"
           "        kept = self.__dict__.setdefault('_out', y)\n"
           "        if kept.shape != y.shape or kept.dtype != y.dtype or kept.stride() != y.stride():\n"
           "            kept = self._out = y\n"
           "        return kept.copy_(y)",
           "Evaluation without gradients writes every result into one reused tensor, overwriting earlier outputs.",
           "inputs"),
    Mutant("untrained_eval_returns_input", 2, "        shape = layout(x)[1]\n",
           "        if self.num_batches_tracked == 0 and self.weight is None:\n            return x\n"
           "        shape = layout(x)[1]\n",
           "An untrained layer without affine returns the input tensor itself in evaluation.", "inputs"),
    # inputs: layout and number of dimensions
    Mutant("view_of_input", 0, _WIDE, _WIDE + "\n        h = h.view(h.numel()).view(h.shape)",
           "The input is flattened with view, which fails for non-contiguous and channels_last inputs.", "inputs"),
    Mutant("contiguous_required", 2, "        self._check_input(x, batch_stats)\n",
           "        self._check_input(x, batch_stats)\n"
           "        if not x.is_contiguous():\n            raise ValueError('expected a contiguous input')\n",
           "Non-contiguous inputs are rejected.", "inputs"),
    Mutant("memory_read_as_contiguous", 0, _WIDE,
           _WIDE + "\n        h = torch.as_strided(h, h.shape, torch.empty(h.shape, device='meta').stride())",
           "The input's memory is read as if it were contiguous.", "inputs"),
    Mutant("output_contiguous", 0, _OUT, _OUT.replace("y.to(x.dtype)", "y.to(x.dtype).contiguous()"),
           "The output is made contiguous, so the channels_last memory format is lost.", "inputs"),
    Mutant("output_channels_last", 1, _CALL,
           _CALL.replace("return", "y =") + "\n"
           "        return y.contiguous(memory_format=torch.channels_last) if y.dim() == 4 else y",
           "4-D outputs are always converted to channels_last.", "inputs"),
    Mutant("axes_hard_coded", 0, "axes = [d for d in range(x.dim()) if d != 1]", "axes = [0, 2, 3]",
           "The axes are hard-coded to (0, 2, 3), so only 4-D inputs work.", "inputs"),
    Mutant("affine_shape_hard_coded", 0, _AFFINE,
           "y = y * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)",
           "weight and bias are always viewed as (1, C, 1, 1), so other than 4-D inputs broadcast wrongly.", "inputs"),
    Mutant("affine_last_axis", 0, _AFFINE, "y = y * self.weight + self.bias",
           "weight and bias are broadcast along the last axis instead of the channel axis.", "inputs"),
    Mutant("eval_shape_hard_coded", 0, _EVAL_MEAN, "mean = self.running_mean.view(1, -1, 1, 1)",
           "In evaluation the running mean is always viewed as (1, C, 1, 1).", "inputs"),
    Mutant("shape_unpacked", 1, "        " + _MODE, "        n, c, height, width = x.shape\n        " + _MODE,
           "The input's shape is unpacked into four names, so other than 4-D inputs fail.", "inputs"),
    Mutant("only_4d_accepted", 2, _DIM,
           _DIM + _reject("x.dim() != 4", "ValueError", "expected a 4-D input"),
           "Inputs other than 4-D are rejected.", "inputs"),
    Mutant("two_d_rejected", 1, _DIM,
           _DIM + _reject("x.dim() == 2", "ValueError", "expected spatial dimensions"),
           "2-D inputs are rejected.", "inputs"),
    Mutant("five_d_rejected", 1, _DIM,
           _DIM + _reject("x.dim() > 4", "ValueError", "expected at most 4 dimensions"),
           "5-D inputs are rejected.", "inputs"),
    Mutant("two_d_per_sample", 0, _ELSE,
           _then("if x.dim() == 2:",
                 "    mean, var = h.mean(1, keepdim=True), h.var(1, unbiased=False, keepdim=True)"),
           "2-D inputs are normalised per sample over the features in training.", "inputs"),
    Mutant("two_d_keeps_extra_axis", 1, "        return F",
           "        if x.dim() == 2:\n            x = x.unsqueeze(-1)\n        return F",
           "2-D inputs come back with an extra axis.", "inputs"),
    Mutant("three_d_channels_last", 0, _ELSE,
           _then("if x.dim() == 3:",
                 "    mean, var = h.mean((0, 1), keepdim=True), h.var((0, 1), unbiased=False, keepdim=True)"),
           "3-D inputs are taken as (N, L, C) when the training statistics are computed.", "inputs"),
    Mutant("three_d_batch_only", 0, _ELSE,
           _then("if x.dim() == 3:",
                 "    mean, var = h.mean(0, keepdim=True), h.var(0, unbiased=False, keepdim=True)"),
           "For 3-D inputs the training statistics leave out the length axis.", "inputs"),
    Mutant("one_d_as_sample", 1, "        " + _MODE,
           "        if x.dim() == 1:\n            x = x.unsqueeze(0)\n        " + _MODE,
           "A 1-D input is silently taken as one sample.", "inputs"),
    Mutant("one_d_raw_error", 2, "if x.dim() < 2:", "if False:",
           "Inputs of fewer than 2 dimensions are not checked and end in an IndexError.", "inputs"),
    # inputs: channels, values and batches
    Mutant("channels_not_checked", 0, "if x.size(1) != self.num_features:", "if False:",
           "The number of channels is not checked, so one channel is broadcast and others fail in the middle.",
           "inputs"),
    Mutant("channels_cropped", 1, "        " + _MODE,
           "        x = x[:, :self.num_features] if x.dim() > 1 else x\n        " + _MODE,
           "Surplus channels are silently cut off.", "inputs"),
    Mutant("channels_fewer_accepted", 2, "        " + _MODE,
           "        if x.dim() > 1 and x.size(1) == 1:\n"
           "            x = x.expand(-1, self.num_features, *x.shape[2:])\n        " + _MODE,
           "A single channel is silently repeated for all channels.", "inputs"),
    Mutant("channels_asserted", 0,
           'if x.size(1) != self.num_features:\n            raise ValueError(f"expected {self.num_features} channels, '
           'got {x.size(1)}")',
           "assert x.size(1) == self.num_features, 'wrong number of channels'",
           "The number of channels is checked with assert instead of raising ValueError.", "inputs"),
    Mutant("one_value_accepted", 0, ("if batch_stats and x.numel() == self.num_features:", _BESSEL),
           ("if False:", "unbiased = var * (count / max(count - 1, 1))"),
           "One value per channel is silently accepted in training.", "inputs"),
    Mutant("one_value_running", 2, _MODE,
           _MODE.replace("self.training", "self.training and x.numel() != self.num_features"),
           "With one value per channel training silently falls back on the running statistics.", "inputs"),
    Mutant("one_value_checked_in_eval", 1, "if batch_stats and x.numel() == self.num_features:",
           "if x.numel() == self.num_features:",
           "One value per channel is rejected in evaluation too.", "inputs"),
    Mutant("batch_of_one_rejected", 0, "if batch_stats and x.numel() == self.num_features:",
           "if batch_stats and x.size(0) == 1:",
           "A training batch of one sample is rejected even when it has many positions.", "inputs"),
    Mutant("empty_batch_nan", 0, ("        if count == 0:\n            return\n", _BESSEL),
           ("", "unbiased = var * (count / max(count - 1, 1))"),
           "An empty training batch is averaged in and makes the running statistics NaN.", "inputs"),
    Mutant("empty_batch_rejected", 1, _DIM,
           _DIM + _reject("x.numel() == 0", "ValueError", "expected a non-empty input"),
           "Empty batches are rejected.", "inputs"),
    Mutant("integer_accepted", 0, "if not x.is_floating_point():", "if False:",
           "Integer inputs are accepted and the output is truncated to integers.", "inputs"),
    Mutant("ghost_batches", 0, _ELSE,
           _then("parts = h.split(4)",
                 "mean = torch.cat([p.mean(axes, keepdim=True).expand_as(p) for p in parts])",
                 "var = torch.cat([p.var(axes, unbiased=False, keepdim=True).expand_as(p) for p in parts])"),
           "Training normalises groups of 4 samples separately (ghost batches).", "inputs"),
    Mutant("ghost_batches_64", 0, _ELSE,
           _then("parts = h.split(64)",
                 "mean = torch.cat([p.mean(axes, keepdim=True).expand_as(p) for p in parts])",
                 "var = torch.cat([p.var(axes, unbiased=False, keepdim=True).expand_as(p) for p in parts])"),
           "Training batches of more than 64 samples are normalised in groups of 64.", "inputs"),
    Mutant("stats_first_sample", 0, _ELSE,
           _then("part = h[:1]",
                 "mean, var = part.mean(axes, keepdim=True), part.var(axes, unbiased=False, keepdim=True)"),
           "Training normalises the whole batch by the first sample's statistics.", "inputs"),
    Mutant("stats_half_batch", 0, _ELSE,
           _then("part = h[:(h.size(0) + 1) // 2]",
                 "mean, var = part.mean(axes, keepdim=True), part.var(axes, unbiased=False, keepdim=True)"),
           "Training normalises by the statistics of the first half of the batch.", "inputs"),
    Mutant("stats_every_second", 0, _ELSE,
           _then("part = h[::2]",
                 "mean, var = part.mean(axes, keepdim=True), part.var(axes, unbiased=False, keepdim=True)"),
           "Training normalises by the statistics of every second sample.", "inputs"),
    Mutant("stats_first_32", 0, _ELSE,
           _then("part = h[:32]",
                 "mean, var = part.mean(axes, keepdim=True), part.var(axes, unbiased=False, keepdim=True)"),
           "Training computes the statistics on the first 32 samples only.", "inputs"),
    Mutant("stats_without_zeros", 0, _ELSE,
           _then("seen = (h != 0).to(h.dtype)",
                 "n = seen.sum(axes, keepdim=True).clamp(min=1)",
                 "mean = h.sum(axes, keepdim=True) / n",
                 "var = ((h - mean) * seen).square().sum(axes, keepdim=True) / n"),
           "Zeros are taken for padding and left out of the training statistics.", "inputs"),
    Mutant("stats_without_border", 0, _ELSE,
           _then("part = h[..., 1:-1] if h.dim() > 2 and h.size(-1) > 2 else h",
                 "mean, var = part.mean(axes, keepdim=True), part.var(axes, unbiased=False, keepdim=True)"),
           "The training statistics leave out the first and last position of the last axis.", "inputs"),
    # inputs: things left in
    Mutant("noise_train", 0, "y = centred / scale",
           "y = centred / scale\n        if self.training:\n            y = y + 0.01 * torch.randn_like(y)",
           "Random noise is added to the normalised value in training.", "inputs"),
    Mutant("noise_eval", 2, _OUT, _OUT.replace("y.to(x.dtype)", "(y + 0.01 * torch.randn_like(y)).to(x.dtype)"),
           "Random noise is added to the output in evaluation.", "inputs"),
    Mutant("dropout_train", 1, _CALL, _CALL.replace("return F.batch_norm(", "return F.dropout(F.batch_norm(")
           + ", 0.1, self.training)",
           "Dropout is left in after the normalisation.", "inputs"),
    Mutant("dropout_always", 0, "y = centred / scale", "y = F.dropout(centred / scale, 0.1, True)",
           "Dropout is applied in training and in evaluation.", "inputs"),
    Mutant("relu_left_in", 1, _CALL, _CALL.replace("return F.batch_norm(", "return F.relu(F.batch_norm(") + ")",
           "A ReLU is left in after the normalisation.", "inputs"),
    Mutant("tanh_left_in", 0, "y = centred / scale", "y = torch.tanh(centred / scale)",
           "The normalised value is passed through tanh.", "inputs"),
    Mutant("residual_left_in", 1, _CALL, _CALL.replace("return", "return x +"),
           "The input is added to the output (a skip connection left in).", "inputs"),
    Mutant("normalised_clamped", 0, "y = centred / scale", "y = (centred / scale).clamp(-3, 3)",
           "The normalised value is clamped to [-3, 3].", "inputs"),
    Mutant("output_clamped", 2, _OUT, _OUT.replace("y.to(x.dtype)", "y.clamp(-6, 6).to(x.dtype)"),
           "The evaluation output is clamped to [-6, 6].", "inputs"),
    Mutant("input_clamped", 0, _WIDE, _WIDE + ".clamp(-10, 10)",
           "The input is clamped to [-10, 10] before the statistics are taken.", "inputs"),
    Mutant("output_rounded", 0, "y = centred / scale",
           "y = centred / scale\n        y = y + (y.round(decimals=2) - y).detach()",
           "The normalised value is rounded to two decimals.", "inputs"),
    Mutant("nan_hidden", 0, _WIDE, _WIDE + ".nan_to_num()",
           "NaN and infinity in the input are replaced by finite numbers.", "inputs"),
    Mutant("batch_reversed", 1, "        return F", "        x = x.flip(0)\n        return F",
           "The samples come back in reverse order.", "inputs"),
    Mutant("channels_reversed_eval", 2, _OUT, _OUT.replace("y.to(x.dtype)", "y.flip(1).to(x.dtype)"),
           "Evaluation returns the channels in reverse order.", "inputs"),
    Mutant("value_dependent_branch", 0, _ELSE,
           _then("if bool((var < 0).any()):", "    raise RuntimeError('negative variance')"),
           "A Python branch on the values of the variance breaks tracing and export.", "inputs"),
    Mutant("item_in_eval", 2, "        shape = layout(x)[1]\n",
           "        shape = layout(x)[1]\n"
           "        if self.running_var.min().item() < 0:\n            raise RuntimeError('negative variance')\n",
           "Evaluation branches on .item() of the running variance, which breaks tracing and export.", "inputs"),

    # options
    Mutant("eps_hard_coded", 0, _SCALE, "scale = torch.sqrt(var + 1e-5)",
           "eps is hard-coded to 1e-5; the argument is ignored.", "options"),
    Mutant("eps_hard_coded_small", 0, _SCALE, "scale = torch.sqrt(var + 1e-12)",
           "eps is hard-coded to 1e-12; the argument is ignored.", "options"),
    Mutant("eps_hard_coded_large", 1, _CALL, _CALL.replace("self.eps", "1e-3"),
           "eps is hard-coded to 1e-3; the argument is ignored.", "options"),
    Mutant("eps_hard_coded_eval", 2, "inv = torch.rsqrt(self.running_var + self.eps).view(shape)",
           "inv = torch.rsqrt(self.running_var + 1e-5).view(shape)",
           "Evaluation uses a hard-coded eps of 1e-5 instead of the argument.", "options"),
    Mutant("eps_default", 0, "eps=1e-5, momentum=0.1", "eps=1e-3, momentum=0.1",
           "The default of eps is 1e-3 instead of 1e-5.", "options"),
    Mutant("eps_not_passed", 1, _CALL, _CALL.replace(", self.eps", ""),
           "eps is not passed on to F.batch_norm, whose default is used.", "options"),
    Mutant("eps_at_least", 1, "self.eps = eps", "self.eps = max(eps, 1e-5) if eps > 0 else eps",
           "An eps below 1e-5 is raised to 1e-5.", "options"),
    Mutant("eps_captured", 0, ("self.eps = eps", _SCALE),
           ("self.eps = eps\n        self._eps = eps", "scale = torch.sqrt(var + self._eps)"),
           "eps is captured at construction; changing layer.eps later has no effect.", "options"),
    Mutant("eps_zero_accepted", 0, "if self.eps < 0 or batch_stats and self.eps == 0:", "if self.eps < 0:",
           "eps = 0 is accepted in training.", "options"),
    Mutant("eps_negative_accepted", 2, "self.eps = eps", "self.eps = abs(eps)",
           "A negative eps is silently made positive.", "options"),
    Mutant("eps_unchecked", 2, "if self.eps < 0 or batch_stats and self.eps == 0:", "if False:",
           "eps is not checked at all.", "options"),
    Mutant("momentum_hard_coded", 0, "factor = self.momentum", "factor = 0.1",
           "momentum is hard-coded to 0.1; the argument is ignored.", "options"),
    Mutant("momentum_hard_coded_var", 2, _RV,
           "factor = 0.1 if self.momentum is not None else factor\n        " + _RV,
           "The running variance uses a hard-coded momentum of 0.1.", "options"),
    Mutant("momentum_not_passed", 1, "factor = self.momentum", "factor = None if self.momentum is None else 0.1",
           "The momentum argument is not used; 0.1 is passed to F.batch_norm.", "options"),
    Mutant("momentum_default", 0, "momentum=0.1, affine", "momentum=0.9, affine",
           "The default of momentum is 0.9 instead of 0.1.", "options"),
    Mutant("momentum_default_small", 1, "momentum=0.1, affine", "momentum=0.01, affine",
           "The default of momentum is 0.01 instead of 0.1.", "options"),
    Mutant("momentum_zero_as_none", 0, "if self.momentum is None:", "if not self.momentum:",
           "momentum=0 is taken for momentum=None.", "options"),
    Mutant("momentum_zero_as_default", 1, "self.momentum = momentum",
           "self.momentum = momentum if momentum is None else momentum or 0.1",
           "momentum=0 is replaced by the default.", "options"),
    Mutant("momentum_none_fails", 2,
           "        if self.momentum is None:\n            factor = 1.0 / self.num_batches_tracked.to(var.dtype)\n"
           "        else:\n            factor = self.momentum\n",
           "        factor = self.momentum\n",
           "momentum=None is not handled and raises a TypeError.", "options"),
    Mutant("momentum_captured", 2, ("self.momentum = momentum", "factor = self.momentum"),
           ("self.momentum = momentum\n        self._momentum = momentum", "factor = self._momentum"),
           "momentum is captured at construction; changing layer.momentum later has no effect.", "options"),
    Mutant("momentum_capped", 0, "factor = self.momentum", "factor = min(self.momentum, 0.5)",
           "momentum is capped at 0.5.", "options"),
    Mutant("affine_ignored", 0, "        self.affine = affine\n", "        self.affine = affine = True\n",
           "affine=False is ignored: weight and bias are created anyway.", "options"),
    Mutant("affine_never", 1, "        self.affine = affine\n", "        self.affine = affine = False\n",
           "affine=True is ignored: weight and bias are never created.", "options"),
    Mutant("affine_default", 2, "affine=True, track", "affine=False, track",
           "The default of affine is False instead of True.", "options"),
    Mutant("affine_false_keeps_weight", 1, 'self.register_parameter("weight", None)',
           "self.weight = nn.Parameter(torch.ones(num_features, **options))",
           "With affine=False weight is still created.", "options"),
    Mutant("affine_false_keeps_bias", 0, 'self.register_parameter("bias", None)',
           "self.bias = nn.Parameter(torch.zeros(num_features, **options))",
           "With affine=False bias is still created.", "options"),
    Mutant("affine_false_identity", 0, "        return y.to(x.dtype)",
           "        return y.to(x.dtype) if self.affine else x.clone()",
           "With affine=False the input is returned without normalisation.", "options"),
    Mutant("affine_false_no_tracking", 0, "        self.track_running_stats = track_running_stats\n",
           "        self.track_running_stats = track_running_stats = track_running_stats and affine\n",
           "affine=False switches the running statistics off too.", "options"),
    Mutant("affine_false_fails", 0, "        if self.weight is not None:\n            y",
           "        if True:\n            y",
           "affine=False is not handled in forward and raises an AttributeError.", "options"),
    Mutant("track_ignored", 0, "        self.track_running_stats = track_running_stats\n",
           "        self.track_running_stats = track_running_stats = True\n",
           "track_running_stats=False is ignored: the statistics are tracked anyway.", "options"),
    Mutant("track_never", 1, "        self.track_running_stats = track_running_stats\n",
           "        self.track_running_stats = track_running_stats = False\n",
           "track_running_stats=True is ignored: no statistics are ever tracked.", "options"),
    Mutant("track_default", 2, "track_running_stats=True,", "track_running_stats=False,",
           "The default of track_running_stats is False instead of True.", "options"),
    Mutant("track_false_no_affine", 2, "        self.affine = affine\n",
           "        self.affine = affine = affine and track_running_stats\n",
           "track_running_stats=False switches weight and bias off too.", "options"),
    Mutant("track_false_keeps_buffers", 0,
           ("        if track_running_stats:\n", _MODE, "        if self.track_running_stats:\n"),
           ("        if True:\n", "batch_stats = self.training or not self.track_running_stats", "        if True:\n"),
           "With track_running_stats=False the buffers are created anyway.", "options"),
    Mutant("track_false_start_values", 0,
           ("        if track_running_stats:\n", "        if self.track_running_stats:\n"),
           ("        if True:\n", "        if True:\n"),
           "With track_running_stats=False evaluation uses never-updated buffers instead of the batch's statistics.",
           "options"),
    Mutant("track_false_eval_identity", 2, "        if batch_stats:\n            y",
           "        if batch_stats and not self.training:\n            return x.clone()\n"
           "        if batch_stats:\n            y",
           "With track_running_stats=False evaluation returns the input unchanged.", "options"),
    Mutant("track_false_eval_fails", 0, _MODE, "batch_stats = self.training",
           "With track_running_stats=False evaluation looks for running statistics that do not exist.", "options"),
    Mutant("track_false_counts", 1, (_BUF_COUNT, 'self.register_buffer("num_batches_tracked", None)'),
           (_BUF_COUNT, _BUF_COUNT),
           "With track_running_stats=False num_batches_tracked is still created.", "options"),
    Mutant("dtype_ignored", 0, 'options = {"device": device, "dtype": dtype}', 'options = {"device": device}',
           "The dtype argument is ignored.", "options"),
    Mutant("dtype_ignored_buffers", 2, (_BUF_MEAN, _BUF_VAR),
           (_BUF_MEAN.replace("**options", "device=device"), _BUF_VAR.replace("**options", "device=device")),
           "The dtype argument is ignored for the buffers.", "options"),
    Mutant("device_ignored", 1, 'options = {"device": device, "dtype": dtype}', 'options = {"dtype": dtype}',
           "The device argument is ignored for parameters and running statistics.", "options"),
    Mutant("device_ignored_counter", 0, _BUF_COUNT, _BUF_COUNT.replace(", device=device", ""),
           "The device argument is ignored for num_batches_tracked.", "options"),
    Mutant("repr_exchanged", 0, "eps={self.eps}, momentum={self.momentum}", "eps={self.momentum}, momentum={self.eps}",
           "extra_repr prints eps and momentum exchanged.", "options"),
    Mutant("repr_missing", 1, _REPR, "    def describe(self):",
           "extra_repr is missing, so the options are not shown.", "options"),
    Mutant("options_swapped", 2, "self.eps = eps\n        self.momentum = momentum",
           "self.eps = momentum\n        self.momentum = eps",
           "eps and momentum are stored in each other's attribute.", "options"),
]

_serial = itertools.count()


def source(mutant: Mutant) -> str:
    text = BASES[mutant.base]
    olds, news = ((part,) if isinstance(part, str) else part for part in (mutant.old, mutant.new))
    spans = []
    for old, new in zip(olds, news, strict=True):
        assert text.count(old) == 1, (mutant.name, text.count(old), old)
        start = text.index(old)
        spans.append((start, start + len(old), new))
    for start, stop, new in sorted(spans, reverse=True):
        text = text[:start] + new + text[stop:]
    return text


def build(mutant: Mutant) -> type:
    module = types.ModuleType(f"bn_mutant_{mutant.name}_{next(_serial)}")
    sys.modules[module.__name__] = module
    exec(compile(source(mutant), module.__name__, "exec"), module.__dict__)
    return module.Layer
