"""The probes, a module a subject, in the order in which they are asked."""

from normdoctor.probe import Probe
from normdoctor.probes.affine import AFFINE_PROBES
from normdoctor.probes.construction import CONSTRUCTION
from normdoctor.probes.convolution import CONVOLUTION
from normdoctor.probes.copies import COPIES
from normdoctor.probes.digits import DIGITS
from normdoctor.probes.evaluation import EVALUATION_PROBES
from normdoctor.probes.forward import FORWARD
from normdoctor.probes.hard import HARD
from normdoctor.probes.inputs import INPUTS
from normdoctor.probes.modes import MODES
from normdoctor.probes.remembering import REMEMBERING
from normdoctor.probes.shapes import SHAPES
from normdoctor.probes.state import STATE
from normdoctor.probes.tooling import TOOLING

__all__ = ["PROBES"]

PROBES: tuple[Probe, ...] = (
    *FORWARD, *REMEMBERING, *EVALUATION_PROBES, *HARD, *AFFINE_PROBES, *DIGITS, *MODES, *STATE, *COPIES, *CONSTRUCTION,
    *INPUTS, *SHAPES, *TOOLING, *CONVOLUTION,
)  # fmt: skip
