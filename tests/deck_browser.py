"""What is wrong with a deck, found by opening it in headless Chromium as a lecturer does: from its folder, without a
network, slide after slide with one key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from page_browser import Opened

WIDTH, HEIGHT = 1280, 720
SMALLEST, IN_A_FIGURE = 20, 14  # pixels: the smallest type on a slide, and in a picture on it
WORDS = 150  # the most on a slide; on that of the exercises, twice as many
FIGURE_TYPE = 18.9  # pixels: the type of a figure in its own size (17 points at 80 dots an inch, see utils.plots)

# What is out of its frame: every box but things to touch, which scroll (test_touch.py), and those that MathJax builds
# its signs from (they may be larger than the sign), and in a box that wraps no line, the text itself.
LOOK = """([width, height, figureType, smallest, inAFigure]) => {
  const slide = Reveal.getCurrentSlide(), frame = slide.getBoundingClientRect(), out = [], small = [];
  const inner = e => e.closest("aside, .thing header, .touch, .MathJax_Preview, .MJX_Assistive_MathML, script, style");
  const foot = slide.querySelector(".foot").getBoundingClientRect().top, body = slide.querySelector(".body");
  const inFormula = e => e.parentElement.closest(".MathJax, .MathJax_Display");
  for (const e of slide.querySelectorAll("*")) {
    if (inner(e) || inFormula(e) || e.parentElement.closest("figure svg")) continue;  // a drawing clips itself
    const box = e.getBoundingClientRect(), style = getComputedStyle(e);
    if (!box.width || !box.height) continue;
    const name = e.tagName.toLowerCase() + " " + e.textContent.trim().slice(0, 40);
    if (box.right > frame.left + width + 1 || box.bottom > frame.top + height + 1 || box.left < frame.left - 1
        || box.top < frame.top - 1 || (body && body.contains(e) && box.bottom > foot + 2)
        || (style.display === "block" && e.scrollWidth > e.clientWidth + 2)) out.push(name);
    const own = [...e.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    let size = parseFloat(style.fontSize);
    if (e.tagName === "IMG") size = figureType * Math.min(box.width / e.naturalWidth, box.height / e.naturalHeight);
    const least = e.tagName !== "IMG" ? smallest : slide.matches(".closing") ? 0.85 * inAFigure : inAFigure;
    if (e.closest("svg, sup, sub") || e.namespaceURI.endsWith("svg")) continue;  // a drawing's type grows with it
    if ((own || e.tagName === "IMG") && size < least - 0.5) small.push(`${name} ${size.toFixed(1)} px`);
  }
  const text = [...slide.childNodes].filter(n => n.tagName !== "ASIDE").map(n => n.innerText || "").join(" ");
  return {
    index: Reveal.getIndices().h, out, small, text,
    heading: !!slide.querySelector("h2"),
    unnamed: [...slide.querySelectorAll("figure img, figure svg")]
      .filter(e => e.getBoundingClientRect().width && !(e.alt || e.getAttribute("aria-label") || "").trim()).length,
    boxed: [...slide.querySelectorAll("svg")].filter(e => e.closest(".predict")
      && getComputedStyle(e).backgroundColor !== "rgba(0, 0, 0, 0)").length,  // a dark slide, and a light box on it
    figures: slide.querySelectorAll("figure").length, exercises: slide.matches(".exercises"),
    raw: (text.match(/\\$[^$\\n]+\\$|\\\\(frac|mu|sigma|sum)\\b/) || [""])[0],
    faults: slide.querySelectorAll(".MathJax_Error, .merror, .noError").length,
  };
}"""


class Deck(Opened):
    """A deck in a window of the size that decks are drawn for."""

    def __init__(self, browser, path: Path):
        # The console is not heeded: MathJax 2 asks for a font at about:blank, which a file may not.
        super().__init__(browser, path.as_uri(), heeded=(), viewport={"width": WIDTH, "height": HEIGHT})
        self.page.wait_for_function("window.Reveal && Reveal.isReady()", timeout=30_000)

    def slides(self) -> Iterator[dict]:
        """What there is to see on each slide, all its fragments shown, from first to last, by the → key alone."""
        for _ in range(self.page.evaluate("Reveal.getTotalSlides()")):
            for _ in range(self.page.evaluate("Reveal.getCurrentSlide().querySelectorAll('.fragment').length")):
                if self.page.evaluate("Reveal.availableFragments().next"):
                    self.page.keyboard.press("ArrowRight")
            yield self.page.evaluate(LOOK, [WIDTH, HEIGHT, FIGURE_TYPE, SMALLEST, IN_A_FIGURE])
            self.page.keyboard.press("ArrowRight")

    def formulas(self) -> int:
        return self.page.evaluate("window.MathJax && MathJax.Hub ? MathJax.Hub.getAllJax().length : 0")


def problems(browser, path: Path) -> tuple[list[dict], list[str]]:
    """A deck's slides as seen, and what is wrong with them, each with its slide."""
    with Deck(browser, path) as deck:
        seen = list(deck.slides())
        found = [f"it asks for {url}" for url in deck.asked] + [f"an error: {error}" for error in deck.errors]
        if [slide["index"] for slide in seen] != list(range(len(seen))):
            found.append(f"the → key leads through {[slide['index'] for slide in seen]}")
        if not deck.formulas() and any(slide["raw"] for slide in seen):
            found.append("no formula was typeset")
    for number, slide in enumerate(seen, 1):
        found += [f"slide {number}: out of its frame: {what}" for what in slide["out"]]
        found += [f"slide {number}: too small: {what}" for what in slide["small"]]
        found += [f"slide {number}: not typeset: {slide['raw']}"] if slide["raw"] else []
        found += [f"slide {number}: a formula that MathJax cannot read"] if slide["faults"] else []
        found += [f"slide {number}: a figure without a text"] if slide["unnamed"] else []
        found += [f"slide {number}: a drawing in a box of another colour"] if slide["boxed"] else []
        found += [f"slide {number}: {slide['figures']} figures"] if slide["figures"] > 1 else []
        found += [] if slide["heading"] else [f"slide {number}: no heading"]
        most = WORDS * 2 if slide["exercises"] else WORDS
        found += [f"slide {number}: {len(slide['text'].split())} words"] if len(slide["text"].split()) > most else []
    return seen, found
