"""How a layer may leave the formula: the options that are tried, the likeliest first, and the cause that each is."""

from dataclasses import dataclass, replace

from normdoctor.backward import RULES
from normdoctor.causes import Cause, cause
from normdoctor.formula import PARTS, Formula

__all__ = ["EVALUATION", "GRADIENT", "TRAINING", "Option"]


@dataclass(frozen=True)
class Option:
    """One way to leave the formula: what is changed in it, and the cause."""

    changes: tuple[tuple[str, str], ...]
    cause: Cause

    def of(self, formula: Formula) -> Formula:
        """The formula with this change."""
        return replace(formula, **dict(self.changes))


TRAINING: list[Option] = []  # seen in the output in training
EVALUATION: list[Option] = []  # in what is remembered, and in evaluation
GRADIENT: list[Option] = []
DERIVED = ("second derivative", "forward derivative")
OF_GRADIENTS = (
    "two calls",
    "gradient in eval",
    "vmap in evaluation",
    "export",
    "affine=False",
    "gradient at eps",
    "channels_last",
    "not contiguous",
    "to(dtype, device)",
    "input changed later",
    "half input",
)
HALF = ("float16", "bfloat16", "autocast", "half input", "float64")


def _option(stage: list[Option], name: str, words: str, *silences: str, **changes: str) -> None:
    if stage is TRAINING:
        silences = (*silences, "track_running_stats=False", *HALF)
    if name.startswith("other"):
        silences = (*silences, "empty batch")
    if "eps" in name:
        silences = (*silences, "constant channel", "wrong eps")
    if "order" in name:
        silences = (*silences, "vmap in evaluation", "NaN")
    if "count" in name:
        silences = (*silences, "few images")
    if "axes" in name or "values" in name or "within" in name or "part of" in name:
        silences = (*silences, "other dimensions", "one channel", "vmap in evaluation")
    known = cause(name, words, *silences)
    stage.append(Option(tuple(changes.items()), replace(known, words=words)))


IN = {"both": "", "training": " in training (evaluation is right)", "evaluation": " in evaluation (training is right)"}


def _in_each_mode(field: str, value: str, name: str, words: str) -> None:
    """Three options: in both modes, in training, in evaluation alone."""
    head, colon, tail = words.partition(":")
    for mode, where in IN.items():
        full = name if mode == "both" else f"{name} in {mode}"
        changes = {field: value, f"{field}_in": mode}
        _option(EVALUATION if mode == "evaluation" else TRAINING, full, f"{head}{where}{colon}{tail}", **changes)


# --- what training computes

_option(
    TRAINING,
    "unbiased normalization",
    "it divides by n - 1: the variance that it normalizes by should be the biased one, of n",
    count="n-1",
)
for _over, _what in {
    "instance": "each image and channel is normalized by itself (instance normalization): average over the batch too",
    "image": "each image is normalized over all its channels (layer normalization): average over all but dimension 1",
    "place": "each place is normalized over the batch only: average over the places too",
    "all": "one mean and variance serve all channels together: keep dimension 1",
    "channels": "it normalizes across the channels: average over all but dimension 1",
    "batch and channels": "it averages over the batch and the channels, place by place: over all but dimension 1",
    "rows": "the last dimension is not averaged over: average over all but dimension 1",
    "columns": "the first dimension after the channels is not averaged over: average over all but dimension 1",
    "all but the last": "the last dimension is taken for the channels: average over all but dimension 1",
    "batch": "statistics are shared by all images of the batch (batch normalization): average within each image",
}.items():
    _option(TRAINING, "wrong axes", _what, over=_over)
for _over in ("halves", "quarters", *PARTS):
    _what = {
        "halves": "each half of the batch is normalized by itself (ghost batches)",
        "quarters": "each quarter of the batch is normalized by itself (ghost batches)",
        "inside": "the first and last place of the last dimension are left out of the statistics",
    }.get(_over, f"all are normalized by a part of the batch ({_over})")
    _option(TRAINING, "part of the batch", f"{_what}: take the whole batch", over=_over)
for _k in (1, 2, 3):
    _option(
        TRAINING,
        "wrong groups",
        f"the channels are divided into groups of {_k}: divide them as the layer says",
        over=f"groups of {_k}",
    )
for _centre, (_name, _what) in {
    "nothing": ("not centred", "the mean is not subtracted: it should be"),
    "median": ("other centre", "it subtracts the median: it should be the mean"),
    "least": ("other centre", "it subtracts the least value: it should be the mean"),
    "first channel": ("another channel's mean", "the first channel's mean is subtracted from all: take each one's own"),
    "next channel": ("another channel's mean", "the mean of the channel before is subtracted: take each one's own"),
    "sum over N": ("wrong mean", "the mean is the sum divided by the number of images: divide by that of values"),
    "mean": ("mean subtracted", "the mean is subtracted: this normalization does not centre"),
}.items():
    _option(TRAINING, _name, _what, centre=_centre)
for _over, _which in {
    "all": "all values together",
    "instance": "each image's channel by itself",
    "place": "the batch only, at each place",
    "image": "each image by itself",
    "channels": "the channels, at each place of each image",
}.items():
    _option(
        TRAINING,
        "mean over other values",
        f"the mean is taken over {_which}, the variance is not: take both over the same values",
        centre_over=_over,
    )
    _option(
        TRAINING,
        "variance over other values",
        f"the variance is taken over {_which}, the mean is not: take both over the same values",
        spread_over=_over,
    )
_option(
    TRAINING,
    "second moment",
    "it divides by the root of E[x²], and does not centre (RMS normalization)",
    spread="second moment",
    centre="nothing",
)
for _spread, (_name, _what) in {
    "second moment": ("second moment", "it divides by the root of E[x²], not of the variance: subtract the mean first"),
    "variance": ("variance for second moment", "it divides by the standard deviation, not by the root of E[x²]"),
    "deviation": ("other spread", "it divides by the mean absolute deviation: it should be the standard deviation"),
    "largest": ("other spread", "it divides by the largest deviation: it should be the standard deviation"),
    "range": ("other spread", "it divides by the range: it should be the standard deviation"),
    "one": ("not scaled", "it does not divide by the standard deviation: it should"),
    "first channel": ("another channel's variance", "the first channel's variance serves all: take each one's own"),
    "next channel": ("another channel's variance", "the variance of the channel before is used: take each one's own"),
    "pooled": ("one variance for all", "one variance, averaged over the channels, serves all: take each one's own"),
    "within images": ("variance within images", "the images' own variances are averaged: take the whole batch's"),
    "within places": ("variance within places", "the places' own variances are averaged: take the whole batch's"),
    "about the centre": ("variance about another centre", "the variance is not taken about the mean: it should be"),
    "about the running mean": ("variance about the running mean", "the variance is taken about the running mean"),
}.items():
    _option(TRAINING, _name, _what, spread=_spread)
for _count, _what in {
    "N-1": "the number of images is taken for n: n is the number of values a channel, images times places",
    "places-1": "the number of places is taken for n: n is the number of values a channel, images times places",
    "unbiased twice": "the variance is made unbiased twice (times n/(n - 1), squared): it should be the biased one",
    "shrunk": "the variance is multiplied by (n - 1)/n: it is biased already",
    "C": "the channels are included in n: n is the number of values a channel",
    "sum": "squares are summed, not averaged: divide by n",
    "N": "the sum of squares is divided by the number of images: divide by that of values",
    "n+1": "the sum of squares is divided by n + 1: divide by n",
    "n-2": "the sum of squares is divided by n - 2: divide by n",
}.items():
    _option(TRAINING, "wrong count", _what, count=_count)
for _root, (_name, _what) in {
    "outside": (
        "eps outside the root",
        "eps is added to the standard deviation: add it to the variance, under the root",
    ),
    "none": ("no eps", "there is no eps: add it to the variance, under the root"),
    "missing": ("no root", "no root is taken, it divides by the variance: divide by its root"),
    "twice": ("eps twice", "eps is added twice: add it once"),
    "inside and outside": ("eps twice", "eps is added to the variance and again to the root of it: add it once"),
    "at least": ("eps as a clamp", "eps is the least that the variance may be: add it instead"),
    "at least outside": (
        "eps as a clamp",
        "eps is the least that the standard deviation may be: add it to the variance",
    ),
    "where zero": ("eps for zero alone", "eps is used only where the variance is 0: add it always"),
    "squared": ("wrong eps", "eps² is added to the variance, not eps"),
    "of epsilon": ("wrong eps", "the root of eps is added to the variance, not eps"),
    "relative": ("wrong eps", "the variance is multiplied by 1 + eps: add eps"),
    "usual": ("eps ignored", "what is added is 1e-5, whatever eps says: use the argument"),
    "thousandth": ("eps ignored", "what is added is 1e-3, whatever eps says: use the argument"),
    "millionth": ("eps ignored", "what is added is 1e-6, whatever eps says: use the argument"),
    "1e-8": ("eps ignored", "what is added is 1e-8, whatever eps says: use the argument"),
    "1e-12": ("eps ignored", "what is added is 1e-12, whatever eps says: use the argument"),
    "negative": ("wrong eps", "eps is subtracted: add it"),
    "fourth": ("root twice", "the root is taken twice: take it once"),
    "multiplied": ("multiplied by the deviation", "it multiplies by the standard deviation: divide by it"),
    "at least 1": ("divisor at least 1", "what it divides by is never below 1: let it be small"),
}.items():
    _in_each_mode("root", _root, _name, _what)
for _form, (_name, _what) in {
    "flipped": ("wrong sign", "x is subtracted from the mean: subtract the mean from x"),
    "added": ("wrong sign", "the mean is added: subtract it"),
    "twice subtracted": ("mean subtracted twice", "the mean is subtracted twice: subtract it once"),
    "not centred": ("not centred", "the mean is not subtracted: it should be"),
    "not divided": ("not scaled", "it does not divide by the standard deviation: it should"),
    "mean not divided": ("mean not divided", "the mean is subtracted after dividing: subtract it first"),
    "eps above": ("eps above the line", "eps is added to what is divided: add it only to the variance"),
    "identity": ("nothing is done", "the input is not normalized at all"),
    "clamped": ("normalized clamped", "the normalized values are clamped: leave them"),
    "twice": ("normalized twice", "it normalizes twice in a row: do it once"),
    "tanh": ("squashed", "the normalized values are passed through tanh: leave them"),
}.items():
    _in_each_mode("form", _form, _name, _what)
for _affine, (_name, _what) in {
    "before": (
        "γ and β before normalizing",
        "γ and β are applied before normalizing, which takes them away again: apply them after it",
    ),
    "before, statistics without": (
        "γ and β before normalizing",
        "γ and β are applied before normalizing, to x but not to the statistics: apply them after it",
    ),
    "swapped": ("β before γ", "β is added before γ multiplies, so that γ scales β too: multiply first"),
    "before dividing": ("β before γ", "β is added before dividing and multiplying: add it at the end"),
    "exchanged": ("γ and β exchanged", "γ and β are exchanged: γ multiplies, β is added"),
    "no γ": ("γ unused", "γ has no effect on the output: multiply by it"),
    "no β": ("β unused", "β has no effect on the output: add it"),
    "none": ("γ and β unused", "γ and β have no effect on the output: apply them"),
    "γ twice": ("γ twice", "γ multiplies twice: multiply once"),
    "γ without sign": ("γ without its sign", "γ loses its sign: it may be negative"),
    "γ at least 0": ("γ without its sign", "a negative γ is taken for 0: it may be negative"),
    "γ divides": ("γ divides", "it divides by γ: multiply"),
    "β subtracted": ("β subtracted", "β is subtracted: add it"),
    "β twice": ("β twice", "β is added twice: add it once"),
    "one more": ("1 + γ", "it multiplies by 1 + γ, though γ begins at 1: multiply by γ, or begin at 0"),
    "first of each": ("one γ and β for all", "the first channel's γ and β serve all channels: one number a channel"),
    "first γ": ("one γ and β for all", "the first channel's γ serves all channels: one number a channel"),
    "first β": ("one γ and β for all", "the first channel's β serves all channels: one number a channel"),
    "mean γ": ("one γ and β for all", "the mean of γ serves all channels: one number a channel"),
    "mean β": ("one γ and β for all", "the mean of β serves all channels: one number a channel"),
    "reversed": ("channels in another order", "γ and β come in another order than the channels"),
    "γ reversed": ("channels in another order", "γ comes in another order than the channels"),
}.items():
    _in_each_mode("affine", _affine, _name, _what)
for _output, (_name, _what) in {
    "ReLU": ("a ReLU follows", "negative outputs come out as 0: normalization has no ReLU"),
    "clamped to 1": ("output clamped", "outputs are clamped to -1 and 1: leave them"),
    "clamped to 6": ("output clamped", "outputs are clamped to -6 and 6: leave them"),
    "tanh": ("squashed", "outputs are passed through tanh: leave them"),
    "skip": ("input added", "the input is added to the output: leave that to the network"),
    "images reversed": ("images in another order", "the images come out in another order"),
    "channels reversed": ("channels in another order", "the channels come out in another order"),
    "absolute": ("output without its sign", "outputs lose their sign"),
}.items():
    _in_each_mode("output", _output, _name, _what)
for _by, _what in {
    "before": "training normalizes by the running statistics, before they are updated: take the batch's",
    "after": "training normalizes by the running statistics, after they are updated: take the batch's",
    "mean": "training subtracts the running mean: take the batch's",
    "variance": "training divides by the running variance: take the batch's",
    "new mean": "training subtracts the running mean, just updated: take the batch's",
    "new variance": "training divides by the running variance, just updated: take the batch's",
    "halfway": "training mixes the batch's statistics with the running ones: take the batch's",
}.items():
    _option(
        TRAINING,
        "training by running statistics",
        _what,
        "repeatable",
        "one value a channel",
        *DERIVED,
        *HALF,
        training_by=_by,
    )

# --- what is remembered, and evaluation

_option(
    EVALUATION,
    "biased running variance",
    "the running variance is biased: to estimate all the data's, remember n/(n - 1) times the batch's",
    remembered_count="n",
)
_option(
    EVALUATION,
    "unbiased running variance",
    "the running variance is unbiased: by this convention it is the batch's own, divided by n",
    remembered_count="n-1",
)
for _count, _what in {
    "N-1": "the running variance takes the number of images for n: n is the number of values a channel",
    "places-1": "the running variance takes the number of places for n: n is the number of values a channel",
    "unbiased twice": "the running variance is made unbiased twice: n/(n - 1) once",
    "shrunk": "the running variance is multiplied by (n - 1)/n: multiply by n/(n - 1)",
    "C": "the running variance includes the channels in n: n is the number of values a channel",
    "sum": "the running variance is a sum of squares: divide by n - 1",
    "N": "the running variance is a sum divided by the number of images: divide by n - 1",
    "n+1": "the running variance divides by n + 1: divide by n - 1",
}.items():
    _option(EVALUATION, "wrong count in the running variance", _what, remembered_count=_count)
_SHARES = {
    "momentum": ("momentum the wrong way round", "momentum weighs the newest batch: by this convention, the past"),
    "past": ("momentum the wrong way round", "momentum weighs the past: the newest batch's weight should be momentum"),
    "all": ("last batch only", "the last batch alone is remembered: keep a running estimate"),
    "none": ("statistics never updated", "the running statistics never change: update them in training"),
    "equal": ("momentum ignored", "every batch weighs the same, a plain average: momentum is ignored"),
    "twice": ("updated twice", "the running statistics are updated twice a batch: update them once"),
    "usual": ("momentum ignored", "the newest batch weighs 0.1, whatever momentum says: use the argument"),
    "nine": ("momentum ignored", "the newest batch weighs 0.9, whatever momentum says: use the argument"),
    "hundredth": ("momentum ignored", "the newest batch weighs 0.01, whatever momentum says: use the argument"),
    "keras": ("momentum ignored", "the newest batch weighs 0.99, whatever momentum says: use the argument"),
    "first": ("first batch only", "the first batch alone is remembered: update in every batch"),
    "late": ("counted too late", "the k-th batch weighs 1/(k + 1): count it before its weight is computed"),
    "half": ("momentum halved", "the newest batch weighs half of momentum: its weight should be momentum"),
    "square": ("momentum squared", "the newest batch weighs momentum²: its weight should be momentum"),
    "waning": ("momentum wanes", "momentum is divided by the number of batches: each weighs momentum"),
    "every second": ("batches left out", "only every second batch is remembered: remember every batch"),
    "first replaces": (
        "first batch replaces",
        "the first batch takes the place of the start: its weight should be momentum",
    ),
    "added": ("past not reduced", "the new is added and the old is not reduced: (1 - momentum) · old + momentum · new"),
    "not weighed": ("new not weighed", "the new is added without its weight: (1 - momentum) · old + momentum · new"),
    "decay": ("new not added", "the old is reduced and the new is not added: (1 - momentum) · old + momentum · new"),
}
for _share, (_name, _what) in _SHARES.items():
    _option(EVALUATION, _name, _what, share=_share)
    _option(EVALUATION, f"{_name}, the mean", f"for the mean (the variance is right), {_what}", share_mean=_share)
    _option(EVALUATION, f"{_name}, the variance", f"for the variance (the mean is right), {_what}", share_spread=_share)
for _value, (_name, _what) in {
    "size": ("absolute running mean", "the running mean is that of absolute values: keep the sign"),
    "negative": ("running mean with the wrong sign", "the running mean has the wrong sign"),
    "all channels": ("one mean for all remembered", "the mean over all channels is remembered for each: each its own"),
    "next channel": ("remembered in another order", "the means are remembered one channel off"),
    "corrected": ("running mean corrected", "the running mean is multiplied by n/(n - 1): only the variance should be"),
    "sum over N": ("wrong running mean", "what is remembered as mean is the sum divided by the number of images"),
}.items():
    _option(EVALUATION, _name, _what, remembered_mean=_value)
for _value, (_name, _what) in {
    "deviation": ("standard deviations averaged", "standard deviations are averaged: average the variance"),
    "second moment": ("second moment remembered", "E[x²] is remembered as the variance: subtract the mean first"),
    "inverse": ("inverses averaged", "inverses of standard deviations are averaged: average the variance"),
    "inverse with epsilon": ("inverses averaged", "inverses of standard deviations are averaged: average the variance"),
    "logarithm": ("logarithms averaged", "logarithms of variances are averaged: average the variance"),
    "largest": ("largest remembered", "the largest variance is remembered: average them"),
    "with epsilon": ("eps remembered", "eps is added to the variance that is remembered: add it when dividing only"),
    "root": ("deviation for variance", "the standard deviation is remembered and used as the variance"),
    "squared": ("variance squared", "the variance is squared before it is remembered"),
    "all channels": ("one variance for all remembered", "the variance over all channels is remembered: each its own"),
    "within images": ("remembered within images", "the average of the images' own variances is remembered"),
    "within places": ("remembered within places", "the average of the places' own variances is remembered"),
    "about the new running mean": (
        "remembered about the running mean",
        "the variance that is remembered is about the running mean: take it about the batch's",
    ),
    "about the running mean": (
        "remembered about the running mean",
        "the variance that is remembered is about the running mean: take it about the batch's",
    ),
    "normalized": ("statistics of the output", "the normalized values' variance is remembered: take the input's"),
}.items():
    _option(EVALUATION, _name, _what, remembered_spread=_value)
for _mean, _spread, _count in (
    ("spread", "mean", "n-1"),
    ("raw spread", "raw mean", "n-1"),
    ("raw spread", "raw mean", "n"),
):
    _option(
        EVALUATION,
        "mean and variance exchanged",
        "mean and variance are exchanged where they are remembered",
        remembered_mean=_mean,
        remembered_spread=_spread,
        remembered_count=_count,
    )
for _both, _what in {"output": "the output, after γ and β", "normalized": "the normalized values"}.items():
    _option(
        EVALUATION,
        "statistics of the output",
        f"the running statistics are those of {_what}: take the input's",
        remembered_mean=_both,
        remembered_spread=_both,
    )
_option(
    EVALUATION,
    "statistics of the scaled input",
    "the running statistics are those of γ x + β: take the input's",
    remembered_mean="scaled input",
    remembered_spread="scaled input",
)
for _over, _what in {
    "first": "of the first image alone",
    "statistics": "that are used, as they are",
}.items():
    _option(
        EVALUATION,
        "other statistics remembered",
        f"what is remembered are the statistics {_what}",
        remembered_over=_over,
    )
for _over in ("batch", "source"):  # that is no further fault, where others are used
    EVALUATION.append(Option((("remembered_over", _over),), Cause("", "")))
for _start, _what in {
    "0 and 0": "variance 0",
    "1 and 1": "mean 1",
    "1 and 0": "mean 1 and variance 0",
    "0 and ε": "variance ε",
}.items():
    _option(
        EVALUATION,
        "wrong start",
        f"the running statistics begin with {_what}: begin with mean 0 and variance 1",
        start=_start,
    )
_option(
    EVALUATION,
    "updated in evaluation",
    "the running statistics change in evaluation: update them only if self.training",
    "vmap in evaluation",
    "export",
    "eval alone",
    "save and load",
    "deepcopy",
    "registered",
    learns="always",
)
_option(
    EVALUATION,
    "updated in evaluation",
    "the running mean changes in evaluation: update it only if self.training",
    learns="training, and the mean always",
)
for _by, _what in {
    "batch": "evaluation normalizes by the batch's own statistics: take the running ones",
    "mean": "evaluation divides by the batch's own variance: take the running one",
    "variance": "evaluation subtracts the batch's own mean: take the running one",
    "halfway": "evaluation mixes the running statistics with the batch's own: take the running ones",
}.items():
    _option(
        EVALUATION,
        "evaluation by the batch",
        _what,
        "vmap in evaluation",
        "export",
        "eval alone",
        "registered",
        "save and load",
        "one channel",
        evaluation_by=_by,
    )
for _by, (_name, _what) in {
    "no mean": ("running mean unused", "evaluation does not subtract the running mean: it should"),
    "no variance": ("running variance unused", "evaluation does not divide by the running deviation: it should"),
    "reversed": ("channels in another order in evaluation", "evaluation takes the means in another order"),
    "shared variance": ("one variance for all in evaluation", "evaluation divides all channels by one variance"),
}.items():
    _option(EVALUATION, _name, _what, evaluation_by=_by)
for _count, _what in {
    "n-1": "evaluation multiplies the running variance by n/(n - 1): it is unbiased already",
    "shrunk": "evaluation multiplies the running variance by (n - 1)/n: leave it",
    "N-1": "evaluation multiplies the running variance by N/(N - 1), of N images: leave it",
}.items():
    _option(EVALUATION, "running variance corrected again", _what, "vmap in evaluation", evaluation_count=_count)

# --- gradients

for _how, (_name, _what) in {
    "both detached": (
        "statistics detached",
        "mean and variance are detached (computed under no_grad, or from "
        "x.detach()): the gradient must flow through both",
    ),
    "mean detached": ("mean detached", "the gradient does not flow through the mean: it must"),
    "variance detached": ("variance detached", "the gradient does not flow through the variance: it must"),
}.items():
    _option(GRADIENT, _name, _what, *DERIVED, *OF_GRADIENTS, backward=_how)
for _rule in RULES:
    _words = {
        "dx is zero": "no gradient reaches x: the output is detached from it",
        "dx is dy": "dL/dy is handed on as dL/dx, as if nothing had been done",
        "dx is γ dy": "dL/dx is γ dL/dy, as if x had not been normalized",
        "dγ is zero": "no gradient reaches γ: it is detached",
        "dβ is zero": "no gradient reaches β: it is detached",
        "dy clamped": "the gradient from above is clamped: leave it",
    }.get(_rule, f"the backward pass is wrong ({_rule}): derive it again, or leave it to autograd")
    _option(GRADIENT, f"gradient: {_rule}", _words, *DERIVED, *OF_GRADIENTS, backward=_rule)
