"""A page in headless Chromium, without a network, and what is wrong with it: decks, the site, what can be touched."""

from __future__ import annotations


class Opened:
    """A page in a context of its own, with no network, closed behind its use.

    Args:
        browser: Playwright's.
        address: of the page.
        heeded: the kinds of the console's messages that count as errors.
        options: as `new_context` has them.

    Attributes:
        page, context: Playwright's.
        files: the addresses of the files that it loaded.
        asked: what it asked another host for.
        errors: what its scripts complained about.
    """

    def __init__(self, browser, address: str, heeded=("error",), **options):
        self.files, self.asked, self.errors = [], [], []
        self.context = browser.new_context(offline=True, **options)
        self.context.on("request", self.note)
        self.page = self.context.new_page()
        self.page.set_default_timeout(120_000)  # a machine that tests has other things to do
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda told: self.errors.append(told.text) if told.type in heeded else None)
        self.page.goto(address)

    def note(self, request) -> None:
        if request.url.startswith("file:"):
            self.files.append(request.url)
        elif not request.url.startswith(("data:", "about:", "blob:")):
            self.asked.append(request.url)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.context.close()
