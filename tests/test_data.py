"""utils.data: the laws of batches, the stand-in, which source is used, and the command."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import platformdirs
import pytest
import torch
from data_files import ROOT, close, fails, write_folders
from hypothesis import given, settings
from hypothesis import strategies as st

from utils import data
from utils.data import CLASSES, Batches, loading, standin

pytestmark = pytest.mark.usefixtures("isolated")

quick = settings(max_examples=30, deadline=None)
default_folder = loading.default_folder  # the tests replace it


def some_images(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return images, torch.arange(n)  # the label is the number of the image


@quick
@given(n=st.integers(1, 40), batch_size=st.integers(1, 50), shuffle=st.booleans(), seed=st.integers(-5, 2**40))
def test_a_pass_visits_every_image_once(n, batch_size, shuffle, seed):
    images, labels = some_images(n)
    batches = Batches(images, labels, batch_size, shuffle=shuffle, seed=seed, mean=0, std=1)
    got = list(batches)
    assert len(got) == len(batches) == -(-n // batch_size)
    seen = torch.cat([y for _, y in got])
    assert seen.sort().values.tolist() == list(range(n))
    assert torch.equal(torch.cat([x for x, _ in got]), images[seen].float())  # each image with its own label
    assert all(len(x) == batch_size for x, _ in got[:-1])
    if n >= batch_size:
        batches = Batches(images, labels, batch_size, drop_last=True)
        assert len(batches) == len(list(batches)) == n // batch_size
    if not shuffle:
        assert seen.tolist() == list(range(n))


def orders(batches: Batches, passes: int) -> list[list[int]]:
    return [torch.cat([y for _, y in batches]).tolist() for _ in range(passes)]


def test_the_order_depends_on_seed_and_pass_and_nothing_else():
    images, labels = some_images(50)
    torch.manual_seed(1)
    a = orders(Batches(images, labels, 7, shuffle=True, seed=3), 3)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert orders(Batches(images, labels, 16, shuffle=True, seed=3, augment=True), 3) == a
    assert torch.equal(torch.get_rng_state(), state), "the global generator is left alone"
    b = orders(Batches(images, labels, 7, shuffle=True, seed=4), 3)
    assert len({tuple(order) for order in a + b}) == 6, "no pass repeats another one, nor another seed's"
    assert a[0] == torch.randperm(50, generator=torch.Generator().manual_seed(3_000_009)).tolist(), "on every machine"


def test_passes_are_counted_when_they_begin():
    images, labels = some_images(40)
    batches = Batches(images, labels, 40, shuffle=True)
    first, second = iter(batches), iter(batches)
    y2, y1 = next(second)[1], next(first)[1]
    expected = orders(Batches(images, labels, 40, shuffle=True), 3)
    assert [y1.tolist(), y2.tolist(), *orders(batches, 1)] == expected


def test_standardization_is_in_pixel_values_per_channel():
    images, labels = some_images(9)
    mean, std = [120.0, 110.0, 100.0], [60.0, 50.0, 40.0]
    ((x, y),) = Batches(images, labels, mean=np.array(mean), std=tuple(std))
    assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
    for c in range(3):
        close(x[:, c].double(), (images[:, c].double() - mean[c]) / std[c])


def crops_of(image: torch.Tensor) -> dict[bytes, int]:
    """Every 32 x 32 piece of an image with four black pixels around it, and its mirror: 162, numbered."""
    padded = np.pad(image.numpy(), ((0, 0), (4, 4), (4, 4)))
    crops = [padded[:, top : top + 32, left : left + 32] for top in range(9) for left in range(9)]
    return {piece.tobytes(): k for k, piece in enumerate(crops + [crop[:, :, ::-1] for crop in crops])}


def test_augmentation_draws_every_crop_and_both_sides_equally():
    n, images = 4096, some_images(2, seed=5)[0]
    known = [crops_of(image) for image in images]
    batches = Batches(images[torch.arange(n) % 2], torch.arange(n) % 2, 63, augment=True, shuffle=True, std=1)
    seen = [known[label][image.numpy().tobytes()] for x, y in batches for image, label in zip(x.byte(), y, strict=True)]
    counts = np.bincount(seen, minlength=162)
    assert len(known[0]) == 162
    # 4096 draws among 162: 25 each, sd 5; chi-squared with 161 degrees of freedom is below 250 but once in 10⁵.
    assert ((counts - n / 162) ** 2 / (n / 162)).sum() < 250


@pytest.mark.parametrize("kwargs", [{}, {"shuffle": True}, {"augment": True}, {"mean": 0.0, "std": 1.0}])
def test_batches_are_new_and_contiguous(kwargs):
    images, labels = some_images(10)
    before = images.clone(), labels.clone()
    for x, y in Batches(images, labels, 4, **kwargs):
        assert x.is_contiguous()
        x.zero_()
        y.fill_(-1)
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_gives_the_same_batches():
    images, labels = some_images(30)
    kwargs = {"shuffle": True, "augment": True, "seed": 2, "mean": 100.0, "std": 50.0}
    pairs = zip(Batches(images, labels, 8, **kwargs), Batches(images, labels, 8, device="cuda", **kwargs), strict=True)
    for (x, y), (gx, gy) in pairs:
        assert gx.device.type == gy.device.type == "cuda"
        close(gx.cpu(), x)
        assert torch.equal(gy.cpu(), y)


IMAGES, LABELS = some_images(6)


@pytest.mark.parametrize(
    ("arguments", "kwargs", "message"),
    [
        ((IMAGES, LABELS, 0), {}, "batch_size must be at least 1, not 0"),
        ((IMAGES, LABELS, True), {}, "batch_size must be a whole number, not True"),
        ((IMAGES, LABELS, 7), {"drop_last": True}, "drop_last leaves no batch at all: 6 images, batch_size 7"),
        ((IMAGES.float(), LABELS), {}, "images must be a uint8 tensor, not float32"),
        ((IMAGES.permute(0, 2, 3, 1), LABELS), {}, r"the shape \(N, 3, 32, 32\), not \(6, 32, 32, 3\)"),
        ((IMAGES, LABELS.int()), {}, "labels must be an int64 tensor, not int32"),
        ((IMAGES, LABELS[:, None]), {}, r"labels must have the shape \(N,\), not \(6, 1\)"),
        ((IMAGES, LABELS[:5]), {}, "6 images, 5 labels"),
        ((IMAGES[:0], LABELS[:0]), {}, "at least one image, not 0"),
        ((IMAGES, LABELS), {"mean": [1.0, 2.0]}, r"mean must be one number or three.*\(2,\)"),
        ((IMAGES, LABELS), {"std": [1.0, 0.0, 1.0]}, "std must be positive in every channel, not"),
    ],
)
def test_bad_arguments_of_batches(arguments, kwargs, message):
    with pytest.raises(ValueError, match=message):
        Batches(*arguments, **kwargs)


def test_batches_of_data():
    drawn = data.stand_in(60, 20)
    assert (repr(drawn.train), repr(drawn)) == ("Split(60 images)", str(drawn))
    train, test = drawn.batches(), drawn.batches("test", 8)
    assert (train.shuffle, test.shuffle) == (True, False)
    assert (len(train), len(test)) == (1, 3)
    assert drawn.batches("train", shuffle=False).shuffle is False
    ((x, y),) = drawn.batches(size=7, shuffle=False, standardize=False)
    close(x, drawn.train.images[:7].float() / 255)
    assert torch.equal(y, drawn.train.labels[:7])
    for size in (0, 61, 2.0, True):
        with pytest.raises(ValueError, match="size must be"):
            drawn.batches(size=size)
    with pytest.raises(ValueError, match='part must be "train" or "test", not \'valid\''):
        drawn.batches("valid")


def test_stand_in_is_the_same_bytes_everywhere():
    images, labels = standin.draw(510, 0)
    assert labels[:40].tolist() == [i % 10 for i in range(40)]
    # If the images are meant to change, write the new sum here.
    assert hashlib.sha256(images[:40].tobytes()).hexdigest()[:16] == "a17cd91311747403"
    assert np.array_equal(images[:30], standin.draw(30, 0)[0]), "a longer draw starts with the shorter one"
    assert not np.array_equal(images[:30], standin.draw(30, 2)[0])
    assert len({image.tobytes() for image in images}) == 510, "no image twice"


def test_the_stand_in_says_that_it_is_none_of_cifar10():
    d = data.stand_in(300, 100)
    assert str(d).startswith("Stand-in data (not CIFAR-10): 300 training and 100 test images")
    assert not set(d.classes) & set(CLASSES)
    assert d.train.labels.bincount().tolist() == [30] * 10
    for sizes in ((0, 10), (10, -1), (2.5, 1)):
        with pytest.raises(ValueError, match=r"(train|test) must be"):
            data.stand_in(*sizes)


# --- which source is used --------------------------------------------------------------------------------------------


def test_the_folder_that_is_named(home, tmp_path, monkeypatch):
    monkeypatch.setenv("CIFAR10_DIR", str(write_folders(tmp_path / "c10")))
    d = data.load(home, verbose=False)
    assert str(d) == "CIFAR-10: 20 training and 10 test images (from the folder in CIFAR10_DIR)"
    assert len(data.load(home, write_folders(tmp_path / "two", train=1), verbose=False).train) == 10, "argument first"
    monkeypatch.setenv("COURSE_DATA", "stand-in")
    assert "COURSE_DATA asks for it" in str(data.load(home, verbose=False))
    monkeypatch.setenv("COURSE_DATA", "")
    monkeypatch.setenv("CIFAR10_DIR", "")
    assert data.load(home, verbose=False).is_stand_in, "empty means not set"


def test_a_named_folder_is_not_passed_over(home, tmp_path, monkeypatch):
    fails(home, tmp_path / "nowhere", "cifar10_dir names", "nowhere", "does not exist")
    (tmp_path / "file").touch()
    fails(home, tmp_path / "file", "is not a folder")
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("CIFAR10_DIR", str(tmp_path / "empty"))
    fails(home, None, "CIFAR10_DIR names", "holds no CIFAR-10", "train/ and test/", "unset it", "data/README.md")


def test_an_installed_package_writes_nothing_beside_itself(tmp_path, monkeypatch):
    assert default_folder() == ROOT / "data"
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name, appauthor: tmp_path / "cache" / name)
    site_packages = tmp_path / "site-packages"
    (site_packages / "data").mkdir(parents=True)  # of a package of that name
    assert default_folder(site_packages) == tmp_path / "cache" / "batchnorm-layer-by-layer" / "data"


def test_the_data_folder_or_else_the_stand_in_which_says_so(tmp_path, capsys):
    data.load()
    write_folders(tmp_path / "default")
    data.load()
    assert capsys.readouterr() == (
        "Stand-in data (not CIFAR-10): 60 training and 20 test images of drawn shapes; "
        "no copy found, and the server does not answer (no network); how to get the real one: data/README.md\n"
        "CIFAR-10: 20 training and 10 test images (from data/)\n",
        "",
    )


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_fails_with_one_line():
    environment = {**os.environ, "COURSE_DATA": "imagenet"}
    command = [sys.executable, "-m", "utils.data"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: COURSE_DATA is 'imagenet', and only \"stand-in\" is known")
    assert done.stderr.count("\n") == 1
