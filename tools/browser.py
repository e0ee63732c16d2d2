"""The Chromium or Chrome that is installed, without a window: it prints the sheet, draws the stills, and tests."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["chromium", "executable"]

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip


def executable() -> str | None:
    """What BROWSER_FOR_TESTS names, or the first Chromium or Chrome; None without one, or without playwright."""
    if importlib.util.find_spec("playwright") is None:
        return None
    return os.environ.get("BROWSER_FOR_TESTS") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def chromium() -> Iterator:
    """Playwright's browser, closed behind its use; as root it cannot have its sandbox."""
    from playwright.sync_api import sync_playwright  # here: it belongs to the extra "slides"

    as_root = hasattr(os, "getuid") and os.getuid() == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable(), args=[*QUIET, *(["--no-sandbox"] if as_root else [])]
        )
        try:
            yield browser
        finally:
            browser.close()
