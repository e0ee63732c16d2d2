"""utils.layers.synchronized: equal to one big batch, in output, gradients and running statistics, however shared."""

from __future__ import annotations

import copy

import distributed_workers as workers
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from utils.distributed import processes
from utils.distributed.processes import run
from utils.layers import BatchNorm2d
from utils.layers.synchronized import SyncBatchNorm2d, convert
from utils.models import ConvNet

N = 12  # samples in a batch, all processes together
SHARES = {  # how many of them each process gets
    2: {"even": [6, 6], "uneven": [11, 1], "one empty": [0, 12]},
    4: {"even": [3, 3, 3, 3], "uneven": [1, 7, 2, 2], "one empty": [4, 0, 5, 3]},
}
KINDS = {  # type of the numbers, the places, what is added to all of them, the settings
    "float64": (torch.float64, (5, 4), 0, {}),
    "float64, no places, plain average": (torch.float64, (), 0, {"momentum": None, "eps": 1e-3}),
    "float64, nothing learned or kept": (torch.float64, (7,), 0, {"affine": False, "track_running_stats": False}),
    "float32": (torch.float32, (5, 4), 0, {}),
    "float32, far from zero": (torch.float32, (5, 4), 1e3, {}),
}
CASES = [(count, share, kind) for count in SHARES for share in SHARES[count] for kind in KINDS]


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def case_of(count: int, share: str, kind: str) -> dict:
    """Two steps, so that the running statistics run; each sample has a mean of its own, so that shares differ."""
    dtype, places, offset, settings = KINDS[kind]
    column = (-1, *[1] * (1 + len(places)))
    means = torch.linspace(-1, 1, N, dtype=torch.float64).view(column) + offset
    steps = [
        ((randn(N, 3, *places, seed=seed) + means).to(dtype), randn(N, 3, *places, seed=9 + seed).to(dtype))
        for seed in range(2)
    ]
    return {
        "settings": settings | {"num_features": 3},
        "dtype": dtype,
        "steps": steps,
        "shares": SHARES[count][share],
    }


@pytest.fixture(scope="module", autouse=True)
def no_optimizers():
    """Here nothing is trained: a server that is started now need not import what optimizers do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "PRELOADED", processes.PRELOADED[:1])
        yield


@pytest.fixture(scope="module")
def found() -> dict[tuple[int, str, str], dict[str, Tensor]]:
    """What the processes together make of each case: shares put in a row, gradients of parameters added up."""
    found = {}
    for count in SHARES:
        cases = {case: case_of(*case) for case in CASES if case[0] == count}
        answers = run(workers.synchronized, count, copy.deepcopy(list(cases.values())))
        for case, *parts in zip(cases, *answers, strict=True):
            found[case] = {name: together(name, [part[name] for part in parts]) for name in parts[0]}
    return found


def together(name: str, parts: list[Tensor]) -> Tensor:
    if name.startswith(("weight", "bias")):
        return torch.stack(parts).sum(0)
    if name.startswith(("running", "num")):
        assert all(torch.equal(part, parts[0]) for part in parts), f"{name} is not the same on all processes"
        return parts[0]
    return torch.cat(parts)


@pytest.mark.parametrize(("count", "share", "kind"), CASES)
def test_it_equals_one_big_batch(found, count, share, kind):
    case = case_of(count, share, kind)
    big = workers.passes(BatchNorm2d(**case["settings"], dtype=case["dtype"]), case["steps"])
    ours = found[count, share, kind]
    assert ours.keys() == big.keys()
    far = "far" in kind  # there the numbers themselves are rounded to 6e-5, and so is what either layer makes of them
    tolerance = 3e-4 if far else {torch.float64: 1e-12, torch.float32: 1e-6}[case["dtype"]]
    for name in big:
        size = max(1.0, big[name].abs().max().item())  # a sum over 240 values is rounded by more than one value is
        np.testing.assert_allclose(ours[name] / size, big[name] / size, rtol=0, atol=tolerance, err_msg=name)


def test_a_layer_on_each_process_by_itself_would_not():
    """The control: shares that are normalized one by one are far from the big batch."""
    x = case_of(2, "even", "float64")["steps"][0][0]
    apart = torch.cat([BatchNorm2d(3, dtype=x.dtype)(part) for part in x.split([6, 6])])
    assert (apart - BatchNorm2d(3, dtype=x.dtype)(x)).abs().max() > 0.1


def test_far_from_zero_the_variance_keeps_its_digits(found):
    """The means are rounded to 3e-5 there; mean of squares minus square of the mean would be off by some 0.05."""
    for count, share, kind in CASES:
        if "far" in kind:
            steps = [(x.detach().double(), g.double()) for x, g in case_of(count, share, kind)["steps"]]
            exact = workers.passes(BatchNorm2d(3, dtype=torch.float64), steps)["running_var"]
            np.testing.assert_allclose(found[count, share, kind]["running_var"], exact, rtol=5e-5)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def said() -> list[dict[str, str]]:
    return run(workers.refusals, 2)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("channels", "num_features: 2 on process 0, 3 on process 1"),
        ("eps", "eps: 1e-05 on process 0, 2e-05 on process 1"),
        ("momentum", "momentum: 0.1 on process 0, -1 on process 1"),
        ("affine", "affine: 1 on process 0, 0 on process 1"),
        ("bias", "bias: 1 on process 0, 0 on process 1"),
        ("tracking", "track_running_stats: 0 on process 0, 1 on process 1"),
        ("type", "bytes a number: 4 on process 0, 8 on process 1"),
        ("one value", "more than one value to be normalized; given: 1 on all processes together"),
        ("none", "more than one value to be normalized; given: 0 on all processes together"),
    ],
)
def test_all_processes_refuse(said, name, words):
    assert words in said[0][name]
    assert said[0][name] == said[1][name]


def test_what_is_not_refused(said):
    assert said[0]["two values"] == said[1]["two values"] == "nothing"
    assert said[0]["evaluation"] == "nothing"


def test_pytorchs_layer_refuses_the_cpu(said):
    """The day it does not, notebook 15 has to be written again."""
    assert "GPU" in said[0]["PyTorch's"]


def test_groups_of_processes():
    """One spawn of three: the first two share a batch, the third is alone in its group."""
    x = randn(3, 2, 4, 4)
    outputs = run(workers.grouped, 3, [[0, 1], [2]], x)
    for part, expected in zip(torch.cat(outputs).split([2, 1]), x.split([2, 1]), strict=True):
        np.testing.assert_allclose(part, BatchNorm2d(2, dtype=x.dtype)(expected).detach(), atol=1e-12)


def test_one_process_can_evaluate_alone_without_running_statistics():
    x = randn(4, 2, 3, 3) + 1
    alone, _ = run(workers.evaluate_alone, 2, x, timeout=30)
    expected = BatchNorm2d(2, track_running_stats=False, dtype=x.dtype).eval()(x)
    np.testing.assert_allclose(alone, expected.detach(), atol=1e-12)


# --- on one process --------------------------------------------------------------------------------------------------


def test_without_a_process_group_it_is_our_layer():
    x = randn(4, 3, 5, 5)
    ours, plain = SyncBatchNorm2d(3, dtype=x.dtype), BatchNorm2d(3, dtype=x.dtype)
    assert torch.equal(ours(x), plain(x))
    assert all(torch.equal(a, b) for a, b in zip(ours.buffers(), plain.buffers(), strict=True))
    assert list(ours.state_dict()) == list(plain.state_dict())
    assert torch.equal(ours.eval()(x), plain.eval()(x))
    with pytest.raises(ValueError, match="more than one value"):
        SyncBatchNorm2d(3)(torch.ones(1, 3))
    with pytest.raises(ValueError, match="channels second"):
        ours(torch.ones(2, 4))


# --- convert ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm_layer", [BatchNorm2d, nn.BatchNorm2d])
def test_a_network_is_converted(norm_layer):
    model, x = ConvNet(5, norm_layer=norm_layer), randn(4, 3, 32, 32).float()
    model(x)  # running statistics that are not those of the start
    model.layers[1].eval()
    model.layers[2].norm.momentum = 0.3
    before = copy.deepcopy(model)
    parameters, buffers = list(model.parameters()), list(model.buffers())
    assert convert(model, group := object()) is model
    assert not any(isinstance(module, norm_layer) and type(module) is norm_layer for module in model.modules())
    norms = [layer.norm for layer in model.layers]
    assert all(type(norm) is SyncBatchNorm2d and norm.process_group is group for norm in norms)
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    assert all(a is b for a, b in zip(buffers, model.buffers(), strict=True))
    assert [norm.training for norm in norms] == [True, False, True, True, True]
    assert [norm.momentum for norm in norms] == [0.1, 0.1, 0.3, 0.1, 0.1]
    np.testing.assert_allclose(model(x).detach(), before(x).detach(), atol=1e-5)
    assert all(key in before.state_dict() for key in model.state_dict())


def test_settings_are_carried_over():
    plain = nn.BatchNorm2d(3, eps=0.1, momentum=None, affine=False, track_running_stats=False)
    norm = convert(plain)
    assert repr(norm) == repr(BatchNorm2d(3, 0.1, None, False, False)).replace("BatchNorm2d", "SyncBatchNorm2d")
    assert list(norm.parameters()) == list(norm.buffers()) == []
    norm = convert(BatchNorm2d(3, bias=False))
    assert norm(randn(4, 3).float()).shape == (4, 3)
    assert [name for name, _ in norm.named_parameters()] == ["weight"]


def test_a_layer_that_is_there_twice_stays_one():
    norm = BatchNorm2d(3)
    model = convert(nn.Sequential(norm, nn.ReLU(), norm, nn.Sequential(norm)))
    assert isinstance(model[0], SyncBatchNorm2d)
    assert model[0] is model[2] is model[3][0]


def test_what_is_not_converted():
    sync = SyncBatchNorm2d(3)
    model = nn.Sequential(sync, nn.BatchNorm1d(3), nn.GroupNorm(1, 3))
    model.register_module("nothing", None)
    modules = list(model)
    assert list(convert(model)) == modules
    assert convert(sync) is sync
    assert model.nothing is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="nn.SyncBatchNorm needs a GPU")
def test_on_a_gpu_it_is_pytorchs():
    x, g = randn(N, 3, 5, 4).float() + 2, randn(N, 3, 5, 4, seed=1).float()
    for theirs, ours in run(workers.on_a_gpu, 2, x, g):
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
