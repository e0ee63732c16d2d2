"""What must hold for the data in use, whichever it is: run on CIFAR-10 and on the stand-in."""

import pytest
import torch
from torch import nn

from utils.data import load
from utils.models import ConvNet
from utils.training import fit

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def data():
    return load()


def test_it_says_what_is_in_use(data, capsys):
    load()
    line = capsys.readouterr().out
    assert line.startswith("Stand-in data (not CIFAR-10)" if data.is_stand_in else "CIFAR-10:")
    assert line.count("\n") == 1


def test_the_classes_are_balanced_also_in_a_prefix(data):
    assert torch.bincount(data.train.labels).tolist() == [len(data.train) // 10] * 10
    prefix = torch.bincount(data.train.labels[:5000], minlength=10)
    assert prefix.min() > 400
    assert prefix.max() < 600


def test_colours_are_those_of_cifar10(data):
    assert (data.mean / 255 - torch.tensor([0.491, 0.482, 0.447])).abs().max() < 0.01
    assert (data.std / 255 - torch.tensor([0.247, 0.243, 0.262])).abs().max() < 0.01


def test_a_small_network_learns_it_but_not_at_once(data):
    network = ConvNet(depth=5, norm_layer=nn.BatchNorm2d, seed=0)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    test = data.batches("test", 500, size=1000)
    history = fit(network, data.batches("train", 128, size=3840), optimizer, epochs=2, test=test, progress=False)
    assert 0.2 < history.accuracy[-1] < 0.9
