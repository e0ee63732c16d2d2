"""The door to `utils.layers.synchronized`, so that the notebooks' import stays."""

from utils.layers.synchronized import AllReduce, SyncBatchNorm2d, convert

__all__ = ["AllReduce", "SyncBatchNorm2d", "convert"]
