"""What `make slides` writes: which cells become a slide, and decks that a browser opens without a network."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import deck_browser
import nbformat
import notebook_rules as rules
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from test_tools import load

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SLIDES_A_LECTURE = range(12, 26)
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

load("kernels")
load("run")
cutting, slides = load("cut"), load("slides")
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name[:2])
installed = all(importlib.util.find_spec(package) for package, _, _ in slides.ASSETS.values())
needs_assets = pytest.mark.skipif(not installed, reason="reveal.js and MathJax: pip install -e '.[slides]'")


def markdown(source, kind="slide", **field):
    return new_markdown_cell(source, metadata={"slideshow": {"slide_type": kind, **field}})


def code(source, kind="slide", outputs=(), **field):
    return new_code_cell(source, metadata={"slideshow": {"slide_type": kind, **field}}, outputs=list(outputs))


def printed(text):
    return new_output("stream", text=text)


def drawn(alt="A line falls."):
    return new_output("display_data", {"image/png": PICTURE}, metadata={"image/png": {"alt": alt}})


def caption(text="*A line falls.*"):
    return new_output("display_data", {"text/markdown": text})


def cut(*cells):
    """The slides of these cells: each a list of cells, its notes apart."""
    made = []
    for cell in cutting.cut(new_notebook(cells=[markdown("# 02 · Why?\n\n**After this notebook** …"), *cells])).cells:
        if cell.metadata.slideshow.slide_type == "slide":
            made.append(SimpleNamespace(cells=[], notes=""))
        if cell.metadata.slideshow.slide_type == "notes":
            made[-1].notes = cell.source
        else:
            made[-1].cells.append(cell)
    return made[1:]


def sources(slide):
    return [cell.source for cell in slide.cells]


# --- cutting


def test_the_title_is_the_question_and_what_stands_under_it_is_for_the_speaker():
    deck = cutting.cut(new_notebook(cells=[markdown("# 02 · Why?\n\n**After this notebook** you know.")]))
    assert [cell.source for cell in deck.cells] == ["# Why?", "Notebook 02 · BatchNorm, layer by layer",
                                                    "**After this notebook** you know."]  # fmt: skip
    assert deck.metadata.title == "02 · Why?"


def test_what_begins_a_slide_what_goes_on_and_what_is_left_out():
    one, two = cut(
        markdown("## One"), markdown("More.", "-"), markdown("Not this.", "skip"), markdown("Say this.", "notes"),
        code("x = 1", "skip"), markdown("## Two", "subslide"), markdown("Later.", "fragment"),
    )  # fmt: skip
    assert sources(one) == ["## One", "More."]
    assert one.notes == "Say this."
    assert sources(two) == ["## Two", "Later."]
    assert two.cells[1].metadata.slideshow.slide_type == "fragment"
    assert not two.notes


def test_a_text_of_its_own_a_remark_and_the_whole_text_for_the_speaker():
    (slide,) = cut(markdown("## Long\n\nA long text.", text="## Short\n\n- a word", remark="Ask."))
    assert sources(slide) == ["## Short", "- a word"]
    assert slide.notes == "**Ask.**\n\nA long text."


@pytest.mark.parametrize(
    ("outputs", "field", "source", "shown"),
    [
        ([], {}, "a\n    b\n    c", 0),
        ([printed("1")], {}, "", 1),
        ([printed("1")], {"show": "both"}, "a\n    b\n    c", 1),
        ([printed("1")], {"show": "code", "lines": [2, 3]}, "b\nc", 0),
        ([printed("1"), drawn(), caption()], {}, "", 1),
    ],
)
def test_what_is_shown_of_code(outputs, field, source, shown):
    (slide,) = cut(code("a\n    b\n    c", outputs=outputs, text="## H", **field))
    assert slide.cells[0].source == "## H"
    assert slide.cells[1].source == source
    assert len(slide.cells[1].outputs) == shown
    if shown and len(outputs) == 3:
        assert "image/png" in slide.cells[1].outputs[0].data  # the figure alone: no caption, no print


def test_code_that_shows_nothing_carries_its_text():
    (slide,) = cut(code("guess = None", text="## Predict\n\n> How many?", show="none"))
    assert sources(slide) == ["## Predict", "> How many?"]
    assert slide.cells[0].metadata.deck_class == "words"


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (markdown("x", txet="y"), "cell 2: unknown in a slideshow field: txet; there are: lines, remark, show"),
        (markdown("x", show="code"), "cell 2: show in a Markdown cell"),
        (code("x", show="all"), "cell 2: show: 'all': choose one of both, code, none, output"),
        (code("x\ny", lines=[2, 3]), r"lines: \[2, 3\]: the first and the last of the cell's 2 lines"),
        (code("x", lines="1"), "lines: '1'"),
        (code("x = 1\n" * 40), "41 lines of up to 5 characters are too much"),
        (code("x" * 130), "1 lines of up to 130 characters are too much"),
    ],
)
def test_a_field_that_means_nothing_is_refused(cell, words):
    with pytest.raises(cutting.DeckError, match=words):
        cut(cell)


def test_code_is_as_large_as_it_can_be():
    sizes = [cutting.pixels(text) for text in ("x", "x" * 80, "x" * 110, "x\n" * 20)]
    assert sizes == sorted(sizes[:3], reverse=True) + sizes[3:]
    assert sizes[0] == cutting.CODE[0] > sizes[1] > sizes[2] > cutting.CODE[1]
    assert cutting.pixels("", "a word " * 30) > cutting.UNWRAPPED - 1  # what is printed may be wrapped


def test_links_lead_from_deck_to_deck():
    text = "[04 · Why?](04_why.ipynb), [data](../data/README.md), [a page](https://example.org/x), [up](#top)"
    assert cutting.linked(text) == "[04 · Why?](04.html), data, [a page](https://example.org/x), [up](#top)"


def test_exercises_and_verdicts_get_a_slide():
    stored = {"claim": {"number": "2.1", "sentence": "It is |x|.", "verdict": "holds", "finding": "It was.",
                        "source": "folklore"}}  # fmt: skip
    found, said, tasks = cut(
        markdown("## What we found"),
        code("claim(...)", "skip", [new_output("display_data", {"text/html": ""}, metadata=stored)]),
        markdown("## Exercises\n\nWrite."),
        markdown("### Exercise 2.1 · Count\n\n*3 minutes · ★☆☆ easy*\n\nHow many?", "-"),
        markdown("### Exercise 2.2 · Build\n\n*9 minutes · ★★★ hard*\n\nBuild.", "-"),
        markdown("**Next:** [03](03_what.ipynb)", "-"),
    )
    assert sources(found) == ["## What we found"]
    assert said.cells[0].source == "## What is said, and what we found"
    assert r"| 2.1 | It is \|x\|. | **✔ holds** |" in said.cells[1].source
    assert said.notes == "- 2.1: It was."
    assert sources(tasks) == ["## Exercises", "- **2.1 · Count** · 3 minutes · ★☆☆ easy\n"
                              "- **2.2 · Build** · 9 minutes · ★★★ hard", "**Next:** [03](03.html)"]  # fmt: skip


def test_a_sentence_that_is_tested_twice_says_in_which_setting():
    made = {"sentence": "It holds.", "verdict": "holds", "finding": "So."}
    claims = [{"claim": {**made, "number": f"2.{i}", "source": f"setting {i}"}} for i in (1, 2)]
    outputs = [new_output("display_data", {"text/html": ""}, metadata=claim) for claim in claims]
    (slide,) = cut(code("claim(...)", "skip", outputs))
    assert "| 2.1 | It holds. *(setting 1)* |" in slide.cells[1].source
    assert "| 2.2 | It holds. *(setting 2)* |" in slide.cells[1].source


@each
def test_every_notebook_is_a_lecture(path):
    notebook = nbformat.read(path, as_version=4)
    deck = cutting.cut(notebook)
    assert slides.count(deck) in SLIDES_A_LECTURE
    figures = [c for c in rules.code_cells(notebook) if any("image/png" in o.get("data", {}) for o in c.outputs)]
    kept = [c for c in rules.code_cells(deck) if any("image/png" in o.get("data", {}) for o in c.outputs)]
    assert len(kept) >= 0.8 * len(figures)  # the figures are what one comes for
    remarks = [c for c in notebook.cells if c.metadata.slideshow.get("remark")]
    assert len(remarks) >= 4


# --- the folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """build/slides of all notebooks."""
    root = tmp_path_factory.mktemp("project")
    (root / "notebooks").mkdir()
    for path in NOTEBOOKS:
        shutil.copy(path, root / "notebooks")
    assert slides.main([], root) == 0
    return root / "build" / "slides"


@needs_assets
def test_the_folder_holds_all_that_its_pages_name(folder):
    names = {f"{path.name[:2]}.html" for path in NOTEBOOKS}
    assert {path.name for path in folder.glob("*.html")} == {"index.html", *names}
    assert all(f'href="{name}"' in (folder / "index.html").read_text("utf-8") for name in names)
    for kind in slides.ASSETS:
        assert (folder / kind / "LICENSE").is_file()
    for name in names:
        text = (folder / name).read_text("utf-8")
        for place in ("reveal/dist/reveal.css", "reveal/dist/reveal.js", "reveal/plugin/notes/notes.js",
                      slides.MATHJAX.partition("?")[0]):  # fmt: skip
            assert place in text
            assert (folder / place).is_file()


def test_a_missing_package_and_a_bad_field_are_told(tmp_path, monkeypatch, capsys):
    (tmp_path / "notebooks").mkdir()
    good = new_notebook(cells=[markdown("# 02 · Why?"), markdown("## So")])
    bad = new_notebook(cells=[markdown("# 03 · How?"), code("x", show="all")])
    for name, notebook in (("02_why", good), ("03_how", bad)):
        nbformat.write(notebook, tmp_path / "notebooks" / f"{name}.ipynb")
    monkeypatch.setattr(slides, "ASSETS", {})
    assert slides.main([], tmp_path) == 1
    said = capsys.readouterr().out
    assert "02_why" in said
    assert "03_how" in said
    assert "FAILED: cell 2: show: 'all'" in said
    assert [path.name for path in sorted((tmp_path / "build" / "slides").glob("*.html"))] == ["02.html", "index.html"]
    monkeypatch.setattr(slides, "ASSETS", {"reveal": ("no_such_package_at_all", "", ())})
    assert slides.main([], tmp_path) == 1
    assert "no_such_package_at_all is not installed" in capsys.readouterr().err


# --- in a browser


def test_ci_has_a_browser():
    """So that the tests below are not skipped where they must not be: .ci/run asks for them."""
    if os.environ.get("BROWSER_TESTS") == "required":
        assert installed
        assert importlib.util.find_spec("playwright")
        assert deck_browser.executable()


@pytest.fixture(scope="module")
def browser():
    pytest.importorskip("playwright", reason="pip install -e '.[slides]'")
    if not deck_browser.executable():
        pytest.skip("no Chromium and no Chrome here (BROWSER_FOR_TESTS=/path/to/it names one)")
    with deck_browser.chromium() as opened:
        yield opened


@needs_assets
@each
def test_a_deck_without_a_network(browser, folder, path):
    seen, found = deck_browser.problems(browser, folder / f"{path.name[:2]}.html")
    assert not found, "\n".join(found)
    assert len(seen) in SLIDES_A_LECTURE


@needs_assets
def test_formulas_are_typeset(browser, folder):
    deck = deck_browser.Opened(browser, folder / "06.html")
    assert deck.formulas() > 20
    assert deck.page.evaluate("document.querySelectorAll('.slides .MathJax').length") == deck.formulas()
    deck.context.close()


@needs_assets
def test_the_speakers_view(browser, folder):
    deck = deck_browser.Opened(browser, folder / "03.html")
    for _ in range(5):
        deck.page.keyboard.press("ArrowRight")
    notes = deck.page.evaluate("Reveal.getCurrentSlide().querySelector('aside.notes').innerText").strip()
    with deck.context.expect_page() as opened:
        deck.page.keyboard.press("s")
    view = opened.value
    view.wait_for_function("document.querySelector('.speaker-controls-notes .value')?.innerText.trim()")
    said = view.inner_text(".speaker-controls-notes .value")
    assert len(notes) > 80
    assert notes.split()[:12] == said.split()[:12]
    deck.page.keyboard.press("ArrowRight")
    view.wait_for_function("said => !document.querySelector('.speaker-controls-notes .value').innerText.includes(said)",
                           arg=said[:60])  # fmt: skip
    assert deck.asked == []
    deck.context.close()


@needs_assets
def test_what_the_browser_would_find(browser, folder, tmp_path):
    """Each fault in a deck of its own, so that none of the checks above is one that cannot fail."""
    text = (folder / "00.html").read_text("utf-8")
    first = "<h1"
    faults = {
        "it asks for": text.replace("</main>", '<img alt="x" src="http://example.org/x.png"></main>'),
        "out of its frame": text.replace(first, f'<div style="width: 1400px; height: 9px"></div>{first}', 1),
        "too small": text.replace(first, f'<p style="font-size: 9px">small</p>{first}', 1),
        "not typeset": text.replace(first, f"<p>$\\sigma^2$</p>{first}", 1).replace("mathjax/", "gone/"),
        "a formula that MathJax cannot read": text.replace(first, f"<p>$\\frac{{1$</p>{first}", 1),
        "a figure without a text": text.replace(first, f'<img alt="" width="9" src="data:image/png;base64,{PICTURE}">'
                                                       f"{first}", 1),
        "no heading": text.replace("<h1", "<h4").replace("</h1", "</h4"),
        "an error": text.replace("startDeck();", "startDeck(); null.x;"),
        "the → key": text.replace("hash: true", "hash: true, keyboard: false"),
    }  # fmt: skip
    for name in slides.ASSETS:
        shutil.copytree(folder / name, tmp_path / name)
    for words, html in faults.items():
        assert html != text, words
        (tmp_path / "bad.html").write_text(html, "utf-8")
        found = deck_browser.problems(browser, tmp_path / "bad.html")[1]
        assert any(words in problem for problem in found), (words, found)
