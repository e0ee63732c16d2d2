"""What is seen in what is remembered, and in evaluation."""

from normdoctor.causes import Cause
from normdoctor.options.option import Option, option
from normdoctor.options.training import IN_EVALUATION

__all__ = ["EVALUATION"]

EVALUATION: list[Option] = [*IN_EVALUATION]
option(
    EVALUATION,
    "biased running variance",
    "the running variance is biased: to estimate all the data's, remember n/(n - 1) times the batch's",
    remembered_count="n",
)
option(
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
    option(EVALUATION, "wrong count in the running variance", _what, remembered_count=_count)
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
    option(EVALUATION, _name, _what, share=_share)
    option(EVALUATION, f"{_name}, the mean", f"for the mean (the variance is right), {_what}", share_mean=_share)
    option(EVALUATION, f"{_name}, the variance", f"for the variance (the mean is right), {_what}", share_spread=_share)
for _value, (_name, _what) in {
    "size": ("absolute running mean", "the running mean is that of absolute values: keep the sign"),
    "negative": ("running mean with the wrong sign", "the running mean has the wrong sign"),
    "all channels": ("one mean for all remembered", "the mean over all channels is remembered for each: each its own"),
    "next channel": ("remembered in another order", "the means are remembered one channel off"),
    "corrected": ("running mean corrected", "the running mean is multiplied by n/(n - 1): only the variance should be"),
    "sum over N": ("wrong running mean", "what is remembered as mean is the sum divided by the number of images"),
}.items():
    option(EVALUATION, _name, _what, remembered_mean=_value)
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
    option(EVALUATION, _name, _what, remembered_spread=_value)
for _mean, _spread, _count in (
    ("spread", "mean", "n-1"),
    ("raw spread", "raw mean", "n-1"),
    ("raw spread", "raw mean", "n"),
):
    option(
        EVALUATION,
        "mean and variance exchanged",
        "mean and variance are exchanged where they are remembered",
        remembered_mean=_mean,
        remembered_spread=_spread,
        remembered_count=_count,
    )
for _both, _what in {"output": "the output, after γ and β", "normalized": "the normalized values"}.items():
    option(
        EVALUATION,
        "statistics of the output",
        f"the running statistics are those of {_what}: take the input's",
        remembered_mean=_both,
        remembered_spread=_both,
    )
option(
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
    option(
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
    option(
        EVALUATION,
        "wrong start",
        f"the running statistics begin with {_what}: begin with mean 0 and variance 1",
        start=_start,
    )
option(
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
option(
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
    option(
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
    option(EVALUATION, _name, _what, evaluation_by=_by)
for _count, _what in {
    "n-1": "evaluation multiplies the running variance by n/(n - 1): it is unbiased already",
    "shrunk": "evaluation multiplies the running variance by (n - 1)/n: leave it",
    "N-1": "evaluation multiplies the running variance by N/(N - 1), of N images: leave it",
}.items():
    option(EVALUATION, "running variance corrected again", _what, "vmap in evaluation", evaluation_count=_count)
