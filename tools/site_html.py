"""What Sphinx's hooks do for the site: its colours, links to the glossary, the size of images."""

import re
from pathlib import Path

from docutils import nodes

from utils.plots.style import THEMES

__all__ = ["LIVE", "finish", "link_terms", "literal_examples", "palette"]

LIVE = ("network.js", "drawing.js", "live.js")  # of docs/live, in the order in which they run
IMAGE = re.compile(r'<img (?P<before>[^>]*?)src="(?P<source>[^"]+)"(?P<after>[^>]*?)/?>')
SIZE = re.compile(r'<svg[^>]*? width="(\d+)" height="(\d+)"')
# Words that also mean something else in these texts: they stand in the glossary, and nothing links to them by itself.
ELSEWHERE = {"fold", "freeze", "gain", "probe", "skip", "arm", "card", "channel", "step", "epoch", "batch", "look"}
SECTION = re.compile(r"[A-Z][a-z]+:")
SILENT = (nodes.title, nodes.reference, nodes.literal, nodes.literal_block, nodes.raw, nodes.math, nodes.math_block,
          nodes.term, nodes.definition_list, nodes.header)  # fmt: skip


def palette():
    """The theme's variables on a light ground and on a dark one: those of the figures."""
    names = {
        "color-brand-primary": "with", "color-brand-content": "with", "color-brand-visited": "with",
        "color-foreground-primary": "ink", "color-problematic": "without",
    }  # fmt: skip
    both = [{name: THEMES[key][place] for name, key in names.items()} for place in (0, 1)]
    for ours, (place, colours) in zip(both, enumerate(GROUNDS), strict=True):
        ours |= dict(zip(PLACES, colours, strict=True)) | {f"course-{key}": THEMES[key][place] for key in THEMES}
    return both


PLACES = ("color-background-primary", "color-background-secondary", "color-background-hover", "color-background-border",
          "color-foreground-secondary", "color-foreground-muted", "color-foreground-border")  # fmt: skip
GROUNDS = (
    ("#ffffff", "#f6f5f2", "#ecebe6", "#dddbd4", "#4a4a4a", "#5c5c5c", "#767676"),
    ("#151515", "#1d1d1c", "#292927", "#3a3a38", "#c2c2c2", "#a8a8a8", "#8c8c8c"),
)


def link_terms(app, doctree, docname):
    """Link each word of the glossary where a lesson first uses it."""
    if not docname.startswith(("notebooks/", "paper", "study", "lecturers")):
        return
    objects = app.env.get_domain("std").get_objects()
    terms = {
        name.lower(): anchor for name, _, kind, page, anchor, _ in objects if kind == "term" and page == "glossary"
    }
    terms = {name: anchor for name, anchor in terms.items() if name not in ELSEWHERE}
    if not terms:
        return
    longest_first = "|".join(re.escape(name) for name in sorted(terms, key=len, reverse=True))
    words, linked = re.compile(rf"(?<![\w-])({longest_first})(?:s|es)?(?![\w-])", re.IGNORECASE), set()
    glossary = app.builder.get_relative_uri(docname, "glossary")
    for text in list(doctree.findall(nodes.Text)):
        parent = text.parent
        while parent is not None and not isinstance(parent, SILENT):
            parent = parent.parent
        if parent is not None:
            continue
        parts, left = [], str(text)
        while found := next((hit for hit in words.finditer(left) if terms[hit[1].lower()] not in linked), None):
            anchor = terms[found[1].lower()]
            linked.add(anchor)
            link = nodes.reference("", found[0], refuri=f"{glossary}#{anchor}", internal=True, classes=["in-glossary"])
            parts += [nodes.Text(left[: found.start()]), link]
            left = left[found.end() :]
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(left)])


def literal_examples(_app, _what, _name, _object, _options, lines):
    """An indented block of a docstring is code, as in Markdown, unless it belongs to a section such as `Args:`."""
    inside, before, made = False, "", []
    for line in lines:
        if line[:1].strip():
            inside = bool(SECTION.fullmatch(line))
        indented = line.startswith("    ")
        if indented and not inside and not before.startswith("    "):
            made += ["", "::", ""]
        elif line.strip() and not indented and before.startswith("    ") and not inside:
            made.append("")
        made.append(line)
        before = line if line.strip() or not before.startswith("    ") else before
    lines[:] = made


def finish(app, _page, _template, context, _doctree):
    """Give images their size, so that nothing jumps; add the scripts of what is interactive on a page."""
    body = context.get("body", "")
    context["body"] = IMAGE.sub(lambda image: sized(image, app), body)
    if 'class="live"' in body:
        app.add_css_file("live/live.css")
        for name in LIVE:
            app.add_js_file(f"live/{name}", loading_method="defer")


def sized(image, app):
    """An image with its width and height, and loaded when it is looked at."""
    _, static, name = image["source"].rpartition("_static/")
    path = Path(app.srcdir, "_static", name) if static else _original(app, Path(name).name)
    size = ""
    if path and path.exists() and path.suffix == ".svg" and (found := SIZE.search(path.read_text("utf-8")[:2000])):
        size = f' width="{found[1]}" height="{found[2]}"'
    rest = image["before"] + image["after"]
    rest = re.sub(r' ?\balt="[^"]*"', "", rest) if not re.search(r'alt="[^"]*\s', rest) else rest
    alt = "" if "alt=" in rest else ' alt=""'
    picture = f'<img {rest.strip()} src="{image["source"]}"{alt}{size} loading="lazy">'
    return f'<div class="figure">{picture}</div>' if "_images/" in image["source"] else picture


def _original(app, name):
    """The file that Sphinx will copy under this name."""
    for source, (_, copied) in app.env.images.items():
        if copied == name:
            return Path(app.srcdir, source)
    return None
