"""utils.progress: what a bar says, and that nothing of it stays, in a terminal and in a notebook."""

import io

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from tools.kernels import OwnKernelManager
from utils import progress
from utils.progress import Bar


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_screen(text: str) -> str:
    """What a terminal shows after that."""
    line = ""
    for part in text.split("\r"):
        line = part + line[len(part) :]
    return line.rstrip()


def test_a_bar_says_what_runs_how_far_it_is_and_how_long_it_takes(clock):
    bar = Bar(360, "He's start, seed 2 of 3", shown=False)
    assert str(bar) == "He's start, seed 2 of 3: 0 of 360 steps"
    clock.now += 10
    bar.update(120, "loss 1.5")
    assert str(bar) == "He's start, seed 2 of 3: 120 of 360 steps, loss 1.5, 20 s left"
    clock.now += 500
    bar.update(60)
    assert str(bar) == "He's start, seed 2 of 3: 180 of 360 steps, loss 1.5, 8 min left"
    bar.update(200)  # more than there was to do
    assert str(bar).endswith("380 of 360 steps, loss 1.5, 0 s left")


def test_of_an_unknown_number_nobody_knows_how_many_are_left(clock):
    bar = Bar(None, unit="MB", shown=False)
    clock.now += 5
    bar.update(1234.5)
    assert str(bar) == "1,234 MB"
    assert bar._repr_html_() == "<label><progress></progress> 1,234 MB</label>"


def test_names_cannot_smuggle_in_tags():
    bar = Bar(4, "<b>&", shown=False)
    bar.update()
    html = bar._repr_html_()
    assert html.startswith('<label><progress value="1" max="4"></progress> &lt;b&gt;&amp;: 1 of 4 steps')


def test_in_a_terminal_it_is_a_line_that_goes(monkeypatch, clock):
    terminal = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", terminal)
    with Bar(10, "seed 1") as bar:
        bar.update(3, "a long note")
        assert terminal.getvalue() == "", "what is soon over shows none"
        clock.now += progress.WAIT
        bar.update()
        assert on_screen(terminal.getvalue()) == "seed 1: 4 of 10 steps, a long note, 2 s left"
        bar.update(1, "")
        assert on_screen(terminal.getvalue()).startswith("seed 1: 4 of 10"), "not at each call"
        clock.now += progress.REDRAW
        bar.update()
        assert on_screen(terminal.getvalue()) == "seed 1: 6 of 10 steps, 1 s left"
    assert on_screen(terminal.getvalue()) == ""
    assert "\n" not in terminal.getvalue()


@pytest.mark.parametrize("shown", [True, False])
def test_where_nobody_looks_there_is_none(clock, capsys, shown):
    with Bar(2, shown=shown) as bar:
        clock.now += 9
        bar.update()
    assert capsys.readouterr() == ("", "")


CELLS = (
    "from utils import progress\nprogress.WAIT = progress.REDRAW = 0.0",
    "print('before')\nfor seed in (1, 2):\n    with progress.Bar(2, f'seed {seed}') as bar:\n        bar.update()\n"
    "print('after')",
    "with progress.Bar(2, 'fails') as bar:\n    bar.update()\n    raise ValueError",
    "with progress.Bar(2, 'is interrupted') as bar:\n    bar.update()\n    raise KeyboardInterrupt",
    "progress.WAIT = 60\nwith progress.Bar(2, 'is soon over') as bar:\n    bar.update()",
)


def test_in_a_notebook_the_bars_of_a_cell_share_one_output_and_leave_it_empty():
    shown: list[list[str]] = [[] for _ in CELLS]

    class Client(NotebookClient):
        def process_message(self, message, cell, cell_index):
            content = message["content"]
            if message["msg_type"] in ("display_data", "update_display_data"):
                shown[cell_index].append(content["data"].get("text/html", "nothing"))
            return super().process_message(message, cell, cell_index)

    notebook = new_notebook(cells=[new_code_cell(source) for source in CELLS])
    Client(notebook, kernel_manager_class=OwnKernelManager, allow_errors=True, record_timing=False).execute()
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata
    for name, texts in zip(("seed 1", "fails", "is interrupted"), shown[1:4], strict=True):
        assert texts[0] == "nothing", "nbval compares what a cell displays, not how it is updated"
        assert f'<progress value="1" max="2"></progress> {name}: 1 of 2 steps' in texts[1]
        assert texts[-1] == "nothing"
    assert ["seed 2" in text for text in shown[1]] == [False, False, False, True, False]
    assert shown[4] == []
    kinds = [[output.output_type for output in cell.outputs] for cell in notebook.cells]
    drawn = ["display_data", "error"]
    assert kinds == [[], ["stream", "display_data", "stream"], drawn, drawn, []]
    assert all(not output.get("data") for cell in notebook.cells for output in cell.outputs)


def test_what_is_watched_comes_as_it_is_and_is_counted(monkeypatch):
    seen = []
    monkeypatch.setattr(progress.Bar, "update", lambda bar, more=1: seen.append((bar.name, bar.total, more)))
    assert list(progress.watched(iter("abc"), "letters", "letters")) == ["a", "b", "c"]
    assert seen == [("letters", 3, 1)] * 3
