"""What `make slides` writes: which cells become a slide, and decks that a browser opens without a network."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil

import deck_browser
import nbformat
import pytest
from claim_lessons import FACT, GAP, HEAD
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from notebook_rules import NOTEBOOKS, ROOT

from tools import deck_code, deck_ends, deck_words, plans, quiz, slide_texts, slides
from tools import decks as cutting
from tools.deck_figures import is_figure

SLIDES_A_LECTURE = range(12, 31)
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name[:2])
installed = all(importlib.util.find_spec(package) for package, _, _ in slides.ASSETS.values())
needs_assets = pytest.mark.skipif(
    not installed and os.environ.get("BROWSER_TESTS") != "required",  # where a browser is, decks are opened
    reason="reveal.js and MathJax: pip install -e '.[slides]'",
)


def markdown(source, kind="slide"):
    return new_markdown_cell(source, metadata={"slideshow": {"slide_type": kind}})


def code(source, kind="slide", outputs=()):
    return new_code_cell(source, metadata={"slideshow": {"slide_type": kind}}, outputs=list(outputs))


def printed(text):
    return new_output("stream", text=text)


def drawn(alt="A line falls.", svg="", **metadata):
    shown = {"image/png": PICTURE, **({"image/svg+xml": svg} if svg else {})}
    return new_output("display_data", shown, metadata={"image/png": {"alt": alt}, **metadata})


def folded(text="A line falls."):
    return new_output("display_data", {"text/html": f"<details>{text}</details>", "text/plain": text})


def deck(*cells, guide=None, **texts):
    """The deck of these cells behind a title, with their texts (c1: of the first of them)."""
    cells = [markdown("# 02 · Why?\n\n**After this notebook** …\n\n*5 minutes to read*"), *cells]
    for place, cell in enumerate(cells):
        cell.id = f"c{place}"
    found = {name: slide_texts.SlideText(**words) for name, words in texts.items()}
    return cutting.cut(new_notebook(cells=cells), found, guide)


def cut(*cells, guide=None, **texts):
    """The slides of such a deck, but for its title and its last one, which says the question."""
    return [slide for slide in deck(*cells, guide=guide, **texts).slides[1:] if slide.kind != "closing"]


def shown(slide):
    """What stands on a slide, as HTML: its heading, and its parts."""
    return "\n".join([slide.heading_html, *slide.parts])


# --- what lessons/ say of them

SAID = """<!-- cell c1 -->

## Short

- a word

Note: Ask.

<!-- cell c2, show both, lines 2-3 -->

Note: Look
twice.

<!-- cell c4, show none, hero, ask, misunderstanding 2 -->

<!-- cell c3, build -->

> What?

Scale: 0 … 5 %
Scale (b): no | yes

Note: Wait.

<!-- last, figure c4 -->

One sentence.
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
        "c4": slide_texts.SlideText(show="none", hero=True, guide=("ask", "misunderstanding 2")),
        "c3": slide_texts.SlideText(
            text="> What?",
            remark="Wait.",
            build=True,
            scales=(slide_texts.Scale(("0", "5 %")), slide_texts.Scale(("no", "yes"), choice=True, name="b")),
        ),
        "last": slide_texts.SlideText(text="One sentence.", figure="c4"),
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
            'cell c2: "shwo both" means nothing: write show both|code|none|output, lines 1-9',
        ),
        ("<!-- cell c2, show all -->", 'cell c2: "show all" means nothing'),
        ("<!-- cell c1, show code -->", "cell c1: show and lines are for code, and this is a Markdown cell"),
        ("<!-- cell c2, lines 2-4 -->", "cell c2: lines 2-4: the cell has the lines 1-3"),
        ("<!-- cell c1 -->\n\nx\n\n<!-- cell c1 -->\n\ny", "cell c1: it has two sections"),
        ("<!-- cell c1 -->\n\n<!-- cell c2 -->\n\ny", "cell c1: nothing is said about it"),
        ("## Early\n\n<!-- cell c1 -->\n\nx", '"## Early" stands under no cell'),
        ("<!-- cell c1, hero -->", "cell c1: hero and lines to build are for code"),
        ("<!-- cell c2, show code, build -->", "cell c2: build needs show code or show both, and lines"),
        ("<!-- cell c2, show output, build 1-2 -->", "cell c2: build needs show code or show both"),
        (
            "<!-- cell c2, show code, lines 2-3, build 1-2 -->",
            "build 1-2: its slide shows the lines 2-3, in this order",
        ),
        ("<!-- cell c2, show code, build 2-3 1-1 -->", "cell c2: build 1-1"),
        ("<!-- cell c1, misunderstanding -->", 'cell c1: "misunderstanding" means nothing: write show'),
        ("<!-- cell c1 -->\n\nScale: 5", 'cell c1: "Scale: 5" has no two marks: write Scale: 0 … 5 … 10, or'),
        ("<!-- cell c1 -->\n\nScale: 5 … ", "has no two marks"),
        ("<!-- last, show code -->\n\nx", 'last: "show code" means nothing: write figure, and the id of a cell'),
        ("<!-- last, figure c9 -->\n\nx", "cell c9: the notebook has no cell of this id"),
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
    made = cutting.cut(new_notebook(cells=[markdown("# 02 · Why?\n\n**After this notebook** you know.")]), {})
    assert [slide.heading for slide in made.slides] == ["Why?"]
    assert "<strong>After this notebook</strong> you know." in made.slides[0].told()
    assert made.title == "02 · Why?"


def test_what_begins_a_slide_what_goes_on_and_what_is_left_out():
    one, two = cut(
        markdown("## One"), markdown("More.", "-"), markdown("Not this.", "skip"), markdown("Say this.", "notes"),
        code("x = 1", "skip"), markdown("## Two", "subslide"),
    )  # fmt: skip
    assert "One" in shown(one)
    assert "More." in shown(one)
    assert "Not this" not in shown(one) + one.told()
    assert "Say this." in one.told()
    assert (two.heading, two.told()) == ("Two", "")


def test_a_text_of_its_own_a_remark_and_the_whole_text_for_the_speaker():
    (slide,) = cut(markdown("## Long\n\nA long text."), c1={"text": "## Short\n\n- a word", "remark": "Ask."})
    assert slide.heading == "Short"
    assert "<li>a word</li>" in shown(slide)
    assert slide.told() == "<p><strong>Ask.</strong></p>\n<p>A long text.</p>"
    assert slide.kind == "words"


@pytest.mark.parametrize(
    ("outputs", "words", "seen", "unseen"),
    [
        ([], {}, ["a", "b", "c"], []),
        ([printed("1")], {}, ["1</pre>"], [">a<"]),
        ([printed("1")], {"show": "both"}, [">a<", ">b<", ">c<", "1</pre>"], []),
        ([printed("1")], {"show": "code", "lines": (2, 3)}, [">b<", ">c<"], [">a<", "1</pre>"]),
        ([printed("1"), drawn(), folded()], {}, ["<img"], ["1</pre>", "falls", ">a<"]),
    ],
)
def test_what_is_shown_of_code(outputs, words, seen, unseen):
    (slide,) = cut(code("a\n    b\n    c", outputs=outputs), c1={"text": "## H", **words})
    assert all(text in shown(slide) for text in seen)
    assert not any(text in shown(slide) for text in unseen)


def test_code_that_shows_nothing_carries_its_text():
    (slide,) = cut(code("guess = None"), c1={"text": "## Look\n\n> How many?", "show": "none"})
    assert "How many?" in shown(slide)
    assert "guess" not in shown(slide)
    assert slide.kind == "words"


@pytest.mark.parametrize(
    ("source", "words"),
    [("x = 1\n" * 40, "cell c1: 40 lines of up to 5 characters are too much"), ("x" * 4000, "1 lines of up to 4000")],
)
def test_code_that_does_not_fit_is_refused(source, words):
    with pytest.raises(slide_texts.DeckError, match=words):
        cut(code(source))


def test_code_is_as_large_as_it_can_be():
    sizes = [deck_code.pixels(text) for text in ("x", "x" * 70, "x" * 84, "x\n" * 19)]
    assert sizes == sorted(sizes[:3], reverse=True) + sizes[3:]
    assert sizes[0] == deck_code.LARGEST > sizes[1] > sizes[2] > deck_code.SMALLEST
    assert deck_code.pixels("", "a word " * 30) >= deck_code.SMALLEST  # a long line is wrapped
    assert deck_code.pixels("x\n" * 10, above=200) < deck_code.pixels("x\n" * 10)


def test_code_comes_block_by_block():
    (slide,) = cut(
        code("a = 1\nb = 2\nc = 3\nd = 4"),
        c1={"show": "code", "lines": (2, 4), "build": True, "blocks": ((3, 3), (4, 4))},
    )
    html = shown(slide)
    assert re.findall(r'class="block fragment" data-fragment-index="(\d)"', html) == ["0", "1"]
    first, second, third = re.split('<span class="block fragment"[^>]*>', html)
    assert ">b<" in first
    assert ">c<" in second
    assert ">d<" in third
    assert slide.later == 2


def test_a_list_and_paragraphs_come_one_after_another_the_first_from_the_start():
    items, paragraphs = cut(
        markdown("## A"), markdown("## B"),
        c1={"text": "## A\n\nx\n\n- one\n- two\n- three", "build": True}, c2={"text": "## B\n\nx\n\ny", "build": True},
    )  # fmt: skip
    assert "<li>one</li>" in shown(items)
    assert [text for _, text in re.findall(r'fragment-index="(\d)">(\w+)', shown(items))] == ["two", "three"]
    assert '<p class="fragment" data-fragment-index="0">y' in shown(paragraphs)


STEPS = """<?xml version="1.0"?>
<svg class="course-figure" role="img" width="9" height="4" viewBox="0 0 9 4"><path d="M0 0"/>
<g class="step" data-step="4" id="a"/><g data-step="2" class="line step"/><g class="step" data-step="4"/></svg>"""


def test_a_drawing_comes_step_by_step_and_tells_nothing():
    """Steps may be numbered anyhow, several may come together; who cannot see it is told no more than the others."""
    (slide,) = cut(
        markdown("## Look: $\\gamma$"),
        code("plot()", "-", [drawn(svg=STEPS, figure="it")]),
    )  # fmt: skip
    html = shown(slide)
    assert '<svg class="course-figure" viewBox="0 0 9 4" role="img" aria-label="Figure: Look: γ">' in html
    assert 'class="step fragment" data-fragment-index="1" data-step="4" id="a"' in html
    assert 'class="line step fragment" data-fragment-index="0"' in html
    assert html.count('data-fragment-index="1"') == 2
    assert "falls" not in html
    assert "xml version" not in html
    assert PICTURE not in html
    assert slide.kind == "figure"


def test_a_picture_and_a_drawing_that_moves():
    moving = new_output(
        "display_data", {"text/html": '<div><svg role="img"/><script>go()</script></div>', "image/png": PICTURE},
        metadata={"moving": True},
    )  # fmt: skip
    picture, moves = cut(
        code("b", outputs=[drawn()]), code("c", outputs=[moving, folded()]),
        c1={"text": "## B"}, c2={"text": "## C"},
    )  # fmt: skip
    assert f'<img alt="Figure: B" src="data:image/png;base64,{PICTURE}">' in shown(picture)
    assert '<figure><div><svg role="img" aria-label="Figure: C"/><script>go()</script></div></figure>' in shown(moves)
    assert "falls" not in shown(moves)


def test_a_question_has_a_scale_and_the_guess_is_remembered():
    scales = (slide_texts.Scale(("0 %", "50 %")), slide_texts.Scale(("less", "more"), choice=True, name="with it"))
    asked, answer, other = cut(
        markdown("## A"), code("b", outputs=[drawn()]), markdown("## C"),
        c1={"text": "## How much?\n\nSo far.\n\n> **Predict.** How *much*?", "scales": scales}, c2={"text": "## Half"},
    )  # fmt: skip
    assert asked.kind == "predict"
    assert asked.label == "Predict"
    assert "<blockquote>\n<p>How <em>much</em>?</p>" in shown(asked)
    assert 'type="range"' in shown(asked)
    assert 'aria-label="Your guess: from 0 % to 50 %"' in shown(asked)
    assert 'aria-label="Your guess of with it: less or more"' in shown(asked)
    assert "<b>B</b><span>more</span>" in shown(asked)
    assert re.findall('data-of="([^"]+)"', answer.guessed) == ["c02-c1-0", "c02-c1-1"]
    assert not asked.guessed
    assert not other.guessed


def test_links_lead_from_deck_to_deck():
    text = "[04 · Why?](04_why.ipynb), [data](../data/README.md), [a page](https://example.org/x), [up](#top)"
    assert deck_words.linked(text) == "[04 · Why?](04.html), data, [a page](https://example.org/x), [up](#top)"


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        (r"$\hat x_i$", "x\u0302<sub>i</sub>"),
        (r"$\tfrac12$ and $\frac{1}{\sqrt{2\pi}}$", "½ and 1/(√(2π))"),
        (r"$$\hat y_{nchw} = \frac{y_{nchw} - \mu_c}{\sigma_c}$$",
         "y\u0302<sub>nchw</sub> = (y<sub>nchw</sub> − μ<sub>c</sub>)/σ<sub>c</sub>"),
        (r"$\overline{x^2} - \mu^2 < 3$", "mean(x<sup>2</sup>) − μ<sup>2</sup> &lt; 3"),
        (r"$\|W\| \approx \text{a layer}$", "‖W‖ ≈ a layer"),
        ("`x` costs 3", "`x` costs 3"),
    ],
)  # fmt: skip
def test_formulas_that_nothing_typesets_are_text(tex, text):
    assert deck_words.readable(tex) == text


@each
def test_no_note_has_a_formula_that_one_cannot_read(path):
    notes = "\n".join(slide.told() for slide in slides.deck_of(path, quiz.read(ROOT)).slides)
    assert not re.findall(r"\$[^$\n]*\$|\\[A-Za-z]+", re.sub(r"(?s)<code>.*?</code>", "", notes))


# --- the slides with which it ends


def test_exercises_and_verdicts_get_a_slide(course):
    course.write(HEAD.replace("without.", "|x|.") + GAP + FACT)
    course.record()
    course.record("exists", {"sizes": [1, 4]})
    outputs = [
        new_output("display_data", {"text/html": ""}, metadata={"claim": {"slug": slug}})
        for slug in ("slower", "exists")
    ]
    made = deck(
        markdown("## What we found"),
        code("claim(...)", "skip", outputs),
        markdown("## Exercises\n\nWrite."),
        markdown("### Exercise 2.1 · Count\n\n*3 minutes · ★☆☆ easy*\n\nHow many? Think.", "-"),
        markdown("### Exercise 2.2 · Build\n\n*9 minutes · ★★★ hard*\n\nBuild it.\n\n- a", "-"),
        markdown("**Next:** [03](03_what.ipynb)", "-"),
        c5={"text": "Build it well."},
        last={"text": "That is it."},
    )
    _, found, verdict, tasks, last = made.slides
    assert found.heading == "What we found"
    assert verdict.heading == "What is said, and what we found"
    for row in (r"7.1</th><td>It takes longer |x|.</td>", "7.2</th><td>There is one above three.</td>"):
        assert row in shown(verdict)
    assert shown(verdict).count("<span>✔</span> holds") == 2
    assert "7.1: Without, 40 [" in verdict.told()
    assert tasks.kind == "exercises"
    for part in ('<p class="no">2.1</p><h3>Count</h3><p class="time">3 minutes', "<p>How many?</p>", "★★★", "easy",
                 "<p>Build it well.</p>"):  # fmt: skip
        assert part in shown(tasks)
    assert "Think." not in shown(tasks)
    assert (last.kind, last.heading) == ("closing", "That is it.")
    assert '<a href="03.html">03</a>' in last.ahead


@pytest.mark.parametrize(
    ("task", "shown"),
    [
        ("A net. It has 3. How many? Think first.", "A net. It has 3. How many?"),
        ("Build `it`: so. " + "It is long. " * 30, "Build `it`: so. " + "It is long. " * 18),
        ("We need one. Write `it`.\n\n$$x$$", "We need one. Write `it`."),
        ("It is told. " * 30 + "Write `it`. Now.", "Write `it`. Now."),
    ],
)
def test_a_task_in_a_sentence_or_two(task, shown):
    assert deck_ends.task_of(task) == shown.strip()


GUIDE = """# Guide

## 02 · Why?

**The idea.** It is small. And more.

**The clock.** 0 begin · 9 end.

**Ask.** Who?

**Misunderstandings.** *"It is *not* so."* It is. *"Never" means always.* No.

**Quiz.** How many (in all)? (2048.) · And `b`? (Yes: x (a bit).)
"""


@pytest.fixture
def guide(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "lecturers.md").write_text(GUIDE.replace("*not* ", ""), "utf-8")
    return quiz.read(tmp_path)["02"]


def test_the_guide_makes_a_quiz_and_notes(guide):
    first, second, asked = deck(
        markdown("## A"), guide=guide, c1={"text": "## A", "guide": ("misunderstanding 2",)}
    ).slides[:3]
    assert "Somebody will say:</strong> <em>&quot;Never&quot; means always.</em> No." in second.told()
    for text in (
        "<strong>The clock.</strong> 0 begin",
        "<strong>Ask.</strong> Who?",
        "<em>&quot;It is so.&quot;</em> It is.",
    ):
        assert text in first.told()
    assert "Never" not in first.told()
    assert asked.kind == "quiz"
    assert "How many (in all)?</p>" in shown(asked)
    assert '<p class="answer fragment" data-fragment-index="0">2048.</p>' in shown(asked)
    assert '<p class="answer fragment" data-fragment-index="1">Yes: x (a bit).</p>' in shown(asked)


def test_without_a_sentence_of_its_own_a_deck_ends_with_the_guides_idea(guide):
    assert deck(guide=guide).slides[-1].heading == "It is small."


def test_what_the_guide_does_not_have_is_told(guide, tmp_path):
    with pytest.raises(slide_texts.DeckError, match=r"cell c1: misunderstanding 3: docs/lecturers\.md has 2 of them"):
        cut(markdown("## A"), guide=guide, c1={"guide": ("misunderstanding 3",)})
    with pytest.raises(slide_texts.DeckError, match=r"cell c1: ask: docs/lecturers.md has no \*\*Ask"):
        cut(markdown("## A"), c1={"guide": ("ask",)})
    (tmp_path / "docs" / "lecturers.md").write_text("## 02 · Why?\n\n**Quiz.** Really? Yes.", "utf-8")
    with pytest.raises(slide_texts.DeckError, match=r'notebook 02: "Really\? Yes." is not a question'):
        quiz.read(tmp_path)


def test_the_hero_stands_on_the_title_and_a_figure_on_the_last_slide():
    made = deck(code("a", "skip", [drawn(svg=STEPS)]), c1={"hero": True}, last={"text": "So.", "figure": "c1"})
    assert "<svg" in made.hero
    assert "fragment" not in made.hero
    assert "<svg" in made.slides[-1].parts[0]
    with pytest.raises(slide_texts.DeckError, match="cell c1: it has no figure to show on the title"):
        deck(code("a", "skip", [printed("1")]), last={"text": "So.", "figure": "c1"})


@each
def test_every_notebook_is_a_lecture(path):
    notebook = nbformat.read(path, as_version=4)
    made = slides.deck_of(path, quiz.read(ROOT))
    kinds = [slide.kind for slide in made.slides]
    assert len(kinds) in SLIDES_A_LECTURE
    assert kinds[0] == "opening"
    assert kinds[-1] == "closing"
    assert {"predict", "verdicts", "quiz", "exercises"} <= set(kinds)
    assert all(slide.heading for slide in made.slides)
    figures = sum(is_figure(output) for cell in notebook.cells for output in cell.get("outputs", []))
    kept = sum(part.count("<figure>") for slide in made.slides[:-1] for part in slide.parts)
    assert kept >= 0.8 * figures  # the figures are what one comes for
    assert sum(bool(each.remark) for each in slide_texts.read(path, notebook).values()) >= 4
    asked = [slide for slide in made.slides if slide.label == "Predict"]
    assert all(slide.scales for slide in asked), [slide.heading for slide in asked if not slide.scales]


# --- plans


PLAN = """[short]
title = "In short"
[[short.parts]]
notebook = "why"
[short.parts.minutes]
c2 = 1.5
title = 1
[[short.parts]]
pause = "Break"
minutes = 10
"""


@pytest.fixture
def plan_of(tmp_path):
    """Reads a plan from this text."""
    (tmp_path / "lessons").mkdir()

    def read(text, name="short"):
        (tmp_path / "lessons" / "plans.toml").write_text(text, "utf-8")
        return plans.read(tmp_path, name)

    return read


def test_a_plan_puts_slides_of_several_notebooks_by_the_clock(plan_of):
    plan = plan_of(PLAN)
    made = plans.merged(plan, {"why": lambda: deck(markdown("## A"), markdown("## B"))})
    assert plan.seconds == 750
    assert [(slide.kind, slide.heading, slide.seconds) for slide in made.slides] == [
        ("opening", "In short", 1), ("words", "B", 90), ("opening", "Why?", 60), ("pause", "Break", 600),
    ]  # fmt: skip
    assert "<strong>2.5</strong> Break" in made.slides[0].told()
    html = slides.page(made, plan.seconds)
    assert 'data-timing="90"' in html
    assert "const TOTAL = 750;" in html


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PLAN.replace("[short]", "[long]").replace("short.", "long."), 'there is no plan "short"; there are: long'),
        (PLAN.replace('"why"', '"how"'), 'short, part 1: there is no notebook "how"; there are: why'),
        (PLAN.replace("c2", "c9"), 'short, part 1: no slide begins with "c9"; there are: title, c1'),
        (PLAN.replace("minutes = 10", ""), "short, part 2: it needs a notebook or a pause, and its minutes"),
        ("", 'there is no plan "short"; there are: none'),
    ],
)
def test_a_plan_that_means_nothing_is_told(plan_of, text, words):
    with pytest.raises(slide_texts.DeckError, match=re.escape(words)):
        plans.merged(plan_of(text), {"why": lambda: deck(markdown("## A"))})


@pytest.mark.parametrize(
    ("name", "minutes", "count"), [("lecture", 50, range(18, 27)), ("half-day", 240, range(60, 90))]
)
def test_the_plans_of_the_course(name, minutes, count):
    plan, guides = plans.read(ROOT, name), quiz.read(ROOT)
    made = plans.merged(plan, {path.stem[3:]: (lambda path=path: slides.deck_of(path, guides)) for path in NOTEBOOKS})
    assert plan.seconds == 60 * minutes
    assert len(made.slides) in count
    assert len({slide.name for slide in made.slides}) == len(made.slides)


# --- the folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """build/slides of all notebooks."""
    root = tmp_path_factory.mktemp("project")
    for name in ("notebooks", "lessons", "docs"):
        shutil.copytree(ROOT / name, root / name)
    assert slides.main([], root) == 0
    assert slides.main(["--plan", "lecture"], root) == 0
    return root / "build" / "slides"


@needs_assets
def test_the_folder_holds_all_that_its_pages_name(folder):
    names = {f"{path.name[:2]}.html" for path in NOTEBOOKS}
    assert {path.name for path in folder.glob("*.html")} == {"index.html", "lecture.html", *names}
    index = (folder / "index.html").read_text("utf-8")
    assert all(f'href="{name}"' in index for name in (*names, "lecture.html"))
    assert "50 minutes · " in index
    for kind in slides.ASSETS:
        assert (folder / kind / "LICENSE").is_file()
    assert (folder / "fonts" / "OFL.txt").is_file()
    for name in names:
        text = (folder / name).read_text("utf-8")
        for place in ("reveal/dist/reveal.css", "reveal/dist/reveal.js", "reveal/plugin/notes/notes.js",
                      slides.MATHJAX.partition("?")[0]):  # fmt: skip
            assert place in text
            assert (folder / place).is_file()
        assert all((folder / font).is_file() for font in re.findall(r'url\("(fonts/[^"]+)"\)', text))
        assert 'url("fonts/' in text


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
def test_the_speakers_view(browser, folder):
    with deck_browser.Deck(browser, deck_of(folder, "what_does_it_do_to_a_network")) as deck:
        deck.page.evaluate("Reveal.slide(5)")
        notes = deck.page.evaluate("Reveal.getCurrentSlide().querySelector('aside.notes').innerText").strip()
        with deck.context.expect_page() as opened:
            deck.page.keyboard.press("s")
        view = opened.value
        view.wait_for_function("document.querySelector('.speaker-controls-notes .value')?.innerText.trim()")
        said = view.inner_text(".speaker-controls-notes .value")
        assert len(notes) > 80
        assert notes.split()[:12] == said.split()[:12]
        deck.page.keyboard.press("ArrowRight")
        said_no_longer = "said => !document.querySelector('.speaker-controls-notes .value').innerText.includes(said)"
        view.wait_for_function(said_no_longer, arg=said[:60])
        assert deck.asked == []


@pytest.mark.browser
@needs_assets
def test_pointing_at_a_scale(browser, folder):
    """The star goes where one points, the next slide shows it again, and the → key goes on as before."""
    with deck_browser.Deck(browser, deck_of(folder, "what_does_it_do_to_a_network")) as deck:
        page = deck.page
        page.evaluate("Reveal.slide(Reveal.getSlides().findIndex(slide => slide.querySelector('.ruler')))")
        box = page.locator("section.present .ruler input").first.bounding_box()
        page.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2)
        star = page.locator("section.present .ruler .star")
        assert abs(star.bounding_box()["x"] + star.bounding_box()["width"] / 2 - box["x"] - 0.8 * box["width"]) < 12
        page.keyboard.press("ArrowRight")
        page.wait_for_selector("section.present .guessed:not([hidden])")
        assert deck.errors == []


@pytest.mark.browser
@needs_assets
def test_all_slides_at_once(browser, folder):
    with deck_browser.Deck(browser, deck_of(folder, "what_does_it_do_to_a_network")) as deck:
        page = deck.page
        page.keyboard.press("o")
        assert page.locator("dialog.all[open] li > a").count() == page.evaluate("Reveal.getTotalSlides()")
        thumb = page.locator("dialog.all .thumb").nth(3)
        assert thumb.bounding_box()["width"] > 300
        thumb.click()
        assert page.evaluate("Reveal.getIndices().h") == 3
        assert not page.locator("dialog.all[open]").count()
        page.click("[data-key=all]")
        page.keyboard.press("Escape")
        assert not page.locator("dialog.all[open]").count()


@pytest.mark.browser
@needs_assets
def test_upright_a_deck_is_a_page_to_read(browser, folder):
    page = browser.new_context(viewport={"width": 390, "height": 844}, offline=True).new_page()
    page.goto(deck_of(folder, "what_does_it_do_to_a_network").as_uri())
    page.wait_for_selector("body.page")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    hidden = """[...document.querySelectorAll(".slides h2, .slides .body p, .slides .body li")].filter(e =>
        getComputedStyle(e).visibility === "hidden" || !e.getBoundingClientRect().height
        || e.getBoundingClientRect().right > 391).map(e => e.textContent)"""
    assert page.evaluate(hidden) == []
    page.context.close()


@pytest.mark.browser
@needs_assets
def test_on_paper_each_slide_has_a_page_and_its_notes_one(browser, folder):
    page = browser.new_context(offline=True).new_page()
    page.goto(f"{deck_of(folder, 'what_does_it_do_to_a_network').as_uri()}?print-pdf&showNotes=separate-page")
    page.wait_for_function("document.querySelectorAll('.pdf-page').length", timeout=30_000)
    page.wait_for_selector(".speaker-notes-pdf")
    slides, notes = (page.locator(name).count() for name in (".pdf-page", ".speaker-notes-pdf"))
    assert slides == page.evaluate("Reveal.getTotalSlides()")  # not one for every step of a build
    assert 10 < notes <= slides
    page.context.close()


@pytest.mark.browser
@needs_assets
def test_the_speakers_clock_knows_the_plan(browser, folder):
    with deck_browser.Deck(browser, folder / "lecture.html") as deck:
        timings = deck.page.evaluate("Reveal.getSlidesAttributes().map(slide => +slide['data-timing'])")
        assert all(timings)
        assert sum(timings) - 1 == deck.page.evaluate("Reveal.getConfig().totalTime") == 3000


@pytest.mark.browser
@needs_assets
def test_landmarks(browser, folder):
    """One main, inside nothing that takes its meaning away; one h1; no empty header in a table."""
    with deck_browser.Deck(browser, deck_of(folder, "why_does_it_fail_in_eval_mode")) as deck:
        assert deck.page.evaluate("document.querySelectorAll('main, [role=main]').length") == 1
        assert deck.page.evaluate("document.querySelector('main').parentElement.tagName") == "BODY"
        assert deck.page.evaluate("document.querySelectorAll('h1').length") == 1
        assert deck.page.evaluate("[...document.querySelectorAll('th')].filter(e => !e.textContent.trim()).length") == 0


@pytest.mark.browser
@needs_assets
def test_what_the_browser_would_find(browser, folder, tmp_path):
    """Each fault in a deck of its own, so that none of the checks above is one that cannot fail."""
    text = (folder / "00.html").read_text("utf-8")
    first, blank = "<h2", f'<img alt="" src="data:image/png;base64,{PICTURE}">'
    faults = {
        "it asks for": text.replace("</main>", '<img alt="x" src="http://example.org/x.png"></main>'),
        "out of its frame": text.replace(first, f'<div style="width: 1400px; height: 9px"></div>{first}', 1),
        "too small": text.replace(first, f'<p style="font-size: 9px">small</p>{first}', 1),
        "not typeset": text.replace(first, f"<p>$\\sigma^2$</p>{first}", 1).replace("mathjax/", "gone/"),
        "a formula that MathJax cannot read": text.replace(first, f"<p>$\\frac{{1$</p>{first}", 1),
        "a figure without a text": text.replace(first, f"<figure>{blank}</figure>{first}", 1),
        "a drawing in a box": text.replace("</head>", "<style>svg { background: white; }</style></head>"),
        "no heading": text.replace("<h2", "<h4").replace("</h2", "</h4"),
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
