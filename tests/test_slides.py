"""What `make slides` writes: which cells become a slide, and decks that a browser opens without a network."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from types import SimpleNamespace

import deck_browser
import nbformat
import notebook_rules as rules
import pytest
from claim_lessons import FACT, GAP, HEAD
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from notebook_rules import NOTEBOOKS, ROOT

from tools import decks as cutting
from tools import slide_texts, slides

SLIDES_A_LECTURE = range(12, 26)
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name[:2])
installed = all(importlib.util.find_spec(package) for package, _, _ in slides.ASSETS.values())
needs_assets = pytest.mark.skipif(not installed, reason="reveal.js and MathJax: pip install -e '.[slides]'")


def markdown(source, kind="slide"):
    return new_markdown_cell(source, metadata={"slideshow": {"slide_type": kind}})


def code(source, kind="slide", outputs=()):
    return new_code_cell(source, metadata={"slideshow": {"slide_type": kind}}, outputs=list(outputs))


def printed(text):
    return new_output("stream", text=text)


def drawn(alt="A line falls."):
    return new_output("display_data", {"image/png": PICTURE}, metadata={"image/png": {"alt": alt}})


def folded(text="A line falls."):
    return new_output("display_data", {"text/html": f"<details>{text}</details>", "text/plain": text})


def cut(*cells, **texts):
    """The slides of these cells, with their texts (c1: of the first of them): each a list of cells, its notes apart."""
    cells = [markdown("# 02 · Why?\n\n**After this notebook** …"), *cells]
    for place, cell in enumerate(cells):
        cell.id = f"c{place}"
    found = {name: slide_texts.SlideText(**words) for name, words in texts.items()}
    made = []
    for cell in cutting.cut(new_notebook(cells=cells), found).cells:
        if cell.metadata.slideshow.slide_type == "slide":
            made.append(SimpleNamespace(cells=[], notes=""))
        if cell.metadata.slideshow.slide_type == "notes":
            made[-1].notes = cell.source
        else:
            made[-1].cells.append(cell)
    return made[1:]


def sources(slide):
    return [cell.source for cell in slide.cells]


# --- what lessons/ say of them

SAID = """<!-- cell c1 -->

## Short

- a word

Note: Ask.

<!-- cell c2, show both, lines 2-3 -->

Note: Look
twice.

<!-- cell c4, show none -->
"""


@pytest.fixture
def place(tmp_path):
    """The path of a notebook, and a function that writes its slides.md."""
    file = tmp_path / "lessons" / "nb02" / "slides.md"
    file.parent.mkdir(parents=True)
    return tmp_path / "notebooks" / "02_why.ipynb", lambda text: file.write_text(text, "utf-8")


def five_cells():
    cells = [markdown("# 02 · Why?"), markdown("## Long"), code("a\nb\nc"), markdown("x"), code("y")]
    for number, cell in enumerate(cells):
        cell.id = f"c{number}"
    return new_notebook(cells=cells)


def test_what_is_said_stands_under_a_cells_id(place):
    path, write = place
    assert slide_texts.read(path, five_cells()) == {}
    write(SAID)
    assert slide_texts.read(path, five_cells()) == {
        "c1": slide_texts.SlideText(text="## Short\n\n- a word", remark="Ask."),
        "c2": slide_texts.SlideText(remark="Look\ntwice.", show="both", lines=(2, 3)),
        "c4": slide_texts.SlideText(show="none"),
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "<!-- cell c9 -->\n\nx",
            "nb02/slides.md: cell c9: the notebook has no cell of this id; it has: c0, c1, c2, c3",
        ),
        (
            "<!-- cell c2, shwo both -->",
            'cell c2: "shwo both" means nothing: write show both|code|none|output, or lines',
        ),
        ("<!-- cell c2, show all -->", 'cell c2: "show all" means nothing'),
        ("<!-- cell c1, show code -->", "cell c1: show and lines are for code, and this is a Markdown cell"),
        ("<!-- cell c2, lines 2-4 -->", "cell c2: lines 2-4: the cell has the lines 1-3"),
        ("<!-- cell c1 -->\n\nx\n\n<!-- cell c1 -->\n\ny", "cell c1: it has two sections"),
        ("<!-- cell c1 -->\n\n<!-- cell c2 -->\n\ny", "cell c1: nothing is said about it"),
        ("## Early\n\n<!-- cell c1 -->\n\nx", '"## Early" stands under no cell'),
    ],
)
def test_what_cannot_be_read_is_told_with_its_cell(place, text, words):
    path, write = place
    write(text)
    with pytest.raises(slide_texts.DeckError) as problem:
        slide_texts.read(path, five_cells())
    assert words in str(problem.value)


# --- cutting


def test_the_title_is_the_question_and_what_stands_under_it_is_for_the_speaker():
    deck = cutting.cut(new_notebook(cells=[markdown("# 02 · Why?\n\n**After this notebook** you know.")]), {})
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
    (slide,) = cut(markdown("## Long\n\nA long text."), c1={"text": "## Short\n\n- a word", "remark": "Ask."})
    assert sources(slide) == ["## Short", "- a word"]
    assert slide.notes == "**Ask.**\n\nA long text."


@pytest.mark.parametrize(
    ("outputs", "words", "source", "shown"),
    [
        ([], {}, "a\n    b\n    c", 0),
        ([printed("1")], {}, "", 1),
        ([printed("1")], {"show": "both"}, "a\n    b\n    c", 1),
        ([printed("1")], {"show": "code", "lines": (2, 3)}, "b\nc", 0),
        ([printed("1"), drawn(), folded()], {}, "", 1),
    ],
)
def test_what_is_shown_of_code(outputs, words, source, shown):
    (slide,) = cut(code("a\n    b\n    c", outputs=outputs), c1={"text": "## H", **words})
    assert slide.cells[0].source == "## H"
    assert slide.cells[1].source == source
    assert len(slide.cells[1].outputs) == shown
    if shown and len(outputs) == 3:
        assert "image/png" in slide.cells[1].outputs[0].data  # the figure alone: no words under it, no print


def test_code_that_shows_nothing_carries_its_text():
    (slide,) = cut(code("guess = None"), c1={"text": "## Predict\n\n> How many?", "show": "none"})
    assert sources(slide) == ["## Predict", "> How many?"]
    assert slide.cells[0].metadata.deck_class == "words"


@pytest.mark.parametrize(
    ("source", "words"),
    [("x = 1\n" * 40, "cell c1: 41 lines of up to 5 characters are too much"), ("x" * 130, "1 lines of up to 130")],
)
def test_code_that_does_not_fit_is_refused(source, words):
    with pytest.raises(slide_texts.DeckError, match=words):
        cut(code(source))


def test_code_is_as_large_as_it_can_be():
    sizes = [cutting.pixels(text) for text in ("x", "x" * 80, "x" * 110, "x\n" * 20)]
    assert sizes == sorted(sizes[:3], reverse=True) + sizes[3:]
    assert sizes[0] == cutting.CODE[0] > sizes[1] > sizes[2] > cutting.CODE[1]
    assert cutting.pixels("", "a word " * 30) > cutting.UNWRAPPED - 1  # what is printed may be wrapped


def test_links_lead_from_deck_to_deck():
    text = "[04 · Why?](04_why.ipynb), [data](../data/README.md), [a page](https://example.org/x), [up](#top)"
    assert cutting.linked(text) == "[04 · Why?](04.html), data, [a page](https://example.org/x), [up](#top)"


def test_exercises_and_verdicts_get_a_slide(course):
    course.write(HEAD.replace("without.", "|x|.") + GAP + FACT)
    course.record()
    course.record("exists", {"sizes": [1, 4]})
    outputs = [
        new_output("display_data", {"text/html": ""}, metadata={"claim": {"slug": slug}})
        for slug in ("slower", "exists")
    ]
    found, verdict, tasks = cut(
        markdown("## What we found"),
        code("claim(...)", "skip", outputs),
        markdown("## Exercises\n\nWrite."),
        markdown("### Exercise 2.1 · Count\n\n*3 minutes · ★☆☆ easy*\n\nHow many?", "-"),
        markdown("### Exercise 2.2 · Build\n\n*9 minutes · ★★★ hard*\n\nBuild.", "-"),
        markdown("**Next:** [03](03_what.ipynb)", "-"),
    )
    assert sources(found) == ["## What we found"]
    assert verdict.cells[0].source == "## What is said, and what we found"
    for row in (r"| 7.1 | It takes longer \|x\|. | **✔ holds** |", "| 7.2 | There is one above three. | **✔ holds** |"):
        assert row in verdict.cells[1].source
    assert verdict.notes.startswith("- 7.1: Without, 40 [")
    assert verdict.notes.endswith("\n- 7.2: There is: 4.")
    assert sources(tasks) == ["## Exercises", "- **2.1 · Count** · 3 minutes · ★☆☆ easy\n"
                              "- **2.2 · Build** · 9 minutes · ★★★ hard", "**Next:** [03](03.html)"]  # fmt: skip


@each
def test_every_notebook_is_a_lecture(path):
    notebook = nbformat.read(path, as_version=4)
    texts = slide_texts.read(path, notebook)
    deck = cutting.cut(notebook, texts)
    assert slides.count(deck) in SLIDES_A_LECTURE
    figures, kept = (sum(map(len, map(rules.pictures, rules.code_cells(made)))) for made in (notebook, deck))
    assert kept >= 0.8 * figures  # the figures are what one comes for
    assert sum(bool(each.remark) for each in texts.values()) >= 4


# --- the folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """build/slides of all notebooks."""
    root = tmp_path_factory.mktemp("project")
    for name in ("notebooks", "lessons"):
        shutil.copytree(ROOT / name, root / name)
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


def test_a_missing_package_and_a_text_that_means_nothing_are_told(tmp_path, monkeypatch, capsys):
    for folder in ("notebooks", "lessons/nb03"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("02_why", "03_how"):
        nbformat.write(new_notebook(cells=[markdown(f"# {name[:2]} · So?")]), tmp_path / "notebooks" / f"{name}.ipynb")
    (tmp_path / "lessons" / "nb03" / "slides.md").write_text("<!-- cell 99 -->\n\nx", "utf-8")
    monkeypatch.setattr(slides, "ASSETS", {})
    assert slides.main([], tmp_path) == 1
    told = capsys.readouterr().out
    assert "02_why" in told
    assert re.search("03_how .* FAILED: nb03/slides.md: cell 99: the notebook has no cell of this id", told)
    assert [path.name for path in sorted((tmp_path / "build" / "slides").glob("*.html"))] == ["02.html", "index.html"]
    monkeypatch.setattr(slides, "ASSETS", {"reveal": ("no_such_package_at_all", "", ())})
    assert slides.main([], tmp_path) == 1
    assert "no_such_package_at_all is not installed" in capsys.readouterr().err


# --- in a browser


@pytest.mark.browser
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


def deck_of(folder, question):
    """A notebook's deck, by the words of its question: its number may change."""
    [path] = [path for path in NOTEBOOKS if path.stem[3:] == question]
    return folder / f"{path.name[:2]}.html"


@pytest.mark.browser
@needs_assets
@each
def test_a_deck_without_a_network(browser, folder, path):
    seen, found = deck_browser.problems(browser, folder / f"{path.name[:2]}.html")
    assert not found, "\n".join(found)
    assert len(seen) in SLIDES_A_LECTURE


@pytest.mark.browser
@needs_assets
def test_formulas_are_typeset(browser, folder):
    deck = deck_browser.Opened(browser, deck_of(folder, "what_must_the_gradient_know"))
    assert deck.formulas() > 20
    assert deck.page.evaluate("document.querySelectorAll('.slides .MathJax').length") == deck.formulas()
    deck.context.close()


@pytest.mark.browser
@needs_assets
def test_the_speakers_view(browser, folder):
    deck = deck_browser.Opened(browser, deck_of(folder, "what_does_it_do_to_a_network"))
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


@pytest.mark.browser
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
