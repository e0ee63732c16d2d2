"""The few networks of the course, each taking "with or without" as an argument."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from utils.layers import ConvLayer

__all__ = ["ConvNet", "initialize"]


class ConvNet(nn.Module):
    """A plain stack of convolutions for 32×32 images: no skip connections, global average pooling, one linear layer.

    The layers are shared out over the stages as evenly as possible, the later stages taking what is left over; the
    first layer of each stage halves the picture. Depth 5 with the default widths is 16 | 32 32 | 64 64.

    With and without normalization differ in nothing else: built with the same `seed`, both hold the same convolution
    and output weights. (Without, each convolution has a bias, since there is no β to do its work.)

    Args:
        depth: the number of convolutions.
        widths: channels of each stage.
        norm_layer: makes a normalization from a number of channels (`nn.BatchNorm2d`, `FirstBatchNorm2d`); None: none.
        norm_first: normalize before the ReLU; otherwise after it, the course's first order.
        init: "default" (PyTorch's own), "he", or the standard deviation of normal weights; see `initialize`.
        seed: of the weights.
        num_classes: outputs.

    Shape: (N, 3, H, W) → (N, num_classes). `layers` holds the convolutional layers, input to output.

    Raises:
        ValueError: fewer layers than stages, or an `init` that is not known.
    """

    def __init__(
        self,
        depth: int = 5,
        widths: Sequence[int] = (16, 32, 64),
        norm_layer: Callable[[int], nn.Module] | None = None,
        *,
        norm_first: bool = False,
        init: str | float = "default",
        seed: int = 0,
        num_classes: int = 10,
    ):
        super().__init__()
        if not widths or depth < len(widths):
            raise ValueError(f"a network of {len(widths)} stages needs at least as many layers; given: depth={depth}")
        each, extra = divmod(depth, len(widths))
        layers, ni = [], 3
        for stage, width in enumerate(widths):
            for i in range(each + (stage >= len(widths) - extra)):
                layers.append(ConvLayer(ni, width, 2 if i == 0 else 1, 3, norm_layer, norm_first))
                ni = width
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(ni, num_classes)
        initialize(self, init, seed)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x).mean((2, 3)))


@torch.no_grad()
def initialize(model: nn.Module, init: str | float, seed: int) -> nn.Module:
    """Fill the weights of every convolution and linear layer from `seed`, in place; nothing else is touched.

    Args:
        model: any module.
        init: "default": uniform in ±1/√fan_in, biases too (what PyTorch does by itself);
            "he": normal with variance 2/fan_in, biases zero (He et al. 2015, equation 10);
            a number: normal with that standard deviation, biases zero.
        seed: the same seed gives the same weights, whatever stands between the layers and on every device.

    Returns:
        The model.

    Raises:
        ValueError: an `init` that is not one of these.
    """
    if init not in ("default", "he") and not (isinstance(init, float | int) and init >= 0):
        raise ValueError(f'init is "default", "he" or a standard deviation; given: {init!r}')
    weights = torch.Generator().manual_seed(seed)
    biases = torch.Generator().manual_seed(seed + 2**31)  # apart, so that a bias more or less changes no weight
    for layer in model.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        fan_in = layer.weight[0].numel()
        noise = torch.empty(layer.weight.shape)
        if init == "default":
            noise.uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=weights)
        else:
            noise.normal_(0, (2 / fan_in) ** 0.5 if init == "he" else float(init), generator=weights)
        layer.weight.copy_(noise)
        if layer.bias is not None:
            bound = fan_in**-0.5 if init == "default" else 0.0
            layer.bias.copy_(torch.empty(layer.bias.shape).uniform_(-bound, bound, generator=biases))
    return model
