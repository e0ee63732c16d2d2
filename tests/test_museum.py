"""utils.museum: of every exhibit the cause is named, and no other."""

import pytest
import torch
from normdoctor import museum

from utils.museum import EXHIBITS, PUBLISHED
from utils.probes import check_batchnorm

CAUSES = {  # fault → the cause that the kit names, and no other
    "biased running variance": "biased running variance",
    "statistics under no_grad": "statistics detached",
    "statistics as plain attributes": "not registered",
    "unbiased normalization": "unbiased normalization",
    "mode taken from torch.is_grad_enabled()": "mode from gradients",
    "no eps": "no eps",
    "last batch reused in evaluation": "last batch only",
    "normalizing over the wrong axes": "wrong axes",
    "graph retained": "graph kept",
    "eps outside the root": "eps outside the root",
    "padding fixed at 1": "wrong padding",
    "momentum the wrong way round": "momentum the wrong way round",
    "variance as E[x²] - E[x]²": "digits cancelled",
    "running statistics updated in evaluation": "updated in evaluation",
    "one parameter shared by all channels": "one γ and β for all",
    "input changed in place": "input changed in place",
    "silent about one value a channel": "silent about one value",
    "γ and β applied before normalizing": "γ and β before normalizing",
    "momentum ignored": "momentum ignored",
    "num_batches_tracked never counted": "never counted",
}


@pytest.mark.parametrize("name", EXHIBITS)
def test_the_cause_is_named_and_no_other_and_the_probe_that_is_meant_for_it_catches_it(name):
    exhibit = EXHIBITS[name]
    report = check_batchnorm(exhibit.layer, title=name)
    assert exhibit.probe in report.failed
    assert [finding.cause for finding in report.causes] == [CAUSES[exhibit.fault]]


@pytest.mark.proof
@pytest.mark.parametrize("layer", museum.STOREROOM, ids=lambda layer: layer.__name__)
def test_what_is_in_the_storeroom_is_named_too(layer):
    assert [finding.cause for finding in check_batchnorm(layer).causes] == [museum.STOREROOM[layer]]


def test_the_sound_layer_is_blamed_by_none():
    assert check_batchnorm(museum.CorrectBatchNorm).failed == ()


def test_every_exhibit_has_one_fault_of_its_own_and_a_name_that_gives_nothing_away():
    assert list(EXHIBITS) == [f"exhibit {k}" for k in range(1, len(EXHIBITS) + 1)]
    assert sorted(exhibit.fault for exhibit in EXHIBITS.values()) == sorted(CAUSES)
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


@pytest.mark.proof
@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.layer.__name__)
def test_a_published_combination_is_caught_on_all_its_faults(published):
    report = check_batchnorm(published.layer)
    assert set(published.probes) <= set(report.failed)
    assert tuple(name for name in COLUMNS if name in report.failed) == MEASURED[published.layer.__name__]
    if published.layer is museum.published.UnbiasedDetached:  # a combination is diagnosed as one
        assert "detached" in report["gradient of x"].diagnosis
        assert "divides by n - 1" in report["gradient of x"].diagnosis


def test_published_layers_refuse_or_accept_as_they_say():
    x = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="expected 3 channels"):
        museum.published.OnePassBiasedGraphKept(3)(x)
    for layer in (museum.CorrectBatchNorm, museum.exhibits.SilentAboutOneValue):
        with pytest.raises(ValueError, match="expected"):
            layer(3)(x)
