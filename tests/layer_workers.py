"""What the tests of the synchronized layer let single processes do."""

import torch
import torch.distributed as dist
from torch import Tensor

from utils.layers.synchronized import SyncBatchNorm2d


def evaluate_alone(x: Tensor) -> Tensor | None:
    """The first process evaluates without running statistics; the others have gone by then."""
    layer = SyncBatchNorm2d(x.shape[1], track_running_stats=False, dtype=x.dtype).eval()
    return layer(x).detach() if dist.get_rank() == 0 else None


def disagree_about_bias() -> str:
    """What the layer says where only the first process's has a bias."""
    layer = SyncBatchNorm2d(2, bias=dist.get_rank() == 0)
    try:
        layer(torch.ones(3, 2))
    except ValueError as error:
        return str(error)
    return "nothing"
