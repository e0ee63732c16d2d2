"""Fixtures that several files of tests share; a test gets them only if it asks for them."""

import os

import pytest
from claim_lessons import course  # noqa: F401

from tools.browser import chromium, executable
from utils.data import download, loading


@pytest.fixture
def isolated(monkeypatch, tmp_path):
    """No setting of the user, no network, no project data; and the stand-in small, so that no test draws 14,400."""
    monkeypatch.delenv("CIFAR10_DIR", raising=False)
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.setattr(loading, "default_folder", lambda: tmp_path / "default")
    monkeypatch.setattr(download, "unreachable", lambda: "no network")
    monkeypatch.setattr(download, "download", lambda folder: pytest.fail("a test tried to download"))
    monkeypatch.setattr(loading, "STAND_IN_SIZE", (60, 20))


@pytest.fixture
def home(isolated, tmp_path):
    """An empty data folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def browser():
    """A Chromium or Chrome; without one, the test is skipped, or fails where BROWSER_TESTS says required."""
    if not executable():
        missing = pytest.fail if os.environ.get("BROWSER_TESTS") == "required" else pytest.skip
        missing("no Chromium and no Chrome (BROWSER_FOR_TESTS=/path/to/it names one), or pip install -e '.[slides]'")
    with chromium() as opened:
        yield opened
