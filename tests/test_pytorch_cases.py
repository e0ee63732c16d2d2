"""The cases of PyTorch's own module tests, for `nn.BatchNorm1d`, `2d` and `3d`: our layers beside PyTorch's.

The constructors' arguments and the inputs come from `torch.testing._internal.common_modules`, which is not public:
where it is not there, or has another shape, these tests are skipped. It is imported when a test needs it, not before:
that takes seconds, and freezes the flags of `torch.backends` in this process.
"""

import copy
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from utils.layers import BatchNorm2d
from utils.layers.collapsed import FastBatchNorm2d

FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}

every_name = pytest.mark.parametrize("name", ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"])
both_layers = pytest.mark.parametrize("ours", [BatchNorm2d, FastBatchNorm2d], ids=["written out", "collapsed"])
both_modes = pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])


class Case(NamedTuple):
    description: str
    arguments: tuple  # of the constructor
    settings: dict[str, Any]  # by keyword
    x: Tensor
    error: tuple[type, str] | None = None  # that is expected, and its words


def cases(name: str, training: bool, *, refused: bool = False) -> list[Case]:
    """PyTorch's cases for one of its layers, or those that it refuses."""
    torch.manual_seed(0)
    try:
        from torch.testing._internal.common_modules import module_db

        info = {info.module_cls.__name__: info for info in module_db}[name]
        make = info.module_error_inputs_func if refused else info.module_inputs_func
        found = []
        for case in make(info, device="cpu", dtype=torch.float64, requires_grad=True, training=training):
            error, case = ((case.error_type, case.error_regex), case.module_error_input) if refused else (None, case)
            made = case.constructor_input
            found.append(Case(case.desc, made.args, made.kwargs, case.forward_input.args[0], error))
    except (ImportError, AttributeError, KeyError, TypeError) as error:
        pytest.skip(f"PyTorch's own cases are not there, or have another shape: {error!r}")
    assert found, "a test that goes over no case says nothing"
    return found


def pairs(
    name: str, ours: type, training: bool, only: tuple[str, ...] = ()
) -> Iterator[tuple[str, nn.Module, nn.Module, Tensor]]:
    """For each case what it is, PyTorch's layer and ours with the same random numbers in them, and the input."""
    for case in cases(name, training):
        if only and case.description not in only:
            continue
        theirs = getattr(nn, name)(*case.arguments, **case.settings).double().train(training)
        with torch.no_grad():
            for values in (*theirs.parameters(), *theirs.buffers()):
                if values.is_floating_point():
                    values.uniform_(0.5, 1.5)
        layer = ours(*case.arguments, **case.settings).double().train(training)
        layer.load_state_dict(theirs.state_dict())
        yield case.description, theirs, layer, case.x


def step(layer: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """The output, the gradients of input and parameters, and what is remembered afterwards."""
    layer, x = copy.deepcopy(layer), x.detach().requires_grad_()
    y = layer(x)
    names = ["x", *(f"{name}'s gradient" for name, _ in layer.named_parameters())]
    dy = torch.empty_like(y).copy_(torch.linspace(-1, 1, y.numel()).view(y.shape))
    slopes = torch.autograd.grad(y, [x, *layer.parameters()], dy)
    return {"y": y.detach(), **dict(zip(names, slopes, strict=True)), **layer.state_dict()}


def assert_same(got: Any, expected: Any, what: str) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10, msg=lambda text: f"{what}: {text}")


def functional(layer: nn.Module, x: Tensor) -> tuple[Any, tuple[Tensor, ...]]:
    """The layer as a function of its input and parameters, and these."""
    names = [name for name, _ in layer.named_parameters()]

    def function(x: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))

    return function, (x, *layer.parameters())


@every_name
@both_layers
@both_modes
def test_outputs_gradients_and_state(name, ours, training):
    for what, theirs, layer, x in pairs(name, ours, training):
        expected = step(theirs, x)
        assert_same(step(layer, x), expected, what)
        assert_same(step(pickle.loads(pickle.dumps(layer)), x), expected, f"{what}, pickled")
        assert repr(layer) == repr(theirs).replace(name, ours.__name__)


@every_name
@both_layers
@both_modes
def test_first_and_second_derivatives(name, ours, training):
    for _, _, layer, x in pairs(name, ours, training):
        function, leaves = functional(layer, x)
        assert torch.autograd.gradcheck(function, leaves, fast_mode=True)
        assert torch.autograd.gradgradcheck(function, leaves, fast_mode=True)


@every_name
@both_layers
@both_modes
def test_the_order_in_memory(name, ours, training):
    for what, _, layer, x in pairs(name, ours, training):
        expected = step(layer, x)
        with_gaps = x.repeat_interleave(2, -1)[..., ::2]
        assert_same(step(layer, with_gaps), expected, f"{what}, with gaps")
        assert_same(step(layer, x.mT.contiguous().mT), expected, f"{what}, transposed")
        if order := FORMATS.get(x.ndim):
            last = x.contiguous(memory_format=order)
            got = step(layer, last)
            assert_same(got, expected, f"{what}, channels last")
            assert got["y"].is_contiguous(memory_format=order)
            assert got["x"].is_contiguous(memory_format=order)


@every_name
@both_layers
@both_modes
def test_the_meta_device(name, ours, training):
    for case in cases(name, training):
        settings = case.settings | {"device": "meta", "dtype": torch.float64}
        theirs, layer = (kind(*case.arguments, **settings).train(training) for kind in (getattr(nn, name), ours))
        x = case.x.to("meta")
        assert {values.device.type for values in layer.state_dict().values()} <= {"meta"}
        if training and layer.momentum is None:  # the share of this batch would be a number that is not there
            for each in (theirs, layer):
                with pytest.raises(RuntimeError, match="meta"):
                    each(x)
        else:
            y, expected = layer(x), theirs(x)
            assert (y.shape, y.dtype, y.device) == (expected.shape, expected.dtype, expected.device)


@every_name
@both_layers
@both_modes
def test_forward_mode(name, ours, training):
    def derivative(layer: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        with forward_ad.dual_level():
            return forward_ad.unpack_dual(layer(forward_ad.make_dual(x, x.square())))

    for what, theirs, layer, x in pairs(name, ours, training):
        if ours is FastBatchNorm2d and x.numel() and (training or layer.running_mean is None):
            with pytest.raises(NotImplementedError, match="implement the jvp function"):
                derivative(layer, x.detach())
        else:
            assert_same(derivative(layer, x.detach()), derivative(theirs, x.detach()), what)


@every_name
@both_layers
@both_modes
def test_vmap(name, ours, training):
    slope = torch.func.grad(lambda x, layer: layer(x).pow(3).sum())
    for what, theirs, layer, x in pairs(name, ours, training):
        x = torch.stack([x.detach(), 2 * x.detach() + 1])
        if not training or layer.running_mean is None:
            assert_same(torch.vmap(layer)(x), torch.stack([theirs(part) for part in x]), what)
            expected = torch.stack([slope(part, theirs) for part in x])
            assert_same(torch.vmap(slope, (0, None))(x, layer), expected, f"{what}, gradients")
        elif x.numel():  # one memory for several batches
            for each in (theirs, layer):
                with pytest.raises(RuntimeError):
                    torch.vmap(each)(x)


@every_name
@both_layers
def test_what_is_refused(name, ours):
    for case in cases(name, training=True, refused=True):
        kind, words = case.error
        layer = ours(*case.arguments, **case.settings).double()
        with pytest.raises(kind, match=words):
            layer(case.x)


@both_modes
def test_the_thirty_lines_of_the_notebook(training):
    """They take three arguments of the constructor, and pictures: two of the cases."""
    notebooks = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
    cells = (cell for path in notebooks for cell in json.loads(path.read_text(encoding="utf-8"))["cells"])
    source = next(text for cell in cells if "class BatchNorm2d(nn.Module):" in (text := "".join(cell["source"])))
    names = {"torch": torch, "nn": nn, "Tensor": Tensor}
    exec(source, names)
    found = list(pairs("BatchNorm2d", names["BatchNorm2d"], training, only=("", "momentum")))
    assert len(found) == 2
    for what, theirs, layer, x in found:
        assert_same(step(layer, x), step(theirs, x), what)
        assert torch.autograd.gradcheck(*functional(layer, x), fast_mode=True)
        assert torch.autograd.gradgradcheck(*functional(layer, x), fast_mode=True)
