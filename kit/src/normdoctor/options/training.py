"""What is seen in the output in training; and of what both modes do, what is so in evaluation alone."""

from normdoctor.causes import HALF
from normdoctor.options.option import Option, option
from normdoctor.sharing import PARTS

__all__ = ["DERIVED", "IN_EVALUATION", "TRAINING"]

TRAINING: list[Option] = []
IN_EVALUATION: list[Option] = []  # what may be done in training, too, and is done in evaluation alone
DERIVED = ("second derivative", "forward derivative")
DTYPES = (*HALF, "float64")
IN = {"both": "", "training": " in training (evaluation is right)", "evaluation": " in evaluation (training is right)"}


def _training(name: str, words: str, *silences: str, **changes: str) -> None:
    option(TRAINING, name, words, *silences, "track_running_stats=False", *DTYPES, **changes)


def _in_each_mode(field: str, value: str, name: str, words: str) -> None:
    """Three options: in both modes, in training, in evaluation alone."""
    head, colon, tail = words.partition(":")
    for mode, where in IN.items():
        full = name if mode == "both" else f"{name} in {mode}"
        said, changes = f"{head}{where}{colon}{tail}", {field: value, f"{field}_in": mode}
        if mode == "evaluation":
            option(IN_EVALUATION, full, said, **changes)
        else:
            _training(full, said, **changes)


_training(
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
    _training("wrong axes", _what, over=_over)
for _over in ("halves", "quarters", *PARTS):
    _what = {
        "halves": "each half of the batch is normalized by itself (ghost batches)",
        "quarters": "each quarter of the batch is normalized by itself (ghost batches)",
        "inside": "the first and last place of the last dimension are left out of the statistics",
    }.get(_over, f"all are normalized by a part of the batch ({_over})")
    _training("part of the batch", f"{_what}: take the whole batch", over=_over)
for _k in (1, 2, 3):
    _training(
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
    _training(_name, _what, centre=_centre)
for _over, _which in {
    "all": "all values together",
    "instance": "each image's channel by itself",
    "place": "the batch only, at each place",
    "image": "each image by itself",
    "channels": "the channels, at each place of each image",
}.items():
    _training(
        "mean over other values",
        f"the mean is taken over {_which}, the variance is not: take both over the same values",
        centre_over=_over,
    )
    _training(
        "variance over other values",
        f"the variance is taken over {_which}, the mean is not: take both over the same values",
        spread_over=_over,
    )
_training(
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
    _training(_name, _what, spread=_spread)
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
    _training("wrong count", _what, count=_count)
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
    _training(
        "training by running statistics",
        _what,
        "repeatable",
        "one value a channel",
        *DERIVED,
        *DTYPES,
        training_by=_by,
    )
