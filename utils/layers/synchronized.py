"""Batch normalization over the batches of all processes together: one exchange forward, one back.

On one process this is `utils.layers.BatchNorm2d`. On several, each normalizes its own share of the batch with the mean
and variance of all shares, so that the result is that of one process with one big batch.
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn

from utils.layers.finished import BatchNorm2d

__all__ = ["AllReduce", "SyncBatchNorm2d", "convert"]


class AllReduce(torch.autograd.Function):
    """The sum of a tensor over all processes: `AllReduce.apply(x, group)`; group None: all there are.

    Whatever one process does with the sum depends on the values of all of them, so the gradients of all are summed on
    the way back: the same exchange once more. Every process must call it, and run backward, the same number of times.

    Shape: any, the same on all processes.
    """

    @staticmethod
    def forward(ctx, x: Tensor, group: dist.ProcessGroup | None = None) -> Tensor:
        ctx.group = group
        total = x.clone(memory_format=torch.contiguous_format)  # the sum is written over what is given
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return AllReduce.apply(gradient, ctx.group), None


class SyncBatchNorm2d(BatchNorm2d):
    """`BatchNorm2d` whose batch is that of all processes together; on the CPU (gloo) as well as on GPUs (nccl).

    In training, each process contributes for each channel the count of its values, their mean, and the sum of their
    squared distances from it (M2). These are put together without ever squaring a mean, so that values far from zero
    do not lose their digits. The batches may be uneven, down to an empty one. In evaluation nothing is exchanged, so
    that one process can evaluate alone: without running statistics, each normalizes by its own batch. Without a process
    group, or with one process, it is `BatchNorm2d`.

    Args:
        num_features, eps, momentum, affine, track_running_stats, device, dtype, bias: as `BatchNorm2d`; the same on all
            processes.
        process_group: the processes that share a batch; None for all.

    Shape: (N, C, ...) on each process; N may differ, and so may the places.

    Raises:
        ValueError: as `BatchNorm2d`; on all processes, before the first exchange of statistics: their settings or the
            types of their numbers differ; on all processes: together they have one value a channel, or none.
        RuntimeError: from torch.distributed: a process has gone away, or has not come within the group's timeout.

    Ioffe & Szegedy (2015), algorithms 1 and 2; counts, means and M2 are combined after Chan, Golub & LeVeque (1983).
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: dist.ProcessGroup | None = None,
        device=None,
        dtype=None,
        **bias: bool,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, **bias)
        self.process_group = process_group
        self._agreed = False  # whether the others' settings have been seen to be the same

    def _statistics(self, values: Tensor) -> tuple[int | Tensor, Tensor, Tensor]:
        group = self.process_group
        processes = dist.get_world_size(group) if dist.is_available() and dist.is_initialized() else 1
        if processes < 2 or not self.training:
            return super()._statistics(values)
        if not self._agreed:
            self._agree(values)

        channels, dims = self.num_features, (0, *range(2, values.ndim))
        count = values.numel() // max(1, channels)
        mean = values.sum(dims, keepdim=True) / max(1, count)  # (1, C, 1, 1), and 0 for an empty batch
        m2 = (values - mean).square().sum(dims)  # (C,)

        rows = values.new_zeros(processes, 1 + 2 * channels)  # each fills in its own row; the sum is everybody's
        rows[dist.get_rank(group)] = torch.cat([values.new_full((1,), count), mean.flatten(), m2])
        counts, means, m2s = AllReduce.apply(rows, group).split([1, channels, channels], 1)  # (P, 1), (P, C), (P, C)

        total = counts.sum()
        if count < 2 and total < 2:  # then everybody's count is below 2, and everybody raises
            raise ValueError(
                f"a channel needs more than one value to be normalized; given: {total:g} on all processes together"
            )
        mean = (counts / total * means).sum(0)
        var = (m2s + counts * (means - mean).square()).sum(0) / total
        return total, mean, var

    def _agree(self, values: Tensor) -> None:
        """Raise ValueError, here as on the other processes, unless all settings are the same."""
        settings = {
            "num_features": self.num_features,
            "eps": self.eps,
            "momentum": -1 if self.momentum is None else self.momentum,
            "affine": self.affine,
            "bias": self.bias is not None,
            "track_running_stats": self.track_running_stats,
            "bytes a number": values.element_size(),
        }
        rows = torch.zeros(dist.get_world_size(self.process_group), len(settings), device=values.device)
        rows[dist.get_rank(self.process_group)] = torch.tensor([float(value) for value in settings.values()])
        dist.all_reduce(rows, group=self.process_group)  # of one size, whatever the settings are
        for name, column in zip(settings, rows.T.tolist(), strict=True):
            if len(set(column)) > 1:
                each = ", ".join(f"{value:g} on process {rank}" for rank, value in enumerate(column))
                raise ValueError(f"a synchronized layer must be the same on all processes; {name}: {each}")
        self._agreed = True


def convert(model: nn.Module, process_group: dist.ProcessGroup | None = None) -> nn.Module:
    """Put a `SyncBatchNorm2d` in the place of every `BatchNorm2d`, ours and PyTorch's, in place.

    Parameters and buffers are carried over, not copied, so an optimizer that holds them goes on working. A layer that
    is in the model twice is so afterwards. Hooks are not carried over.

    Args:
        model: any module; it may be such a layer itself.
        process_group: of the new layers.

    Returns:
        The model; if it is such a layer itself, the new one.

    Like `nn.SyncBatchNorm.convert_sync_batchnorm`.
    """
    new = {
        module: _synchronized(module, process_group)
        for module in model.modules()
        if isinstance(module, BatchNorm2d | nn.BatchNorm2d) and not isinstance(module, SyncBatchNorm2d)
    }
    for module in list(model.modules()):
        for name, child in module._modules.items():  # named_children shows a child that is there twice only once
            module._modules[name] = new.get(child, child)
    return new.get(model, model)


def _synchronized(norm: BatchNorm2d | nn.BatchNorm2d, process_group: dist.ProcessGroup | None) -> SyncBatchNorm2d:
    settings = (norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    new = SyncBatchNorm2d(*settings, process_group, device="meta")  # nothing to fill: all of it is the old one's
    new._parameters.update(norm._parameters)
    new._buffers.update(norm._buffers)
    return new.train(norm.training)
