"""The home page: what the course promises, three doors, and the way through the notebooks, drawn from the notebooks."""

from jinja2 import Environment, FileSystemLoader

from tools.site_board import block, look
from utils.claims import collect
from utils.claims.card import VERDICTS, verdict

__all__ = ["home", "path_map"]

ROW, WIDE, RIGHT = 62, 132, 112  # pixels: a notebook's row, the drawing beside it, where its line runs


def path_map(lessons):
    """The drawing beside the list of notebooks: a line through all of them, and an arc from each to what it needs."""
    place = {each.number: ROW * (row + 0.5) for row, each in enumerate(lessons)}
    arcs = []
    for each in lessons:
        for need in each.needs:
            if need not in place or need == each.before:
                continue
            above, here = place[need], place[each.number]
            reach = RIGHT - 14 - 74 * min(1, ((here - above) / (ROW * 12)) ** 0.6)
            arcs.append(
                f'<path class="arc" data-from="{need}" data-to="{each.number}" d="M{RIGHT} {above:g} '
                f'C{reach:.0f} {above:g},{reach:.0f} {here:g},{RIGHT} {here:g}"/>'
            )
    dots = "".join(
        f'<rect data-at="{key}" x="{RIGHT - 6}" y="{y - 6:g}" width="12" height="12"/>' for key, y in place.items()
    )
    first, last = min(place.values()), max(place.values())
    return (
        f'<svg class="path" viewBox="0 0 {WIDE} {ROW * len(lessons)}" width="{WIDE}" height="{ROW * len(lessons)}"'
        f' aria-hidden="true"><path class="line" d="M{RIGHT} {first:g}V{last:g}"/>{"".join(arcs)}{dots}</svg>'
    )


def verdicts():
    """(name, sign, how many, its class) of each verdict on the board."""
    shown = [verdict(made) for made in collect()]
    return [(name, sign, shown.count(name), look(name)) for name, (sign, _) in VERDICTS.items() if name in shown]


def home(folder, lessons, live):
    """The home page, in Markdown.

    Args:
        folder: where `home.html` is, and `nav.md`, the order of the pages.
        lessons: of all notebooks, in order.
        live: the still in the place of the network that learns on the page.
    """
    hours = sum(each.minutes[1] for each in lessons) / 60
    page = Environment(loader=FileSystemLoader(folder), trim_blocks=True, lstrip_blocks=True).get_template("home.html")
    html = page.render(
        lessons=lessons, map=path_map(lessons), row=ROW, longest=max(each.minutes[1] for each in lessons),
        live=live, hours=round(hours), verdicts=verdicts(),
        claims=sum(count for _, _, count, _ in verdicts()),
    )  # fmt: skip
    notebooks = "\n".join(f"notebooks/{each.name}" for each in lessons)
    order = (folder / "nav.md").read_text("utf-8").replace("NOTEBOOKS", notebooks)
    return f"---\nhide-toc: true\n---\n\n# BatchNorm, layer by layer\n\n{block(html)}\n{order}"
