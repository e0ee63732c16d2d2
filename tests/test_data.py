"""utils.data: the laws of batches, the stand-in, which source is used, and the command."""

from __future__ import annotations

import hashlib
import runpy
import warnings

import numpy as np
import pytest
import torch
from data_files import close, fails, truncate, write_folders
from hypothesis import given, settings
from hypothesis import strategies as st

from utils import data
from utils.data import CLASSES, Batches, DataError, Split, standin

pytestmark = pytest.mark.usefixtures("isolated")

quick = settings(max_examples=30, deadline=None)


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
    if not shuffle:
        assert seen.tolist() == list(range(n))


@quick
@given(n=st.integers(1, 40), batch_size=st.integers(1, 40))
def test_drop_last_leaves_only_full_batches(n, batch_size):
    images, labels = some_images(n)
    if n < batch_size:
        with pytest.raises(ValueError, match="drop_last leaves no batch"):
            Batches(images, labels, batch_size, drop_last=True)
        return
    batches = Batches(images, labels, batch_size, drop_last=True)
    sizes = [len(y) for _, y in batches]
    assert sizes == [batch_size] * (n // batch_size)
    assert len(batches) == len(sizes)


def orders(batches: Batches, passes: int) -> list[list[int]]:
    return [torch.cat([y for _, y in batches]).tolist() for _ in range(passes)]


def test_the_order_depends_on_seed_and_pass_and_nothing_else():
    images, labels = some_images(50)
    torch.manual_seed(1)
    a = orders(Batches(images, labels, 7, shuffle=True, seed=3), 3)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert orders(Batches(images, labels, 16, shuffle=True, seed=3), 3) == a
    assert torch.equal(torch.get_rng_state(), state), "the global generator is left alone"
    b = orders(Batches(images, labels, 7, shuffle=True, seed=4), 3)
    distinct = {tuple(order) for order in a + b}
    assert len(distinct) == 6, "no pass repeats another one, nor another seed's"


def test_the_order_is_the_same_on_every_machine():
    images, labels = some_images(10)
    assert orders(Batches(images, labels, shuffle=True, seed=0), 1) == [ORDER_OF_SEED_0]


ORDER_OF_SEED_0 = torch.randperm(10, generator=torch.Generator().manual_seed(0)).tolist()


def test_two_passes_at_once_are_two_passes():
    images, labels = some_images(40)
    batches = Batches(images, labels, 40, shuffle=True)
    first, second = iter(batches), iter(batches)
    y2, y1 = next(second)[1], next(first)[1]
    assert [y1.tolist(), y2.tolist()] == orders(Batches(images, labels, 40, shuffle=True), 2)


def test_an_unfinished_pass_counts():
    images, labels = some_images(40)
    batches = Batches(images, labels, 8, shuffle=True)
    next(iter(batches))
    assert orders(batches, 1) == orders(Batches(images, labels, 8, shuffle=True), 2)[1:]


@pytest.mark.parametrize("given_as", [list, tuple, torch.tensor, np.array])
def test_standardization_is_in_pixel_values_per_channel(given_as):
    images, labels = some_images(9)
    mean, std = [120.0, 110.0, 100.0], [60.0, 50.0, 40.0]
    ((x, y),) = Batches(images, labels, mean=given_as(mean), std=given_as(std))
    assert x.dtype == torch.float32
    assert y.dtype == torch.int64
    for c in range(3):
        expected = (images[:, c].double() - mean[c]) / std[c]
        close(x[:, c].double(), expected, rtol=1e-6, atol=1e-6)


def test_without_statistics_the_images_are_in_0_to_1():
    images, labels = some_images(9)
    ((x, _),) = Batches(images, labels)
    close(x, images.float() / 255)
    assert x.min() >= 0
    assert x.max() <= 1


def test_standardized_data_has_mean_0_and_std_1():
    d = data.stand_in(60, 20)
    x = torch.cat([x for x, _ in d.batches("train", 16)]).double()
    close(x.mean((0, 2, 3)), torch.zeros(3).double(), atol=1e-5, rtol=0)
    close(x.var((0, 2, 3), correction=0).sqrt(), torch.ones(3).double(), atol=1e-5, rtol=0)


@quick
@given(n=st.integers(1, 6), seed=st.integers(0, 2**31))
def test_every_augmented_image_is_a_crop_of_the_padded_image_or_its_mirror(n, seed):
    images, labels = some_images(n, seed)
    for x, y in Batches(images, labels, 4, augment=True, shuffle=True, seed=seed, mean=0, std=1):
        for out, label in zip(x.to(torch.uint8), y.tolist(), strict=True):
            padded = np.pad(images[label].numpy(), ((0, 0), (4, 4), (4, 4)))
            crops = [padded[:, t : t + 32, left : left + 32] for t in range(9) for left in range(9)]
            # The mirror of a crop is a crop of the mirror, so this is every image that may come.
            assert any(np.array_equal(out, crop) or np.array_equal(out, crop[:, :, ::-1]) for crop in crops)


def test_augmentation_draws_every_crop_and_both_sides_equally():
    n = 4096
    picture = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))
    out = torch.cat([x for x, _ in Batches(picture.expand(n, -1, -1, -1), torch.arange(n), 64, augment=True, std=1)])
    padded = np.pad(picture[0].numpy(), ((0, 0), (4, 4), (4, 4)))
    known = {}
    for t in range(9):
        for left in range(9):
            crop = padded[:, t : t + 32, left : left + 32]
            known[crop.tobytes()] = (t, left, 0)
            known[np.ascontiguousarray(crop[:, :, ::-1]).tobytes()] = (t, left, 1)
    seen = [known[image.to(torch.uint8).numpy().tobytes()] for image in out]
    counts = np.array([seen.count(key) for key in known.values()])
    assert len(known) == 162
    # 4096 draws among 162: 25 each, sd 5; chi-squared with 161 degrees of freedom is below 250 but once in 10⁵.
    assert ((counts - n / 162) ** 2 / (n / 162)).sum() < 250


def test_augmentation_is_reproducible_and_new_on_every_pass():
    images, labels = some_images(20)
    a, b = (Batches(images, labels, 20, augment=True, seed=1) for _ in range(2))
    ((x1, _),) = a
    ((x2, _),) = a
    ((y1, _),) = b
    assert torch.equal(x1, y1)
    assert not torch.equal(x1, x2)


@pytest.mark.parametrize("kwargs", [{}, {"shuffle": True}, {"augment": True}, {"mean": 0.0, "std": 1.0}])
def test_changing_a_batch_does_not_change_the_data(kwargs):
    images, labels = some_images(10)
    before = images.clone(), labels.clone()
    for x, y in Batches(images, labels, 4, **kwargs):
        x.zero_()
        y.fill_(-1)
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])


def test_batches_are_contiguous_and_on_the_device():
    images, labels = some_images(10)
    for kwargs in ({}, {"shuffle": True}, {"augment": True}):
        for x, y in Batches(images, labels, 4, device="cpu", **kwargs):
            assert x.device.type == y.device.type == "cpu"
            assert x.is_contiguous()
    assert Batches(images, labels, device="meta").images.device.type == "meta"


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
    ("arguments", "message"),
    [
        ((IMAGES, LABELS, 0), "batch_size must be at least 1, not 0"),
        ((IMAGES, LABELS, -3), "batch_size must be at least 1, not -3"),
        ((IMAGES, LABELS, 2.5), "batch_size must be a whole number, not 2.5"),
        ((IMAGES, LABELS, True), "batch_size must be a whole number, not True"),
        ((IMAGES.float(), LABELS), "images must be a uint8 tensor, not float32"),
        ((IMAGES.numpy(), LABELS), "images must be a uint8 tensor, not ndarray"),
        ((IMAGES[0], LABELS), r"images must have the shape \(N, 3, 32, 32\), not \(3, 32, 32\)"),
        ((IMAGES[:, :1], LABELS), r"not \(6, 1, 32, 32\)"),
        ((IMAGES.permute(0, 2, 3, 1), LABELS), r"not \(6, 32, 32, 3\)"),
        ((IMAGES, LABELS.int()), "labels must be an int64 tensor, not int32"),
        ((IMAGES, LABELS.tolist()), "labels must be an int64 tensor, not list"),
        ((IMAGES, LABELS[:, None]), r"labels must have the shape \(N,\), not \(6, 1\)"),
        ((IMAGES, LABELS[:5]), "6 images, 5 labels"),
        ((IMAGES[:0], LABELS[:0]), "at least one image, not 0"),
    ],
)
def test_bad_arguments_of_batches(arguments, message):
    with pytest.raises(ValueError, match=message):
        Batches(*arguments)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"mean": [1.0, 2.0]}, r"mean must be one number or three.*\(2,\)"),
        ({"mean": float("nan")}, "mean must be finite"),
        ({"std": 0.0}, "std must be positive in every channel, not"),
        ({"std": [1.0, -1.0, 1.0]}, "std must be positive"),
        ({"seed": 1.5}, "seed must be a whole number, not 1.5"),
    ],
)
def test_bad_keywords_of_batches(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Batches(IMAGES, LABELS, **kwargs)


@pytest.fixture(scope="module")
def drawn():
    return data.stand_in(60, 20)


def test_split_and_data_have_lengths_and_lines(drawn):
    assert (len(drawn.train), len(drawn.test)) == (60, 20)
    assert repr(drawn.train) == "Split(60 images)"
    assert "\n" not in str(drawn)
    assert repr(drawn) == str(drawn), "a notebook that ends in `data` shows the line"
    with pytest.raises(ValueError, match="6 images, 5 labels"):
        Split(IMAGES, LABELS[:5])
    with pytest.raises(AttributeError):
        drawn.train = drawn.test


def test_batches_of_data_by_default(drawn):
    train, test = drawn.batches(), drawn.batches("test", 8)
    assert (train.shuffle, test.shuffle) == (True, False)
    assert (len(train), len(test)) == (1, 3)
    assert drawn.batches("train", shuffle=False).shuffle is False
    assert drawn.batches("test", shuffle=True).shuffle is True
    ((x, y),) = drawn.batches(size=7, shuffle=False, standardize=False)
    close(x, drawn.train.images[:7].float() / 255)
    assert torch.equal(y, drawn.train.labels[:7])


@quick
@given(size=st.integers(1, 60), batch_size=st.integers(1, 70), augment=st.booleans())
def test_any_size_and_batch_size(drawn, size, batch_size, augment):
    assert sum(len(y) for _, y in drawn.batches(size=size, batch_size=batch_size, augment=augment)) == size


@pytest.mark.parametrize("size", [0, -1, 61, 2.0, "7", True])
def test_a_bad_size(drawn, size):
    with pytest.raises(ValueError, match="size must be"):
        drawn.batches(size=size)


@pytest.mark.parametrize("part", ["valid", "Train", None, 0])
def test_a_bad_part(drawn, part):
    with pytest.raises(ValueError, match='part must be "train" or "test", not'):
        drawn.batches(part)


def test_stand_in_is_the_same_bytes_everywhere():
    images, labels = standin.draw(40, 0)
    assert images.shape == (40, 3, 32, 32)
    assert images.dtype == np.uint8
    assert labels.tolist() == [i % 10 for i in range(40)]
    # If the images are meant to change, write the new sum here.
    assert hashlib.sha256(images.tobytes()).hexdigest()[:16] == STAND_IN_SUM


STAND_IN_SUM = "a17cd91311747403"


def test_stand_in_laws():
    a, b = standin.draw(510, 1)[0], standin.draw(30, 1)[0]
    assert np.array_equal(a[:30], b), "a longer draw starts with the shorter one"
    assert not np.array_equal(a[:30], standin.draw(30, 2)[0])
    assert len({image.tobytes() for image in a}) == 510, "no image twice"


def test_stand_in_is_like_cifar10_and_says_that_it_is_not():
    d = data.stand_in(3000, 100)
    close(d.mean / 255, torch.tensor([0.4914, 0.4822, 0.4465]), atol=0.01, rtol=0)
    close(d.std / 255, torch.tensor([0.2470, 0.2435, 0.2616]), atol=0.01, rtol=0)
    assert d.is_stand_in
    assert str(d).startswith("Stand-in data (not CIFAR-10): 3,000 training and 100 test images")
    assert len(set(d.classes)) == 10
    assert not set(d.classes) & set(CLASSES)
    assert d.train.labels.bincount().tolist() == [300] * 10


def test_bad_sizes_of_the_stand_in():
    for sizes in ((0, 10), (10, -1), (2.5, 1)):
        with pytest.raises(ValueError, match=r"(train|test) must be"):
            data.stand_in(*sizes)


def test_environment_variable(home, tmp_path, monkeypatch):
    monkeypatch.setenv("CIFAR10_DIR", str(write_folders(tmp_path / "c10")))
    d = data.load(home, verbose=False)
    assert str(d) == "CIFAR-10: 20 training and 10 test images (from the folder in CIFAR10_DIR)"
    assert len(data.load(home, write_folders(tmp_path / "two", train=1), verbose=False).train) == 10, "argument first"
    monkeypatch.setenv("CIFAR10_DIR", "")
    assert data.load(home, verbose=False).is_stand_in, "empty means not set"


def test_data_folder_by_default(tmp_path, capsys):
    write_folders(tmp_path / "default")
    assert not data.load().is_stand_in
    assert capsys.readouterr().out == "CIFAR-10: 20 training and 10 test images (from data/)\n"


def test_course_data(home, tmp_path, monkeypatch):
    monkeypatch.setenv("CIFAR10_DIR", str(write_folders(tmp_path / "c10")))
    monkeypatch.setenv("COURSE_DATA", "stand-in")
    d = data.load(home, verbose=False)
    assert d.is_stand_in
    assert "COURSE_DATA asks for it" in str(d)
    monkeypatch.setenv("COURSE_DATA", "imagenet")
    with pytest.raises(DataError, match="COURSE_DATA is 'imagenet', and only \"stand-in\" is known"):
        data.load(home)


def test_no_network_gives_the_stand_in_and_says_so(home, capsys):
    d = data.load(home)
    line, err = capsys.readouterr()
    assert (line, err) == (f"{d}\n", "")
    assert line == (
        "Stand-in data (not CIFAR-10): 60 training and 20 test images of drawn shapes; no network and no copy found; "
        "how to get the real one: data/README.md\n"
    )
    assert str(home) not in line


def test_missing_folder(home, tmp_path, monkeypatch):
    fails(home, tmp_path / "nowhere", "cifar10_dir names", "nowhere", "does not exist")
    monkeypatch.setenv("CIFAR10_DIR", str(tmp_path / "nowhere"))
    fails(home, None, "CIFAR10_DIR names", "does not exist", "unset it")


def test_a_file_instead_of_a_folder(home, tmp_path):
    (tmp_path / "file").touch()
    fails(home, tmp_path / "file", "is not a folder")


def test_an_empty_folder_is_not_passed_over(home, tmp_path):
    (tmp_path / "empty").mkdir()
    fails(home, tmp_path / "empty", "holds no CIFAR-10", "cifar-10-batches-py/", "train/ and test/", "data/README.md")


def test_command_with_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CIFAR10_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # it sets its own
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(data.__file__, run_name="__main__")
    out, err = capsys.readouterr()
    assert (caught.value.code, out) == (1, "")
    assert err.startswith("error: CIFAR10_DIR names")
    assert err.count("\n") == 1


def test_command(home, monkeypatch, capsys):
    monkeypatch.setattr(data, "DATA_DIR", home)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    assert data.main() == 0
    assert capsys.readouterr().out.startswith("Stand-in data (not CIFAR-10)")
    monkeypatch.setenv("COURSE_DATA", "x")
    assert data.main() == 1
    assert capsys.readouterr().err.startswith("error: COURSE_DATA is 'x'")
    monkeypatch.delenv("COURSE_DATA")
    (path,) = (home / "cache").glob("*.pt")
    truncate(path)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        data.main()
    assert capsys.readouterr().err.startswith("warning: the cache file")

    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "load", interrupt)
    assert data.main() == 130
