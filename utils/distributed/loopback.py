"""gloo that can be reached from this machine only, on every system."""

from __future__ import annotations

from typing import Any

import torch.distributed as dist

__all__ = ["loopback_backend"]

NAME = "loopback"
ADDRESS = "127.0.0.1"


def loopback_backend() -> str:
    """The name of a backend for `torch.distributed.init_process_group`: gloo, listening on the loopback address.

    By itself gloo listens where GLOO_SOCKET_IFNAME says, else where the machine's name leads to, which others may
    reach; and that variable needs the interface's name, which differs between systems. The address does not.
    """
    if NAME not in dist.Backend.backend_list:
        devices = dist.Backend.backend_capability["gloo"]
        dist.Backend.register_backend(NAME, _create, extended_api=True, devices=devices)
        dist.Backend.backend_type_map[NAME] = dist.ProcessGroup.BackendType.GLOO  # what PyTorch's own layers ask for
    return NAME


def _create(group: Any, _: Any) -> dist.ProcessGroupGloo:
    """Called for each new group, those that `torch.distributed.new_group` makes of some of the processes too."""
    options = dist.ProcessGroupGloo._Options()
    options._devices = [dist.ProcessGroupGloo.create_device(hostname=ADDRESS)]
    options._timeout = group.timeout
    return dist.ProcessGroupGloo(group.store, group.group_rank, group.group_size, options)
