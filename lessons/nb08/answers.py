"""Answers to the exercises of notebook 08."""

import torch
import torch.nn.functional as F
from torch import nn

from utils.exercises.definitions import Answers

# --- 8.3


class Parts(nn.Module):
    """Two halves of a branch; what differs is said by the class's attributes."""

    zero, skip, relu, bias, padding = ("gamma2",), True, True, False, 1

    def __init__(self, channels):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, kernel_size=3, padding=self.padding, bias=self.bias)
        self.second = nn.Conv2d(channels, channels, kernel_size=3, padding=self.padding, bias=self.bias)
        self.norms = nn.ModuleList([nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)])
        names = {
            "gamma1": self.norms[0].weight,
            "gamma2": self.norms[1].weight,
            "beta2": self.norms[1].bias,
            "conv2": self.second.weight,
        }
        for name in self.zero:
            names[name].data.zero_()

    def forward(self, x):
        y = self.norms[0](self.first(x))
        y = self.norms[1](self.second(y.clamp(min=0) if self.relu else y))
        return y.add(x) if self.skip else y


class WithConstant(nn.Module):
    """In a function for each half, with `constant_`."""

    def __init__(self, channels):
        super().__init__()

        def half():
            return [nn.Conv2d(channels, channels, 3, 1, "same", bias=False), nn.BatchNorm2d(channels)]

        self.f = nn.Sequential(*half(), nn.ReLU(inplace=True), *half())
        nn.init.constant_(self.f[4].weight, 0.0)

    def forward(self, x):
        y = self.f(x)
        y += x
        return y


class NewParameter(WithConstant):
    def __init__(self, channels):
        super().__init__(channels)
        self.f[-1].weight = nn.Parameter(torch.zeros(channels))


def kind(**changes):
    return type("Changed", (Parts,), changes)


class ReluAtTheEnd(Parts):
    def forward(self, x):
        return F.relu(super().forward(x))


class ReluInTheBranch(Parts):
    def forward(self, x):
        return x + F.relu(super().forward(x) - x)


class PreActivation(Parts):
    def forward(self, x):
        y = self.first(F.relu(self.norms[0](x)))
        return x + self.second(F.relu(self.norms[1](y)))


class ReluFirst(Parts):
    def forward(self, x):
        return x + self.norms[1](self.second(self.norms[0](F.relu(self.first(x)))))


class TimesZero(Parts):
    def forward(self, x):
        return x + 0.0 * (super().forward(x) - x)


class OneNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x):
        return x + self.norm(self.conv(F.relu(self.norm(self.conv(x)))))


class ReturnsNothing(Parts):
    def forward(self, x):
        super().forward(x)


class InPlace(Parts):
    def forward(self, x):
        with torch.no_grad():
            return x.add_(super().forward(x) - x + 1e-3)


ANSWERS = {
    "block-that-begins-as-nothing": Answers(
        right=[Parts, WithConstant, NewParameter],
        wrong=[
            ("gamma_one", kind(zero=())),
            ("both_zero", kind(zero=("gamma1", "gamma2"))),
            ("first_zero", kind(zero=("gamma1",))),
            ("gamma_one", kind(zero=("beta2",))),
            ("convolution_zero", kind(zero=("conv2",))),
            ("convolution_and_gamma_zero", kind(zero=("conv2", "gamma2"))),
            ("without_skip", kind(skip=False)),
            ("relu_behind_the_sum", ReluAtTheEnd),
            ("relu_behind_the_branch", ReluInTheBranch),
            ("without_relu", kind(relu=False)),
            ("normalization_first", PreActivation),
            ("normalized_after_relu", ReluFirst),
            ("with_bias", kind(bias=True)),
            ("multiplied_by_zero", TimesZero),
            ("without_padding", kind(padding=0)),
            ("unusable", OneNorm),
            ("unusable", lambda channels: torch.relu),
            ("returns_none", ReturnsNothing),
            ("not_callable", Parts(3).first.weight),
        ],
    ),
}
