"""`python -m normdoctor package.module:Layer`: what is wrong with a layer, from a shell."""

import sys

from normdoctor import main

__all__ = []

if __name__ == "__main__":
    sys.exit(main())
