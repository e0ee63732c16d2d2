"""What is seen in the gradient alone."""

from normdoctor.backward import RULES
from normdoctor.options.option import Option, option
from normdoctor.options.training import DERIVED

__all__ = ["GRADIENT"]

GRADIENT: list[Option] = []
SILENT = (
    *DERIVED,
    "two calls",
    "gradient in eval",
    "vmap in evaluation",
    "export",
    "affine=False",
    "gradient at eps",
    "channels_last",
    "not contiguous",
    "to(dtype, device)",
    "input changed later",
    "half input",
)
for _how, (_name, _what) in {
    "both detached": (
        "statistics detached",
        "mean and variance are detached (computed under no_grad, or from "
        "x.detach()): the gradient must flow through both",
    ),
    "mean detached": ("mean detached", "the gradient does not flow through the mean: it must"),
    "variance detached": ("variance detached", "the gradient does not flow through the variance: it must"),
}.items():
    option(GRADIENT, _name, _what, *SILENT, backward=_how)
for _rule in RULES:
    _words = {
        "dx is zero": "no gradient reaches x: the output is detached from it",
        "dx is dy": "dL/dy is handed on as dL/dx, as if nothing had been done",
        "dx is γ dy": "dL/dx is γ dL/dy, as if x had not been normalized",
        "dγ is zero": "no gradient reaches γ: it is detached",
        "dβ is zero": "no gradient reaches β: it is detached",
        "dy clamped": "the gradient from above is clamped: leave it",
    }.get(_rule, f"the backward pass is wrong ({_rule}): derive it again, or leave it to autograd")
    option(GRADIENT, f"gradient: {_rule}", _words, *SILENT, backward=_rule)
