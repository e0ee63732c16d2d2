"""The probes of a `BnLayer`: of the convolution around the normalization."""

from collections.abc import Callable

import torch
from torch import nn

from normdoctor.case import Case, FromBnLayer
from normdoctor.probe import Outcome, Probe, registrar

__all__ = ["CONVOLUTION"]

CONVOLUTION: list[Probe] = []
_probe = registrar(CONVOLUTION, "engineering")


def _layer(case: Case) -> Callable[..., nn.Module]:
    """The class around the normalization."""
    assert isinstance(case.make_layer, FromBnLayer)  # since the probes need it
    return case.make_layer.layer


@_probe(
    "output size",
    "With kernels 1, 3, 5 and 7, does stride 1 keep the size and stride 2 halve it?",
    "bnlayer",
    hint="the constructor should be (ni, nf, stride, kernel_size)",
)
def output_size(case: Case) -> Outcome:
    wrong = []
    for kernel in (1, 3, 5, 7):
        for stride in (1, 2):
            layer = _layer(case)(3, 4, stride=stride, kernel_size=kernel)
            size = layer.train()(case.batch(shape=(2, 3, 16, 16))).shape[-1]
            if size != 16 // stride:
                wrong.append(f"kernel {kernel}, stride {stride}: 16 becomes {size}")
    words = "; ".join(wrong) + "; the padding should be half the kernel, kernel_size // 2" if wrong else ""
    return Outcome(words, source="the height and width of the output, exact", cause="wrong padding" if wrong else "")


@_probe(
    "no idle bias",
    "Is there no bias in the convolution that the normalization takes away again?",
    "bnlayer",
    "training",
)
def no_idle_bias(case: Case) -> Outcome:
    layer = _layer(case)(case.channels, case.channels, stride=1, kernel_size=3).train()
    x = case.batch() - 7
    before = layer(x).detach()
    idle = []
    for name, module in layer.named_modules():
        bias = getattr(module, "bias", None)
        if isinstance(module, nn.modules.conv._ConvNd) and bias is not None:
            with torch.no_grad():
                bias += 0.5
            if (layer(x) - before).abs().max() < 1e-4:
                idle.append(f"{name}.bias")
    words = f"{', '.join(idle)} changes nothing: the mean is subtracted right after; pass bias=False" if idle else ""
    return Outcome(words, source="the change of the output when the bias changes", cause="idle bias" if idle else "")
