"""utils.museum: every exhibit is caught by the probe meant for it, with a diagnosis that names the cause."""

import pytest
import torch
from normdoctor import museum

from utils.museum import EXHIBITS, PUBLISHED
from utils.probes import check_batchnorm

SLOW = ("compile", "export")
WORDS = {  # fault → what the diagnosis of its probe must say
    "biased running variance": ["running variance is biased", "n/(n-1)"],
    "statistics under no_grad": ["statistics are detached", "no_grad"],
    "statistics as plain attributes": ["not in the state_dict", "register_buffer"],
    "unbiased normalization": ["n-1", "unbiased"],
    "mode taken from torch.is_grad_enabled()": ["is_grad_enabled", "self.training"],
    "no eps": ["NaN", "no eps"],
    "last batch reused in evaluation": ["last batch is reused"],
    "normalizing over the wrong axes": ["wrong axes", "instance normalization"],
    "graph retained": ["graph", "running_mean, running_var", "detach"],
    "eps outside the root": ["eps stands outside the root"],
    "padding fixed at 1": ["kernel 1", "kernel 5", "kernel 7", "kernel_size // 2"],
    "momentum the wrong way round": ["momentum is the wrong way round"],
    "variance as E[x²] - E[x]²": ["E[x²] - E[x]²"],
    "running statistics updated in evaluation": ["change in evaluation"],
    "one parameter shared by all channels": ["1 value for 6 channels", "shared"],
    "input changed in place": ["in place"],
    "silent about one value a channel": ["β whatever the input", "ValueError"],
    "γ and β applied before normalizing": ["before normalizing"],
    "momentum ignored": ["momentum is ignored"],
    "num_batches_tracked never counted": ["never counts"],
}
ALSO = {  # what else goes wrong, because of the fault; nothing beyond
    "biased running variance": "eval forward",
    "statistics under no_grad": "second derivative",
    "statistics as plain attributes": "state_dict keys, to(dtype, device)",
    "unbiased normalization": "gradient of x, gradient of γ, second derivative",
    "mode taken from torch.is_grad_enabled()": (
        "eval forward, gradient in eval, num_batches_tracked, eval before training, training without gradients"
    ),
    "no eps": "eps",
    "last batch reused in evaluation": "eval forward, running variance, momentum, momentum=None",
    "normalizing over the wrong axes": (
        "eval forward, gradient of x, gradient of γ, second derivative, running variance"
    ),
    "graph retained": "gradient in eval, deepcopy",
    "eps outside the root": "constant channel",
    "momentum the wrong way round": "eval forward, running mean, running variance",
    "running statistics updated in evaluation": "num_batches_tracked",
    "one parameter shared by all channels": "gradient of β",
    "γ and β applied before normalizing": (
        "eval forward, gradient of x, gradient of γ, gradient of β, second derivative, running mean, running variance, "
        "momentum, constant channel"
    ),
    "momentum ignored": "eval forward, running mean, running variance",
}


@pytest.mark.parametrize("name", EXHIBITS)
def test_the_probe_that_is_meant_for_it_catches_it_and_says_why(name):
    exhibit = EXHIBITS[name]
    report = check_batchnorm(exhibit.layer, skip=SLOW, title=name)
    assert exhibit.probe in report.failed
    for words in WORDS[exhibit.fault]:
        assert words in report[exhibit.probe].diagnosis
    others = [probe for probe in report.failed if probe != exhibit.probe]
    assert ", ".join(others) == ALSO.get(exhibit.fault, "")


def test_the_sound_layer_is_blamed_by_none():
    assert check_batchnorm(museum.CorrectBatchNorm).failed == ()


def test_every_exhibit_has_one_fault_of_its_own_and_a_name_that_gives_nothing_away():
    assert list(EXHIBITS) == [f"exhibit {k}" for k in range(1, len(EXHIBITS) + 1)]
    assert sorted(exhibit.fault for exhibit in EXHIBITS.values()) == sorted(WORDS)
    assert len({exhibit.layer for exhibit in EXHIBITS.values()}) == len(EXHIBITS)
    assert all("What one sees" in exhibit.layer.__doc__ for exhibit in EXHIBITS.values())


COLUMNS = ("training forward", "gradient of x", "running variance")
MEASURED = {  # which of these were wrong when the original of each published layer was measured
    "LastBatchUnbiasedNoEps": COLUMNS,
    "UnbiasedDetached": COLUMNS[:2],
    "GradModeBiasedUnregistered": COLUMNS[2:],
    "OnePassBiasedGraphKept": COLUMNS[2:],
    "BiasedGraphKept": COLUMNS[2:],
    "UnbiasedSilent": COLUMNS[:2],
}


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.layer.__name__)
def test_a_published_combination_is_caught_on_all_its_faults(published):
    report = check_batchnorm(published.layer, skip=SLOW)
    assert set(published.probes) <= set(report.failed)
    assert tuple(name for name in COLUMNS if name in report.failed) == MEASURED[published.layer.__name__]
    if published.layer is museum.UnbiasedDetached:  # a combination is diagnosed as one
        assert "detached" in report["gradient of x"].diagnosis
        assert "unbiased" in report["gradient of x"].diagnosis


def test_published_layers_refuse_or_accept_as_they_say():
    x = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="expected 3 channels"):
        museum.OnePassBiasedGraphKept(3)(x)
    for layer in (museum.CorrectBatchNorm, museum.SilentAboutOneValue):
        with pytest.raises(ValueError, match="expected"):
            layer(3)(x)
