"""The conformance kit: named probes that tell what is wrong with a normalization layer, and where to look.

    report = check_batchnorm(nn.BatchNorm2d)
    report                  # a scoreboard: what is wrong, and which probes it passes
    report.causes           # what is wrong, each with the probes that it explains
    report.details()        # diagnosis, number and tolerance of the probes that it does not pass

In a test, `assert_batchnorm(MyLayer)`; from a shell, with exit status 0 if all is well, 1 if something is wrong, 2 if
the layer could not be tested:

    normdoctor package.module:Layer

What is right is what the definition says (Ioffe & Szegedy 2015, algorithms 1 and 2), computed in float64, with
PyTorch's conventions for the running statistics. A layer may call its parameters and buffers what it likes: only
probes of the profile "drop-in" ask for names. It needs nothing but PyTorch.
"""

from collections.abc import Sequence

from normdoctor.case import FromBnLayer
from normdoctor.causes import CAUSES, Cause
from normdoctor.checking import PROBES, check_batchnorm, check_normalization, from_bnlayer
from normdoctor.probe import PROFILES, Probe
from normdoctor.report import Finding, Report, Result
from normdoctor.testing import assert_batchnorm, assert_normalization, parametrize_with_probes
from normdoctor.version import __version__

__all__ = [
    "CAUSES",
    "PROBES",
    "PROFILES",
    "Cause",
    "Finding",
    "FromBnLayer",
    "Probe",
    "Report",
    "Result",
    "__version__",
    "assert_batchnorm",
    "assert_normalization",
    "check_batchnorm",
    "check_normalization",
    "from_bnlayer",
    "main",
    "parametrize_with_probes",
]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see `normdoctor.command`."""
    from normdoctor.command import main as run  # here, since it imports this package

    return run(arguments)
