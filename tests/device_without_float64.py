"""A device that has no float64, as Apple's GPU has none, on any machine: its tensors compute on the CPU, in disguise.

    network, batches = away(network), [(away(x), away(y)) for x, y in batches]

Whatever would make a tensor of float64 there raises the TypeError that PyTorch raises on an Apple GPU.
"""

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

__all__ = ["AwayTensor", "away"]

DEVICE = torch.device("meta")  # what the tensors give as their device: any but the CPU will do


class AwayTensor(Tensor):
    """A tensor on that device.

    Attributes:
        here: its values, on the CPU.
        looks: how often a number of that device was asked for: each time a program waits for the device.
    """

    looks = 0

    @staticmethod
    def __new__(cls, here: Tensor):
        return Tensor._make_wrapper_subclass(
            cls, here.shape, here.stride(), here.storage_offset(), dtype=here.dtype, device=DEVICE
        )

    def __init__(self, here: Tensor):
        self.here = here

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        to_cpu = kwargs.get("device") == torch.device("cpu")
        if "device" in kwargs:
            kwargs["device"] = torch.device("cpu")
        cls.looks += to_cpu or function is torch.ops.aten._local_scalar_dense.default
        result = function(*tree_map_only(cls, here, args), **tree_map_only(cls, here, kwargs))
        if function._schema.name.endswith("_"):  # in place
            return args[0]
        return result if to_cpu else tree_map_only(Tensor, to_away, result)


def here(x: AwayTensor) -> Tensor:
    return x.here


def to_away(x: Tensor) -> AwayTensor:
    if x.dtype == torch.float64:
        raise TypeError("this device has no float64: use float32 instead")
    return AwayTensor(x)


def away(x: Tensor | nn.Module) -> AwayTensor | nn.Module:
    """A copy of the tensor on that device; a module is moved there and given back."""
    if isinstance(x, Tensor):
        return to_away(x.detach().clone())
    for module in x.modules():
        for name, parameter in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(away(parameter)))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, away(buffer))
    return x
