"""utils.probes: they blame no correct layer, name the fault of a wrong one, and leave no trace."""

import random
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from normdoctor.causes import CAUSES
from normdoctor.museum.exhibits import LearnsInEvaluation, Uncounted
from normdoctor.options import EVALUATION, GRADIENT, TRAINING
from normdoctor.probe import compare
from normdoctor.probes import tooling
from torch import nn

from utils import layers
from utils.probes import PROBES, Report, Result, check_batchnorm, from_bnlayer

SLOW = ("compile", "export", "PyTorch's own cases")
QUIET = ("repr",)  # what shows nothing of itself is not under test here


def trained(num_features: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(num_features)
    for _ in range(3):
        layer(torch.randn(4, num_features, 3, 3) * 2 + 1)
    nn.init.normal_(layer.weight)
    return layer


class FrozenBuffers(nn.Module):
    """As torchvision.ops.FrozenBatchNorm2d, which takes long to import."""

    def __init__(self, num_features: int):
        super().__init__()
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((num_features,), value))

    def forward(self, x):
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias)


class OtherNames(nn.Module):
    """Correct, with names that nobody knows, and an eps that it does not tell."""

    def __init__(self, num_features: int):
        super().__init__()
        self.zig, self.zag = nn.Parameter(torch.zeros(num_features, 1, 1)), nn.Parameter(torch.ones(num_features, 1, 1))
        self.register_buffer("first", torch.zeros(num_features))
        self.register_buffer("second", torch.ones(num_features))

    def forward(self, x):
        if x.ndim != 4 or x.shape[1] != len(self.zig):
            raise ValueError(f"expected (N, {len(self.zig)}, H, W)")
        y = F.batch_norm(
            x.to(torch.promote_types(x.dtype, self.zag.dtype)),
            self.first,
            self.second,
            None,
            None,
            self.training,
            0.1,
            1e-3,
        )
        return (y * self.zag + self.zig).to(x.dtype)


ONE = trained(6).eval().requires_grad_(False)
CORRECT = {
    "the finished BnLayer, normalizing first": from_bnlayer(partial(layers.BnLayer, norm_first=True)),
    "lazy": nn.LazyBatchNorm2d,
    "lazy, made by a function": lambda c: nn.LazyBatchNorm2d(),
    "frozen": lambda c: trained(c).eval().requires_grad_(False),
    "one and the same layer": lambda c: ONE,
    "frozen, all buffers": FrozenBuffers,
    "trained": trained,
    "affine=False": partial(nn.BatchNorm2d, affine=False),
    "momentum=None": partial(nn.BatchNorm2d, momentum=None),
    "eps=1e-8": lambda c: nn.BatchNorm2d(c, eps=1e-8),
    "track_running_stats=False": partial(nn.BatchNorm2d, track_running_stats=False),
    "neither": partial(nn.BatchNorm2d, affine=False, track_running_stats=False),
    "1 dimension": nn.BatchNorm1d,
    "3 dimensions": nn.BatchNorm3d,
    "float64": lambda c: nn.BatchNorm2d(c, dtype=torch.float64),
    "bfloat16": lambda c: nn.BatchNorm2d(c, dtype=torch.bfloat16),
    "wrapped": lambda c: nn.Sequential(nn.BatchNorm2d(c)),
}


@pytest.mark.parametrize("name", CORRECT)
def test_a_correct_layer_is_blamed_by_none(name):
    report = check_batchnorm(CORRECT[name], skip=QUIET)
    assert report.ok, repr(report.details())


@pytest.mark.proof
def test_pytorchs_layer_and_the_finished_ones_pass_every_probe_that_there_is():
    for layer in (nn.BatchNorm2d, layers.BatchNorm2d, partial(layers.BatchNorm2d, momentum=None)):
        taken = () if isinstance(layer, type) else ("PyTorch's own cases",)  # they give a momentum of their own
        report = check_batchnorm(layer, everything=True, skip=taken)
        assert {result.verdict for result in report} == {"pass"}, repr(report.details())
        assert len(report) == len(PROBES) - 3 - len(
            taken
        )  # without those of a convolution, and of layers that remember nothing
        assert all(result.source for result in report)
        assert all(0 <= result.measured <= result.tolerance for result in report if result.measured is not None)
    assert check_batchnorm(layers.BnLayer, everything=True).ok
    assert check_batchnorm(nn.BatchNorm2d, num_features=1).ok


def test_a_correct_layer_with_other_names_fails_only_where_names_matter():
    report = check_batchnorm(OtherNames, skip=QUIET)
    assert report.failed == ("state_dict keys",)
    assert "running_mean" in report["state_dict keys"].diagnosis


@pytest.fixture(scope="module")
def first() -> Report:
    """What is found about the first layer of the course."""
    return check_batchnorm(layers.FirstBatchNorm2d, everything=True)


FIRST = (
    "training forward, large batch, eval forward, gradient of x, gradient of γ, second derivative, gradient in "
    "eval, gradient at eps, running mean, running variance, momentum, many batches, few images, eval before "
    "training, eval keeps statistics, eval alone, eval of many, eps, eps in evaluation, constant channel, one "
    "value a channel, autocast, half input, graph released, state_dict keys, registered, save and load, to(dtype, "
    "device), deepcopy, apart, repr, other dimensions, wrong channels, empty batch, forward derivative, "
    "PyTorch's own cases"
)


def test_the_first_layer_is_mostly_red(first):
    assert ", ".join(first.failed) == FIRST
    for name in ("pickle", "compile", "export", "bfloat16"):  # what works, against expectation
        assert first[name].verdict == "pass"
    assert "second time" in first["gradient in eval"].diagnosis
    assert "has no attribute 'means'" in first["eval before training"].diagnosis
    assert "silent NaN" in first["one value a channel"].diagnosis
    assert "means, stds" in first["graph released"].diagnosis


def test_the_first_bnlayer_has_the_same_faults_and_a_fixed_padding(first):
    report = check_batchnorm(layers.FirstBnLayer)
    channels = {
        "other dimensions",
        "wrong channels",
        "half input",
        "repr",
        "PyTorch's own cases",
    }  # the convolution decides these
    assert set(report.failed) == set(first.failed) - channels | {"output size"}
    assert report["other dimensions"].verdict == "not applicable"
    assert "kernel 1, stride 1: 16 becomes 18" in report["output size"].diagnosis
    for name in ("training forward", "running mean", "constant channel"):
        assert report[name].diagnosis == first[name].diagnosis


# --- single faults that no exhibit has


def broken(**methods) -> type[nn.Module]:
    return type("Broken", (nn.BatchNorm2d,), methods)


def one_for(layer: type[nn.Module], probe: str) -> Result:
    return check_batchnorm(layer, only=probe)[probe]


def base(layer, x):
    return nn.BatchNorm2d.forward(layer, x)


class GoesBackInTime(nn.BatchNorm2d):
    last = 0.0

    def forward(self, x):
        y = super().forward(x) + 0 * self.last
        self.last = x.square().mean()
        return y


FAULTS = {  # what is wrong: the class, the probe that finds it, and a word of its diagnosis
    "always the batch's own": (
        broken(forward=lambda s, x: F.batch_norm(x, None, None, s.weight, s.bias, True)),
        "eval forward", "batch's own statistics",
    ),
    "never the batch's own": (
        broken(forward=lambda s, x: F.batch_norm(x, s.running_mean, s.running_var, s.weight, s.bias, False)),
        "training forward", "training normalizes by the running statistics",
    ),
    "never updated": (
        broken(forward=lambda s, x: F.batch_norm(x, None, None, s.weight, s.bias, True) if s.training else base(s, x)),
        "running mean", "never change",
    ),
    "another momentum than asked for": (
        broken(forward=lambda s, x: F.batch_norm(
            x, s.running_mean, s.running_var, s.weight, s.bias, s.training, 0.1, s.eps
        )),
        "momentum", "whatever momentum says",
    ),
    "β not used": (
        broken(forward=lambda s, x: F.batch_norm(x, None, None, s.weight, None, True) + 0 * s.bias.detach().sum()),
        "gradient of β", "no effect on the output",
    ),
    "another eps": (
        broken(forward=lambda s, x: F.batch_norm(x, None, None, s.weight, s.bias, True, 0.1, 1e-3)),
        "eps", "whatever eps says",
    ),
    "float32 comes out": (broken(forward=lambda s, x: base(s, x).float()), "bfloat16", "return the input's dtype"),
    "affine has no effect": (
        broken(__init__=lambda s, c, affine=True: nn.BatchNorm2d.__init__(s, c)), "affine=False", "still parameters",
    ),
    "track_running_stats has no effect": (
        broken(__init__=lambda s, c, track_running_stats=True: nn.BatchNorm2d.__init__(s, c)),
        "track_running_stats=False", "still buffers",
    ),
    "in the order of memory": (
        broken(forward=lambda s, x: base(s, x.as_strided(x.shape, torch.empty(x.shape).stride()))),
        "channels_last", "order of memory",
    ),
    "view of what is not contiguous": (
        broken(forward=lambda s, x: base(s, x.view(x.shape[0], -1).view(x.shape))), "channels_last", "reshape",
    ),
    "another first result": (
        broken(reset_running_stats=lambda s: s.running_mean.fill_(1) if s.track_running_stats else None),
        "eval before training", "begin with mean 1",
    ),
    "a copy that shares": (
        broken(__deepcopy__=lambda s, memo: s, __reduce__=lambda s: (nn.BatchNorm2d, (6,))), "deepcopy", "share",
    ),
    "a second step that goes back through the first": (GoesBackInTime, "graph released", "kept by last; the second"),
    "another normalization": (lambda c: nn.GroupNorm(2, c), "training forward", ""),
    "no normalization": (lambda c: nn.Identity(), "training forward", ""),
}  # fmt: skip


def test_without_a_compiler_there_is_no_blame(monkeypatch):
    monkeypatch.setattr(tooling, "_compiler_works", lambda: False)
    result = one_for(layers.FirstBatchNorm2d, "compile")
    assert (result.verdict, result.diagnosis) == ("not applicable", "torch.compile does not work here")


@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_is_named(name):
    layer, probe, words = FAULTS[name]
    result = one_for(layer, probe)
    assert not result.ok
    assert words in result.diagnosis


def test_what_a_cause_silences_are_probes():
    causes = [*CAUSES.values(), *(option.cause for stage in (TRAINING, EVALUATION, GRADIENT) for option in stage)]
    unknown = {cause.name: set(cause.silences) - {probe.name for probe in PROBES} - {"*"} for cause in causes}
    assert {name: probes for name, probes in unknown.items() if probes} == {}


def test_of_two_faults_neither_silences_the_other():
    class Both(LearnsInEvaluation, Uncounted):
        """Its count stays 0, and its statistics change in evaluation: that does not explain the count."""

    found = {finding.cause: finding.probes for finding in check_batchnorm(Both).causes}
    assert "num_batches_tracked" in found["never counted"]
    assert "eval keeps statistics" in found["updated in evaluation"]


def test_a_bias_that_does_nothing_is_found_and_one_that_does_is_not():
    class Biased(nn.Module):
        def __init__(self, ni, nf, stride=2, kernel_size=3):
            super().__init__()
            self.conv = nn.Conv2d(ni, nf, kernel_size, stride, kernel_size // 2)
            self.norm = nn.BatchNorm2d(nf)

        def forward(self, x):
            return self.norm(self.conv(x))

    class Useful(Biased):
        def forward(self, x):
            return self.norm(self.conv(x).relu())

    report = check_batchnorm(Biased)
    assert report.failed == ("no idle bias",)
    assert "conv.bias" in report["no idle bias"].diagnosis
    assert check_batchnorm(Useful).ok


def test_a_layer_that_cannot_be_made_or_run_is_reported_not_raised():
    def nothing(num_features):
        raise OSError("no such luck\nsecond line")

    report = check_batchnorm(nothing)
    assert {result.verdict for result in report} == {"raised"}
    assert report["training forward"].diagnosis == "OSError: no such luck"
    assert "must return a torch.nn.Module" in one_for(lambda c: 3, "eps").diagnosis
    assert one_for(nn.ReLU, "gradient of γ").verdict in ("not applicable", "raised")
    with pytest.raises(TypeError, match="not a layer"):
        check_batchnorm(nn.BatchNorm2d(6))


# --- no trace


def test_random_numbers_dtype_modes_and_the_layer_are_as_before():
    class Random(nn.BatchNorm2d):
        def forward(self, x):
            torch.randn(3)
            return super().forward(x)

    state = {name: value.clone() for name, value in ONE.state_dict().items()}
    torch.manual_seed(1)
    torch.set_default_dtype(torch.float64)
    try:
        before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
        with torch.no_grad():
            assert check_batchnorm(Random).ok
            assert check_batchnorm(lambda c: ONE).ok
            assert not torch.is_grad_enabled()
        assert torch.get_default_dtype() == torch.float64
        assert torch.equal(before[0], torch.get_rng_state())
        assert before[1:] == (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(value, state[name]) for name, value in ONE.state_dict().items())
    assert not ONE.training
    assert not any(p.requires_grad for p in ONE.parameters())


@pytest.mark.proof
def test_it_says_the_same_twice_and_whatever_the_seed(first):
    torch.manual_seed(123)
    again = {result.probe: result for result in check_batchnorm(layers.FirstBatchNorm2d)}
    assert again == {result.probe: result for result in first if result.probe not in SLOW}


def test_pytorchs_own_cases_leave_its_flags_as_they_were():
    frozen = torch.backends.flags_frozen()
    assert one_for(nn.BatchNorm2d, "PyTorch's own cases").ok
    assert torch.backends.flags_frozen() == frozen


def test_the_compiler_says_nothing(capfd):
    check_batchnorm(partial(nn.BatchNorm2d, momentum=None), only="compile")
    assert capfd.readouterr() == ("", "")


# --- choosing


def test_only_and_skip():
    assert [r.probe for r in check_batchnorm(nn.BatchNorm2d, only="eps")] == ["eps"]
    report = check_batchnorm(nn.BatchNorm2d, only=["momentum", "eps", "output size"], skip="eps")
    assert [r.probe for r in report] == ["momentum", "output size"]  # in the order of PROBES
    assert report["output size"].verdict == "not applicable"
    with pytest.raises(ValueError, match="no probe 'momentun'; did you mean 'momentum'"):
        check_batchnorm(nn.BatchNorm2d, only="momentun")
    with pytest.raises(ValueError, match="there are: training forward"):
        check_batchnorm(nn.BatchNorm2d, skip="xyzzy")
    assert len({probe.name for probe in PROBES}) == len(PROBES)


# --- comparing


def test_compare_takes_the_first_cause_that_fits_and_no_other():
    right, x = torch.ones(4).double(), torch.full((4,), 1.5)
    causes = [(right * 2, "twice", "a"), (right * 1.5, "half as much again", "b"), (right * 1.5, "same", "c")]
    assert compare(x, right, what="x", causes=causes).diagnosis == "half as much again"
    assert compare(x, right, what="x", causes=causes).cause == "b"
    assert compare(x, right, "something else", what="x", causes=causes[:1]).diagnosis == "something else"
    assert compare(x, right, what="x").diagnosis == "x is not what the definition gives"
    assert compare(right, right, what="x").diagnosis == ""
    assert compare(x * torch.nan, right, what="x").measured == float("inf")
    assert compare(x * torch.nan, right * torch.nan, what="x").diagnosis == ""
    assert "the shape is (4,); it should be (2,)" in compare(x, right[:2], what="x").diagnosis


def test_the_title_is_the_layers_name():
    assert repr(check_batchnorm(layers.FirstBnLayer, only="eps")).startswith("FirstBnLayer:")
    assert repr(check_batchnorm(partial(nn.BatchNorm2d, eps=1e-3), only="eps")).startswith("BatchNorm2d:")
    assert repr(check_batchnorm(from_bnlayer(layers.BnLayer), only="eps")).startswith("BnLayer:")
    assert repr(check_batchnorm(layers.BnLayer, only="eps", title="exhibit 3")).startswith("exhibit 3:")
