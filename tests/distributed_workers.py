"""What the tests of the synchronized layer and of the training on many processes let those processes do."""

from __future__ import annotations

import copy
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import psutil
import torch
import torch.distributed as dist
from torch import Tensor, nn

from utils.data import ImageData
from utils.distributed import Settings, processes, training
from utils.layers.synchronized import SyncBatchNorm2d
from utils.training import History, fit

# --- the synchronized layer ------------------------------------------------------------------------------------------


def passes(norm: nn.Module, steps: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Forward and backward through a layer for each (input, gradient of the output); the last step's results.

    "curvature" is the gradient of the squared length of the input's gradient: the second derivative.
    """
    for x, g in steps:
        norm.zero_grad()
        x.requires_grad_()
        y = norm(x)
        (slope,) = torch.autograd.grad((y * g).sum(), x, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.square().sum(), x)
        (norm(x) * g).sum().backward()
    found = {"output": y.detach(), "input's gradient": x.grad, "curvature": curvature}
    found |= {f"{name}'s gradient": parameter.grad for name, parameter in norm.named_parameters()}
    return found | {name: buffer.clone() for name, buffer in norm.named_buffers()}


def synchronized(cases: list[dict[str, Any]]) -> list[dict[str, Tensor]]:
    """This process's share of each case, through the synchronized layer; gradients of parameters are of the share."""
    found = []
    for case in cases:
        norm = SyncBatchNorm2d(**case["settings"], dtype=case["dtype"])
        mine = [tuple(tensor.split(case["shares"])[dist.get_rank()] for tensor in step) for step in case["steps"]]
        found.append(passes(norm, mine))
    return found


def on_a_gpu(x: Tensor, g: Tensor) -> list[list[Tensor]]:
    """PyTorch's synchronized layer and ours, on this process's half of x: output, gradients, running statistics."""
    device, found = torch.device("cuda", dist.get_rank() % torch.cuda.device_count()), []
    model = nn.Sequential(nn.BatchNorm2d(x.shape[1]))
    for norm in (nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(model))[0], SyncBatchNorm2d(x.shape[1])):
        norm = norm.to(device)
        mine, slope = (each.chunk(2)[dist.get_rank()].to(device) for each in (x, g))
        mine.requires_grad_()
        y = norm(mine)
        (y * slope).sum().backward()
        results = (y.detach(), mine.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var)
        found.append([each.cpu() for each in results])
    return found


def refusals() -> dict[str, str]:
    """What the layer, and PyTorch's, say to what they refuse; after each error, the group must still be of use."""
    rank, said = dist.get_rank(), {}

    def refused(name: str, norm: nn.Module, x: Tensor) -> None:
        try:
            norm(x)
            said[name] = "nothing"
        except ValueError as error:
            said[name] = str(error)

    x = torch.ones(3, 2, 4, 4)
    refused("PyTorch's", nn.SyncBatchNorm(2), x)
    refused("channels", SyncBatchNorm2d(2 + rank), torch.ones(3, 2 + rank, 4, 4))
    refused("eps", SyncBatchNorm2d(2, eps=1e-5 * (1 + rank)), x)
    refused("momentum", SyncBatchNorm2d(2, momentum=None if rank else 0.1), x)
    refused("affine", SyncBatchNorm2d(2, affine=not rank), x)
    refused("bias", SyncBatchNorm2d(2, bias=not rank), x)
    refused("tracking", SyncBatchNorm2d(2, track_running_stats=bool(rank)), x)
    refused("type", SyncBatchNorm2d(2), x.double() if rank else x)
    refused("one value", SyncBatchNorm2d(2), torch.ones(1 - rank, 2))
    refused("none", SyncBatchNorm2d(2), torch.ones(0, 2))
    refused("two values", SyncBatchNorm2d(2), torch.ones(1, 2))
    if rank == 0:  # alone: nothing is exchanged
        refused("evaluation", SyncBatchNorm2d(2).eval(), x)
    return said


def evaluate_alone(x: Tensor) -> Tensor | None:
    """The first process evaluates without running statistics; the others have gone by then."""
    layer = SyncBatchNorm2d(x.shape[1], track_running_stats=False, dtype=x.dtype).eval()
    return layer(x).detach() if dist.get_rank() == 0 else None


def grouped(groups: list[list[int]], x: Tensor) -> Tensor:
    """Groups that know nothing of each other: each normalizes its own part of a batch with a sample a process."""
    made = [dist.new_group(ranks) for ranks in groups]
    mine = next(group for group, ranks in zip(made, groups, strict=True) if dist.get_rank() in ranks)
    return SyncBatchNorm2d(x.shape[1], process_group=mine, dtype=x.dtype)(x.split(1)[dist.get_rank()]).detach()


# --- the training ----------------------------------------------------------------------------------------------------


def everything(runs: dict[str, Settings], data: ImageData) -> dict[str, Any]:
    """Who this process is, on which addresses it listens, and what the runs gave it, one after the other.

    What a run raises is its result. In one more of them each process has settings of its own.
    """
    print("a worker may print")
    dist.barrier(dist.new_group())  # as a part of the processes would have it
    differing = Settings(depth=3, widths=(4,), lr=0.01 * (1 + dist.get_rank()))
    found: dict[str, History | str] = {}
    for name, settings in (runs | {"two rates": differing}).items():
        try:
            found[name] = training.train(settings, data)
        except (RuntimeError, ValueError) as error:
            found[name] = f"{type(error).__name__}: {error}"
    connections = psutil.Process().net_connections("inet")
    return {
        "rank": dist.get_rank(),
        "size": dist.get_world_size(),
        "pid": os.getpid(),
        "setting": os.environ.get("A_TEST"),
        "images": len(data.train),
        "listening": [each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN],
        "runs": found,
    }


def train_and_die(settings: Settings, data: ImageData, epoch: int, step: int) -> History:
    """Train; process 1 is killed after so many steps of so many epochs, counted from 1."""
    passes = 0

    def after_step(done: int) -> None:
        if dist.get_rank() == 1 and (passes, done) == (epoch, step):
            os.kill(os.getpid(), signal.SIGKILL)

    def mortal(*arguments: Any, **options: Any) -> History:
        nonlocal passes
        passes += 1
        return fit(*arguments, after_step=after_step, **options)

    training.fit = mortal
    return training.train(settings, data)


# --- what goes wrong -------------------------------------------------------------------------------------------------


def fail(message: str) -> None:
    """Process 1 raises, the others wait for it."""
    if dist.get_rank() == 1:
        raise KeyError(message)
    dist.barrier()


def leave(status: int) -> None:
    """Process 1 goes without a word; the others are in the middle of an exchange with it."""
    if dist.get_rank() == 1:
        os._exit(status)
    for _ in range(1000):
        dist.all_reduce(torch.ones(1000))


def hang(folder: str = "") -> None:
    if folder:
        (Path(folder) / f"{os.getpid()}.pid").touch()
    time.sleep(600)


def parent_of_a_hanging_process(folder: str) -> None:
    """Not a worker: a process that calls `run`."""
    processes.PRELOADED = []  # this server is for one process only
    processes.run(hang, 1, folder)


def torchrun(options: str) -> None:
    """Not a worker: torchrun itself. Its store listens on the loopback address; PyTorch's own listens on all."""

    class LoopbackStore(dist.TCPStore):
        def __init__(self, host_name, port, *others, is_master=False, **options):
            if is_master:
                listener = socket.create_server(("127.0.0.1", port))
                port = listener.getsockname()[1]
                options["master_listen_fd"] = listener.detach()  # the store closes it
            super().__init__(host_name, port, *others, is_master=is_master, **options)

    dist.TCPStore = LoopbackStore
    from torch.distributed.run import main  # after the change

    main(["--local-addr", "127.0.0.1", "--nproc-per-node", "2", "-m", "utils.distributed", *options.split()])


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
