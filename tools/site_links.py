"""Where the links of the project's pages lead on the site: to another page of it, or to the file in the repository."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGES", "Links"]

# file of the project → its page on the site
PAGES = {
    "README.md": "index",
    "docs/claims.md": "claims",
    "docs/ioffe-szegedy-2015.md": "paper",
    "docs/symptoms.md": "symptoms",
    "docs/symbols.md": "symbols",
    "docs/lecturers.md": "lecturers",
    "docs/benchmarks.md": "benchmarks",
    "docs/site/glossary.md": "glossary",
    "kit/README.md": "normdoctor",
    "kit/CHANGELOG.md": "normdoctor-changes",
    "kit/census/README.md": "census",
    "study/README.md": "study",
    "data/README.md": "data",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
}
LINK = re.compile(r"(?<=\]\()(?P<to>[^)\s:#]+)(?P<anchor>#[^)\s]*)?(?=\))")


@dataclass(frozen=True)
class Links:
    """The project's folder, and the repository that its files are looked at in.

    Attributes:
        root: the project's folder.
        repository: "owner/name".
        branch: of the repository.
    """

    root: Path
    repository: str
    branch: str = "main"

    def page(self, path):
        """The page that a file of the project becomes; empty if it becomes none."""
        name = path.relative_to(self.root).as_posix()
        if name.startswith("notebooks/") and name.endswith(".ipynb"):
            return name.removesuffix(".ipynb")
        return PAGES.get(name, "")

    def on_site(self, text, source):
        """A Markdown text of the file `source`, its links as they are on that file's page."""
        here = self.page(source)

        def lead(link):
            target = Path(os.path.normpath(source.parent / link["to"]))
            if not (target.exists() and target.is_relative_to(self.root)):
                return link[0]  # an address, or code that looks like a link
            if page := self.page(target):
                ending = ".ipynb" if page.startswith("notebooks/") else ".md"
                return os.path.relpath(f"{page}{ending}", os.path.dirname(here) or ".").replace(os.sep, "/") + (
                    link["anchor"] or ""
                )
            return self.file(target.relative_to(self.root).as_posix(), target.is_dir())

        return LINK.sub(lead, text)

    def file(self, name, folder=False):
        """The address of a file in the repository."""
        return f"https://github.com/{self.repository}/{'tree' if folder else 'blob'}/{self.branch}/{name}"
