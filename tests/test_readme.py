"""The README says what is there: its commands, its notebooks, its figure, its claims, its links."""

import re

import nbformat
import pytest
from notebook_rules import NOTEBOOKS, ROOT

from tools import claims, figure

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ["README.md", "CONTRIBUTING.md", "data/README.md", "kit/README.md", "study/README.md"]
PAGES += ["docs/benchmarks.md", "docs/claims.md", "docs/ioffe-szegedy-2015.md", "docs/lecturers.md", "docs/symptoms.md"]


def test_the_first_thing_in_it_is_the_two_commands():
    _, first_block = README.split("```sh\n", 1)
    commands = [line.split("#")[0].strip() for line in first_block.split("```")[0].splitlines()]
    assert commands == ["make lab", "make test"]
    assert len(README.split("```sh\n", 1)[0].splitlines()) <= 3


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_it_names_exists(page):
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^|/ )make ([a-z][a-z-]*)", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= targets, f"{page} names targets that the Makefile does not have: {named - targets}"


def test_its_list_of_notebooks_is_complete():
    listed = dict(re.findall(r"^\| \[\d\d\]\(notebooks/(\S+)\) \| (.+?) \|", README, re.MULTILINE))
    titles = {path.name: nbformat.read(path, as_version=4).cells[0].source.splitlines()[0] for path in NOTEBOOKS}
    assert listed == {name: title.split("· ", 1)[1] for name, title in titles.items()}


def test_its_minutes_are_those_of_the_notebooks():
    listed = dict(re.findall(r"^\| \[\d\d\]\(notebooks/(\S+)\) \| .+? \| (\d+ / \d+) \|", README, re.MULTILINE))
    said = re.compile(r"^\*(\d+) minutes to read, (\d+) with the exercises", re.MULTILINE)
    found = {path.name: said.search(nbformat.read(path, as_version=4).cells[0].source) for path in NOTEBOOKS}
    assert listed == {name: f"{match[1]} / {match[2]}" for name, match in found.items()}


@pytest.mark.parametrize("page", PAGES)
def test_its_links_lead_to_files(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    local = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith("https://")]
    missing = [link for link in local if not (ROOT / page).parent.joinpath(link).exists()]
    assert not missing


def test_its_figure_is_the_one_stored_in_notebook_00():
    assert figure.TARGET.read_text("utf-8") == figure.stored_figure(), "run `make notebooks ONLY=00`"


def test_its_figure_has_alternative_text():
    [alt] = re.findall(r"!\[([^\]]*)\]\(docs/signal\.svg\)", README)
    assert len(alt.split()) > 10


@pytest.mark.parametrize("page", ["README.md", "docs/claims.md", "docs/symptoms.md"])
def test_its_claims_are_those_of_the_stored_notebooks(page):
    assert (ROOT / page).read_text(encoding="utf-8") == claims.pages(ROOT)[ROOT / page], "run `python -m tools.claims`"


def test_make_help_lists_every_target_and_the_readme_the_main_ones():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    helped = set(re.findall(r'@echo "make ([a-z-]+)', makefile))
    phony = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())
    assert helped == phony - {"help"}
    assert set(re.findall(r"`make ([a-z-]+)`", README)) >= {
        "bench",
        "claims",
        "notebooks",
        "run",
        "test",
        "lab",
        "lock",
        "lint",
    }


def test_make_notebooks_renews_what_is_made_from_them():
    recipe = re.search(r"(?m)^notebooks:\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"))[1]
    assert re.findall(r"\$\(TOOL\) (\w+)", recipe) == ["run", "figure", "claims"]
