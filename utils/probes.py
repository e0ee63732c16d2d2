"""The door to the conformance kit, so that the notebooks' import stays; `python -m utils.probes` is `normdoctor`."""

import sys

from normdoctor import PROBES, Probe, Report, Result, check_batchnorm, from_bnlayer, main

__all__ = ["PROBES", "Probe", "Report", "Result", "check_batchnorm", "from_bnlayer", "main"]

if __name__ == "__main__":
    sys.exit(main())
