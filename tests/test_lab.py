"""JupyterLab as a learner uses it: Run All from cleared outputs ends clean, and an exercise is answered by typing."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import nbformat
import pytest
from notebook_rules import ROOT

pytestmark = pytest.mark.browser
MINUTES = 15  # for a notebook, on a machine that has other things to do
# The kernel's connection, as the page itself knows it (--LabApp.expose_app_in_browser).
KERNEL = "() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel"
QUIET = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}


@contextmanager
def lab(folder: Path) -> Iterator[str]:
    """JupyterLab on a folder, on loopback and with a token; its address."""
    settings = folder / ".settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(QUIET), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port, token = free.getsockname()[1], secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "-y", "--ServerApp.ip=127.0.0.1",
               f"--ServerApp.port={port}", f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={token}",
               "--LabApp.expose_app_in_browser=True", "--log-level=ERROR"]  # fmt: skip
    own = {"JUPYTERLAB_SETTINGS_DIR": ".settings", "JUPYTERLAB_WORKSPACES_DIR": ".workspaces",
           "JUPYTER_CONFIG_DIR": ".config"}  # fmt: skip
    env = {**os.environ, **{name: str(folder / where) for name, where in own.items()}}
    server = subprocess.Popen(command, env=env)
    try:
        for _ in range(240):
            try:
                urlopen(f"http://127.0.0.1:{port}/api/status?token={token}", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, "JupyterLab ended before it answered"
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/lab/tree/NAME?token={token}"
    finally:
        server.terminate()
        server.wait(30)


def cleared(number: str, folder: Path, keep=lambda cell: True) -> Path:
    """A copy of a notebook without outputs, and of its cells only those to keep."""
    (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if keep(cell)]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, folder / path.name)
    return folder / path.name


def opened(browser, address: str, path: Path):
    """The notebook in JupyterLab, with a kernel that is ready; what its scripts complain about is kept."""
    page = browser.new_context(viewport={"width": 1280, "height": 720}).new_page()
    page.set_default_timeout(120_000)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(address.replace("NAME", path.name))
    page.locator(".jp-Notebook .jp-Cell").first.wait_for()
    page.wait_for_function(f"({KERNEL})()?.connectionStatus === 'connected' && ({KERNEL})().status === 'idle'")
    return page


def saved(page, path: Path, done) -> nbformat.NotebookNode:
    """The notebook as it stands on disk, once `done` says of it that all is there."""
    end = time.monotonic() + 60 * MINUTES
    while True:
        page.keyboard.press("Control+s")
        page.wait_for_timeout(2000)
        notebook = nbformat.read(path, as_version=4)
        if done(notebook):
            return notebook
        assert time.monotonic() < end, f"{path.name} was not executed to its end in {MINUTES} minutes"


def test_run_all_from_cleared_outputs_ends_clean(browser, tmp_path):
    path = cleared("03", tmp_path)
    with lab(tmp_path) as address:
        page = opened(browser, address, path)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

        def done(notebook):
            code = [cell for cell in notebook.cells if cell.cell_type == "code"]
            return code[-1].execution_count == len(code)

        notebook = saved(page, path, done)
        page.context.close()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)]
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    assert not [output for output in outputs if "application/vnd.jupyter.widget-view+json" in output.get("data", {})]
    assert sum("image/svg+xml" in output.get("data", {}) for output in outputs) >= 5
    cards = [output.metadata["claim"] for output in outputs if "claim" in output.get("metadata", {})]
    assert len(cards) >= 3
    assert not [card["slug"] for card in cards if card["problem"]]
    assert not page.errors


def test_an_exercise_is_answered_wrongly_and_then_rightly_by_typing(browser, tmp_path):
    asked = {"02", "x03", "x04"}
    path = cleared("01", tmp_path, lambda cell: cell.id in asked)
    with lab(tmp_path) as address:
        page = opened(browser, address, path)
        cells = page.locator(".jp-Notebook .jp-CodeCell")

        def run(place: int, text: str = "") -> None:
            cells.nth(place).locator(".cm-content").click()
            if text:
                page.keyboard.press("Control+a")
                page.keyboard.type(text)
            page.keyboard.press("Control+Enter")

        said = []
        run(0)
        for answer in ("factor = 40", "factor = 2**20"):
            run(1, answer)
            run(2)
            count = len(said) * 2 + 3
            notebook = saved(page, path, lambda found, count=count: found.cells[2].execution_count == count)
            said.append(re.sub(r"<[^>]+>", " ", notebook.cells[2].outputs[0].data["text/html"]))
        page.context.close()
    assert notebook.cells[1].source == "factor = 2**20"
    assert "not right" in said[0].lower()
    assert "right" in said[1].lower()
    assert "not right" not in said[1].lower()
    assert not page.errors
