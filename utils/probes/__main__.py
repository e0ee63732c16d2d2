"""`python -m utils.probes package.module:Layer`: what is wrong with a layer, from a shell."""

import sys

from utils.probes import main

__all__ = []

if __name__ == "__main__":
    sys.exit(main())
