"""Answers to the exercises of notebook 08."""

import torch
from torch import nn

from utils.exercises.definitions import Answers

# --- 8.3


class InOneChain(nn.Module):
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


class Parts(nn.Module):
    """Its parts are not made in the order of their use; what differs in a wrong answer is said by the attributes."""

    zero, relu, bias, padding = ("gamma2",), True, False, 1

    def __init__(self, channels):
        super().__init__()
        self.second = nn.Conv2d(channels, channels, kernel_size=3, padding=self.padding, bias=self.bias)
        self.first = nn.Conv2d(channels, channels, kernel_size=3, padding=self.padding, bias=self.bias)
        self.norms = nn.ModuleList([nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)])
        two, one = self.norms
        names = {"gamma1": one.weight, "gamma2": two.weight, "beta2": two.bias, "conv2": self.second.weight}
        for name in self.zero:
            names[name].data = torch.zeros_like(names[name])

    def forward(self, x):
        y = self.norms[1](self.first(x))
        return self.norms[0](self.second(y.clamp(min=0) if self.relu else y)).add(x)


class AnotherStart(Parts):
    def __init__(self, channels):
        super().__init__(channels)
        nn.init.kaiming_normal_(self.first.weight)


def kind(**changes):
    return type("Changed", (Parts,), changes)


class OneNorm(InOneChain):
    def __init__(self, channels):
        super().__init__(channels)
        self.f[1] = self.f[4]


ANSWERS = {
    "block-that-begins-as-nothing": Answers(
        right=[InOneChain, Parts],
        wrong=[
            ("gamma_one", kind(zero=("beta2",), bias=True)),
            ("without_padding", kind(padding=0)),
            ("wrong_values", kind(zero=("gamma1", "gamma2"))),
            ("wrong_values", kind(zero=("gamma2", "conv2"))),
            ("wrong_values", kind(relu=False)),
            ("wrong_values", AnotherStart),
            ("wrong_values", kind(forward=lambda self, x: Parts.forward(self, x) if self.training else x)),
            ("changes_input", kind(forward=lambda self, x: x.copy_(Parts.forward(self, x)))),
            ("raises", kind(padding=2)),
            ("unusable", OneNorm),
            ("not_callable", Parts(3)),
        ],
    ),
}
