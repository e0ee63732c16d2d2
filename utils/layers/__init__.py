"""The layers that the notebooks build: `first`, `finished`, and, not imported here, `collapsed` and `synchronized`."""

from utils.layers.finished import BatchNorm2d, BnLayer, ConvLayer
from utils.layers.first import FirstBatchNorm2d, FirstBnLayer

__all__ = ["BatchNorm2d", "BnLayer", "ConvLayer", "FirstBatchNorm2d", "FirstBnLayer"]
