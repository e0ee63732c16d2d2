"""What is wrong with the site, found by opening its pages in headless Chromium from their folder, without a network."""

from __future__ import annotations

import importlib.resources
import importlib.util
from pathlib import Path
from urllib.parse import unquote

from page_browser import Opened

WIDTHS = {"phone": (360, 780), "laptop": (1366, 860), "4K": (3840, 2160)}
HEAVIEST, HOME = 3_000_000, 500_000  # bytes of a page with all that it shows
SERIOUS = ("serious", "critical")

# A page: its anchors, where it leads, its formulas as written and as typeset, whether it is wider than the window.
LOOK = """() => {
  const formulas = [...document.querySelectorAll(".math.notranslate")];
  return {
    ids: [...document.querySelectorAll("[id], a[name]")].map(e => e.id || e.name),
    links: [...document.querySelectorAll("a[href]")].map(e => e.href),
    title: document.title, h1: document.querySelectorAll("h1").length,
    formulas: formulas.length, typeset: formulas.filter(e => e.querySelector(".MathJax")).length,
    faults: document.querySelectorAll(".MathJax_Error, .merror, .noError").length,
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    broken: [...document.images].filter(e => e.complete && !e.naturalWidth).map(e => e.src),
    unnamed: [...document.images].filter(e => !e.hasAttribute("alt")).length,
  };
}"""
# Where the focus is: enough to tell one place from another, and whether one can see it.
FOCUS = """() => {
  let e = document.activeElement;
  while (e && e.shadowRoot && e.shadowRoot.activeElement) e = e.shadowRoot.activeElement;
  if (!e || e === document.body) return null;
  const box = e.getBoundingClientRect(), all = [...document.querySelectorAll("*")];
  const name = (e.getAttribute("aria-label") || e.textContent || e.name || "").trim().slice(0, 40);
  return {tag: e.tagName, name, place: all.indexOf(e), shown: box.width > 0 && box.height > 0 && box.right > 0};
}"""
RESULTS = """() => [...document.querySelectorAll("#search-results li a")].map(e => e.textContent)"""


def axe() -> str | None:
    """The source of axe-core, from the package that brings a copy; None if it is not installed."""
    if importlib.util.find_spec("axe_playwright_python") is None:
        return None
    return importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")


class OnSite(Opened):
    """A page of the site, in a window of this size and a scheme."""

    def __init__(self, browser, address: str, scheme: str = "light", width: int = 1366, height: int = 860, **options):
        super().__init__(browser, address, viewport={"width": width, "height": height}, color_scheme=scheme, **options)

    @property
    def weight(self) -> int:
        """The bytes of all that it loaded."""
        paths = [Path(unquote(file.removeprefix("file://").partition("?")[0])) for file in self.files]
        return sum(path.stat().st_size for path in paths if path.is_file())

    def settle(self) -> None:
        """Wait until formulas are typeset and pictures, also those further down, are there."""
        self.page.evaluate("document.querySelectorAll('img').forEach(e => { e.loading = 'eager'; })")
        self.page.wait_for_function("[...document.images].every(e => e.complete)")
        if self.page.evaluate("!!document.querySelector('.math.notranslate')"):
            self.page.wait_for_function("window.MathJax && MathJax.Hub && MathJax.isReady")
            self.page.evaluate("new Promise(done => MathJax.Hub.Queue(() => done()))")

    def look(self) -> dict:
        return self.page.evaluate(LOOK)

    def findings(self, source: str, rules: list[str] | None = None) -> list[str]:
        """What axe finds that is serious or critical, by these rules or all: rule, how often, the first place."""
        self.page.evaluate(source)
        only = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": RULES}
        options = {"resultTypes": ["violations"], "runOnly": only}
        found = self.page.evaluate("options => axe.run(document, options)", options)
        return [
            f"{each['id']} ({each['impact']}, {len(each['nodes'])}): {each['nodes'][0]['html'][:160]}"
            for each in found["violations"]
            if each["impact"] in SERIOUS
        ]

    def tab(self) -> dict | None:
        """Where the focus is after the next Tab."""
        self.page.keyboard.press("Tab")
        return self.page.evaluate(FOCUS)


RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


def dead_links(site: Path, seen: dict[str, dict]) -> list[str]:
    """Links inside the site that lead nowhere: to no file, or to no anchor of a page that was seen.

    Args:
        site: its folder.
        seen: page → what `OnSite.look` says of it.
    """
    found = []
    for page, look in seen.items():
        for link in sorted(set(look["links"])):
            if not link.startswith("file:"):
                continue
            name, _, anchor = unquote(link.removeprefix("file://")).partition("#")
            path = Path(name.partition("?")[0])
            if not path.is_file() or not path.is_relative_to(site):
                found.append(f"{page}: {link} is not there")
            elif anchor and path.suffix == ".html":
                target = path.relative_to(site).as_posix()
                if target in seen and anchor not in seen[target]["ids"]:
                    found.append(f"{page}: {target} has no #{anchor}")
    return found
