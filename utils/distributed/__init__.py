"""The same training on many processes, on torch.distributed: one CPU, many GPUs or many machines.

    torchrun --nproc-per-node 2 -m utils.distributed --depth 20 --norm sync --epochs 3 --out results.json
    python -m utils.distributed ...                     # the same on one process

Each process holds the whole network, computes the gradient of its share of every batch, and the gradients are averaged
before each step (DistributedDataParallel). The batches are those that one process would see, and so is the loss. The
loop is `utils.training.fit`. GPUs talk over nccl, CPUs over gloo.

Running statistics: with "sync" they are the same on all processes. With "batch" each process keeps those of its own
shares in training; evaluated and kept are those of process 0, which DistributedDataParallel sends to all.

From a notebook, `run(train, 2, Settings(depth=5))` starts the processes; see `utils.distributed.processes`.
"""

from utils.distributed.checkpoints import CheckpointError
from utils.distributed.processes import ProcessError, run
from utils.distributed.results import read_results
from utils.distributed.training import NORMS, Settings, Share, train

__all__ = ["NORMS", "CheckpointError", "ProcessError", "Settings", "Share", "read_results", "run", "train"]
