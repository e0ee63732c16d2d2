"""`python -m utils.data`: find the data, fill the cache, and say what is in use."""

from __future__ import annotations

import sys
import warnings

from utils.data import loading
from utils.data.errors import DataError

__all__ = ["main"]


def main() -> int:
    """Find the data, fill the cache, print the line; 0 if that worked, else 1 with a line on stderr."""
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
    try:
        loading.load()
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
