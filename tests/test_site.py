"""What `make site` makes of the notebooks and pages; and in a browser: every page, from its folder, with no network."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_output
from notebook_rules import NOTEBOOKS, ROOT
from site_browser import HEAVIEST, HOME, RESULTS, WIDTHS, OnSite, axe, dead_links

from tools import site, site_board, site_home, site_notebooks
from tools.site_links import PAGES, Links
from tools.site_notebooks import lesson, staged
from utils.claims import board
from utils.symptoms import symptoms
from utils.touch import THINGS, touched

LINKS = Links(ROOT, "OWNER/REPOSITORY")
installed = all(importlib.util.find_spec(name) for name in site.PACKAGES)


def cells_of(source, tags=(), outputs=()):
    """What becomes of a code cell: (type, source) of each."""
    cell = new_code_cell(source, id="c1", metadata={"tags": list(tags)}, outputs=list(outputs))
    return [
        (made.cell_type, made.source) for made in site_notebooks.cells_of(cell, "03", {"batch": "<div>touch</div>"})
    ]


# --- a notebook becomes a page


def test_a_guess_becomes_a_form_and_its_cell_is_gone():
    [(kind, html)] = cells_of("guess = None  # a fraction, for example 0.25")
    assert kind == "markdown"
    assert 'id="guess-03-c1"' in html
    assert 'placeholder="0.25"' in html
    assert "Show me" in html


def test_each_of_several_guesses_has_a_field_of_its_name():
    [(_, html)] = cells_of("guess_mean, guess_std = None, None")
    assert re.findall(r'name="(\w+)"', html) == ["guess_mean", "guess_std"]
    [(_, html)] = cells_of("guess = None  # a rate\nguess_worse = None  # True or False")
    assert re.findall(r"<small>(.+?)</small>", html) == ["a rate", "True or False"]


def test_code_in_front_of_a_guess_stays_with_what_it_prints():
    (code, source), (form, _) = cells_of("print(1)\nguess = None  # a number", outputs=[new_output("stream", text="1")])
    assert (code, source, form) == ("code", "print(1)", "markdown")


@pytest.mark.parametrize("source", ["k = None  # a number", "y = 1 if guess is None else guess", "guess_me = f(None)"])
def test_what_is_no_guess_stays_as_it_is(source):
    assert cells_of(source, ["exercise"] if source.startswith("k") else []) == [("code", source)]


def test_solutions_and_hidden_code_are_folded_and_cards_have_names():
    card = '<div style="border-left: 6px solid #00674F; padding: 4px 16px; margin: 8px 0"><p>…</p></div>'
    output = new_output("display_data", {"text/html": card}, metadata={"claim": {"slug": "a-claim"}})
    cell = new_code_cell("f()", metadata={"tags": ["solution", "hide-input"]}, outputs=[output])
    [made] = site_notebooks.cells_of(cell, "03", {"batch": "<div>touch</div>"})
    assert made.metadata["tags"] == ["hide-cell"]
    assert '<div class="card claim" id="claim-a-claim" style="--tone: #00674F">' in made.outputs[0]["data"]["text/html"]


def test_a_thing_to_touch_stands_where_its_cell_stood():
    assert cells_of('touch("batch")') == [("markdown", "~~~~~{raw} html\n<div>touch</div>\n~~~~~")]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name[:2])
def test_every_notebook_has_what_the_map_needs_and_no_guess_is_left_as_code(path):
    before = nbformat.read(path, as_version=4)
    about, made = staged(path, LINKS, dict.fromkeys(THINGS, "<div>touch</div>"))
    assert about == lesson(path, before)
    assert about.number == path.name[:2]
    assert 0 < about.minutes[0] <= about.minutes[1]
    assert all(need < about.number for need in about.needs)
    code = "\n".join(cell.source for cell in made.cells if cell.cell_type == "code")
    assert not re.search(r"(?m)^\w*guess\w* = None", code)
    text = "\n".join(cell.source for cell in made.cells if cell.cell_type == "markdown")
    assert "](../docs/" not in text
    assert text.count("<div>touch</div>") == sum(bool(touched(cell.source)) for cell in before.cells)
    assert "touch(" not in code


# --- links, pages


def test_links_lead_to_pages_of_the_site_and_else_to_the_repository():
    source = ROOT / "docs" / "lecturers.md"
    assert (
        LINKS.on_site("[02](../notebooks/" + NOTEBOOKS[2].name + "#x)", source)
        == f"[02](notebooks/{NOTEBOOKS[2].name}#x)"
    )
    assert LINKS.on_site("[s](symbols.md)", source) == "[s](symbols.md)"
    assert LINKS.on_site("[s](../docs/symbols.md)", NOTEBOOKS[0]) == "[s](../symbols.md)"
    assert LINKS.on_site("[l](../LICENSE)", source) == "[l](https://github.com/OWNER/REPOSITORY/blob/main/LICENSE)"
    assert LINKS.on_site("[a](https://x.example) f[i](x)", source) == "[a](https://x.example) f[i](x)"


def test_the_pages_named_in_the_list_are_there():
    assert [name for name in PAGES if not (ROOT / name).exists()] == []


def test_the_board_has_every_claim_and_says_what_the_filters_ask_for():
    page, claims = site_board.claims_page(LINKS), board().claims
    assert re.findall(r'<li id="([\w-]+)"', page) == [made.words.slug for made in claims]
    for name in ("kind", "verdict", "scale"):
        offered = set(re.findall(r'<option value="([^"]+)"', page.split(f'name="{name}"')[1].split("</select>")[0]))
        assert set(re.findall(rf'data-{name}="([^"]+)"', page)) <= offered


def test_the_index_of_symptoms_has_every_entry_and_the_paper_leads_to_the_cards():
    assert site_board.symptoms_page().count("<li id=") == len(symptoms())
    paper = site_board.linked_claims((ROOT / "docs" / "ioffe-szegedy-2015.md").read_text("utf-8"))
    assert 'html#claim-higher-learning-rates"' in paper


def test_the_map_draws_an_arc_to_what_is_not_the_one_before():
    lessons = [lesson(path, nbformat.read(path, as_version=4)) for path in NOTEBOOKS]
    arcs = set(re.findall(r'data-from="(\d\d)" data-to="(\d\d)"', site_home.path_map(lessons)))
    assert arcs == {(need, each.number) for each in lessons for need in each.needs if need != each.before}


def test_each_word_of_the_glossary_stands_there_once_in_order():
    text = (ROOT / "docs" / "site" / "glossary.md").read_text("utf-8").partition("```{glossary}\n")[2]
    entries = re.findall(r"(?m)^(\S.*)\n  \S", text)
    heads = [
        entry.lower().removeprefix("the ") for entry in re.findall(r"(?m)(?:^|\n\n)(\S[^\n]*)\n(?:\S[^\n]*\n)*  ", text)
    ]
    assert len(entries) > 25
    assert heads == sorted(heads)


def test_nothing_of_ours_asks_another_host():
    for path in sorted((ROOT / "docs" / "site").rglob("*")):
        if path.suffix in {".css", ".js", ".html"}:
            assert not re.search(r"(?:src|url|import|fetch)\W{1,3}(?:https?:)?//", path.read_text("utf-8")), path.name


def test_actions_are_pinned_by_commit_and_forms_are_yaml():
    for path in sorted((ROOT / ".github").rglob("*.yml")):
        text = path.read_text("utf-8")
        assert isinstance(yaml.safe_load(text), dict), path.name
        used = re.findall(r"uses: (.*)", text)
        assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v[\d.]+", action) for action in used), path.name
    test = (ROOT / ".github" / "workflows" / "test.yml").read_text("utf-8")
    assert {"make test", "make proofs", "make test-handouts"} <= set(re.findall(r"run: (make .*)", test))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)


# --- in a browser

in_a_browser = pytest.mark.browser
SCHEMES = ("light", "dark")


def test_a_folder_that_holds_other_things_is_left_alone(tmp_path, capsys):
    kept = tmp_path / "html" / "blog" / "index.html"
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert site.main(["--to", str(tmp_path / "html")]) == 1
    assert kept.exists()
    assert "name a new or an empty folder" in capsys.readouterr().err


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The site, built once; a folder that BUILT_SITE names is taken as it is."""
    if folder := os.environ.get("BUILT_SITE"):
        return ROOT / folder
    if not installed:
        pytest.skip('Sphinx and its parts: pip install -e ".[site]"')
    folder = tmp_path_factory.mktemp("site") / "site"
    assert site.main(["--to", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def pages(built):
    """The pages of the site; decks have tests of their own."""
    names = sorted(path.relative_to(built).as_posix() for path in built.rglob("*.html"))
    return [name for name in names if not name.startswith(("slides/", "_static/"))]


@pytest.fixture(scope="module")
def seen(browser, built, pages):
    """page → what there is on it, with its weight, what it asked for and what its scripts complained about."""
    found = {}
    for name in pages:
        with OnSite(browser, (built / name).as_uri()) as page:
            page.settle()
            found[name] = page.look() | {"weight": page.weight, "asked": page.asked, "errors": page.errors}
    return found


@in_a_browser
def test_no_page_asks_another_host_complains_or_shows_half(seen):
    for name, look in seen.items():
        assert look["asked"] == [], name
        assert look["errors"] == [], name
        assert look["broken"] == [], name
        assert (look["unnamed"], look["faults"], look["h1"]) == (0, 0, 1), name
        assert look["wide"] <= 0, name


@in_a_browser
def test_no_link_or_anchor_inside_the_site_is_dead(built, seen):
    assert dead_links(built, seen) == []


@in_a_browser
def test_no_page_names_a_folder_of_the_machine_that_built_it(built, pages):
    assert [name for name in pages if str(ROOT) in (built / name).read_text("utf-8")] == []


@in_a_browser
def test_formulas_are_typeset(seen):
    assert sum(look["formulas"] for look in seen.values()) > 100
    assert {name: look["formulas"] for name, look in seen.items() if look["typeset"] < look["formulas"]} == {}


@in_a_browser
def test_pages_are_light(seen):
    heavy = {name: look["weight"] for name, look in seen.items() if look["weight"] > HEAVIEST}
    assert heavy == {}
    assert seen["index.html"]["weight"] <= HOME


@in_a_browser
@pytest.mark.parametrize(
    ("words", "found"),
    [("running mean", "Glossary"), ("Expected more than 1 value per channel", "The index of symptoms")],
)
def test_the_search_finds(browser, built, words, found):
    with OnSite(browser, (built / "index.html").as_uri()) as page:
        page.page.fill(".sidebar-search", words)
        page.page.keyboard.press("Enter")
        page.page.wait_for_selector("#search-results li a", timeout=60_000)
        page.page.wait_for_timeout(1000)
        assert any(found in title for title in page.page.evaluate(RESULTS))
        assert (page.asked, page.errors) == ([], [])


@pytest.fixture
def predicting(browser, built):
    """The page of notebook 03, which has guesses."""
    [path] = (built / "notebooks").glob("03_*.html")
    with OnSite(browser, path.as_uri()) as page:
        yield page.page


HIDDEN = "form => !form.parentElement.querySelector(':scope > form.guess ~ .cell .cell_output').offsetParent"


@in_a_browser
def test_a_guess_hides_what_follows_and_is_remembered(predicting):
    form = predicting.locator("form.guess").first
    name, handle = form.get_attribute("id"), predicting.locator("form.guess").first.element_handle()
    assert handle.evaluate(HIDDEN)
    assert predicting.locator("h2").last.is_visible()
    form.locator("input").focus()
    predicting.keyboard.type("<b>7</b>")
    predicting.keyboard.press("Enter")
    assert not handle.evaluate(HIDDEN)
    assert predicting.locator(f".yours[data-of={name}]").inner_text() == "★ your guess: <b>7</b>"
    predicting.reload()
    assert predicting.locator(f".yours[data-of={name}]").is_visible()
    predicting.locator(f".answer[data-of={name}] .again").click()
    assert predicting.locator(f"#{name}").is_visible()
    predicting.locator(f"#{name} .show").click()
    assert predicting.locator(f".answer[data-of={name}]").inner_text().startswith("Shown without a guess")


@in_a_browser
def test_a_link_to_a_hidden_card_shows_it_and_a_button_shows_all(predicting):
    predicting.goto(predicting.url + "#claim-gradients-neither-vanish-nor-explode")
    predicting.reload()
    assert predicting.locator("#claim-gradients-neither-vanish-nor-explode").is_visible()
    predicting.locator(".show-all").click()
    assert predicting.locator("form.guess:visible").count() == 0


@in_a_browser
def test_without_scripts_and_on_paper_everything_is_shown(browser, built):
    [path] = (built / "notebooks").glob("03_*.html")
    with OnSite(browser, path.as_uri(), java_script_enabled=False) as page:
        assert page.page.locator("form.guess:visible").count() == 0
        assert page.page.locator(".card.claim").first.is_visible()
    with OnSite(browser, path.as_uri()) as page:
        page.page.emulate_media(media="print")
        assert page.page.locator(".card.claim").first.is_visible()
        assert not page.page.locator(".sidebar-drawer").is_visible()


@in_a_browser
def test_the_board_filters_by_menu_by_word_and_by_address(browser, built):
    with OnSite(browser, (built / "claims.html").as_uri() + "?verdict=open") as page:
        shown = page.page.locator(".board > li:visible")
        assert shown.count() == sum(made.verdict == "open" for made in board().claims)
        page.page.select_option("[name=verdict]", "")
        page.page.fill("form.filters [name=text]", "internal covariate shift")
        assert 0 < shown.count() < 10
        assert "internal+covariate+shift" in page.page.url
    with OnSite(browser, (built / "symptoms.html").as_uri()) as page:
        page.page.fill("form.filters [name=text]", "inplace")
        assert page.page.locator(".symptoms > li:visible").count() >= 1


@in_a_browser
@pytest.mark.parametrize("name", ["index.html", "claims.html", "notebooks/02"])
@pytest.mark.parametrize("width", [360, 1366])
def test_the_keyboard_reaches_everything_and_sees_where_it_is(browser, built, pages, name, width):
    name = next(page for page in pages if page.startswith(name))
    with OnSite(browser, (built / name).as_uri(), width=width) as page:
        page.settle()
        wanted = page.page.evaluate(
            "[...document.querySelectorAll('a[href], button, input, select, summary')].filter(e => e.checkVisibility("
            "{visibilityProperty: true}) && e.getBoundingClientRect().width > 1 && e.type !== 'radio').length"
        )
        places = []
        while (place := page.tab()) and len(places) < 3 * wanted:
            places.append((place["tag"], place["place"], place["name"], place["shown"]))
        assert [place for place in places if not place[-1]] == []
        assert len(set(places)) >= 0.9 * wanted


@in_a_browser
def test_on_a_phone_the_keyboard_opens_and_closes_the_menu(browser, built):
    with OnSite(browser, (built / "index.html").as_uri(), width=360) as page:
        page.page.locator("label.nav-overlay-icon").focus()
        page.page.keyboard.press("Enter")
        page.page.wait_for_function("document.querySelector('.sidebar-drawer').getBoundingClientRect().left >= 0")
        assert page.page.locator(".sidebar-search").is_visible()
        page.page.keyboard.press("Escape")
        page.page.wait_for_function("document.querySelector('.sidebar-drawer').getBoundingClientRect().right <= 0")


@in_a_browser
@pytest.mark.parametrize("scheme", SCHEMES)
def test_figures_follow_the_theme_and_its_button(browser, built, scheme):
    [path] = (built / "notebooks").glob("03_*.html")
    with OnSite(browser, path.as_uri(), scheme) as page:
        schemes = "[...document.querySelectorAll('.figure img')].map(e => getComputedStyle(e).colorScheme)"
        assert set(page.page.evaluate(schemes)) == {scheme}
        for _ in range(3):
            page.page.locator(".theme-toggle:visible").first.click()
            theme = page.page.evaluate("document.body.dataset.theme")
            assert set(page.page.evaluate(schemes)) == {scheme if theme == "auto" else theme}


@in_a_browser
def test_axe_finds_nothing_serious(browser, built, pages):
    if (source := axe()) is None:
        pytest.skip("axe-core: pip install axe-playwright-python")
    found = {}
    for name in pages:
        with OnSite(browser, (built / name).as_uri(), "light") as page:
            page.settle()
            page.page.evaluate("document.querySelector('.show-all')?.click()")
            found[name] = page.findings(source)
            page.page.emulate_media(color_scheme="dark", reduced_motion="reduce")  # colours change at once
            found[f"{name}, dark"] = page.findings(source, ["color-contrast"])  # nothing else depends on the theme
    assert {name: findings for name, findings in found.items() if findings} == {}


@in_a_browser
def test_screenshots_at_three_widths_for_eyes(browser, built):
    folder = ROOT / "build" / "site-shots"
    shutil.rmtree(folder, ignore_errors=True)
    names = [
        "index.html",
        "claims.html",
        *(path.relative_to(built).as_posix() for path in built.glob("notebooks/03_*.html")),
    ]
    for name in names:
        for called, (width, height) in WIDTHS.items():
            for scheme in SCHEMES:
                with OnSite(browser, (built / name).as_uri(), scheme, width, height) as page:
                    page.settle()
                    assert page.look()["wide"] <= 0, (name, called)
                    target = folder / f"{name.rpartition('/')[2][:-5][:12]}-{called}-{scheme}.png"
                    page.page.screenshot(path=target)
    assert len(list(folder.glob("*.png"))) == 6 * len(names)
