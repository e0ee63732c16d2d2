"""What may be wrong with a layer: every cause by name, in one sentence, with what to do.

Some causes are options of the formula (`options`): they are found by fitting, and explain whatever probe the layer
answers exactly as the formula with them does. The others are found by the probe that is made for them; both silence
the probes that fail in consequence.
"""

from normdoctor.cause import CAUSES, Cause, cause

__all__ = ["CAUSES", "HALF", "Cause", "cause"]

EVERYTHING = ("*",)  # whatever else fails
HALF = ("float16", "bfloat16", "autocast", "half input")

# --- what the other probes find; each silences the probes that fail in consequence

cause(
    "graph kept",
    "the graph of a training step is kept: detach what is remembered",
    "gradient in eval",
    "deepcopy",
    "two calls",
    "second derivative",
    "pickle",
    "vmap in evaluation",
    "forward derivative",
    "compile",
    "export",
)
cause(
    "input changed in place",
    "it works in place on the tensor that it was given: make a new one",
    "apart",
    "channels_last",
    "not contiguous",
    "vmap in evaluation",
    "two calls",
    "export",
    "compile",
    "what needs no gradient",
    "gradient of x",
    "gradient of γ",
    "second derivative",
    "forward derivative",
    "large batch",
    "gradient at eps",
    "eps argument",
    "affine=False",
    "input changed later",
)
cause(
    "statistics appear late",
    "the statistics exist only after a training batch: create them in __init__",
    "eval before training",
    "momentum",
    "momentum=None",
    "apart",
    "empty batch",
    "save and load",
    "device and dtype",
    "neutral start",
    "num_batches_tracked",
    "pickle",
    "deepcopy",
    "autocast",
    "half input",
    "bfloat16",
)
cause(
    "mode from gradients",
    "the mode is read from torch.is_grad_enabled(): ask self.training",
    "mode with gradients",
    "training without gradients",
    "gradient in eval",
    "eval before training",
    "eval keeps statistics",
    "num_batches_tracked",
    "what needs no gradient",
    "vmap in evaluation",
    "export",
)
cause(
    "mode from what needs a gradient",
    "the mode is read from what needs a gradient: ask self.training",
    "mode with gradients",
    "what needs no gradient",
    "training without gradients",
    "gradient in eval",
    "forward derivative",
    *HALF,
    "float64",
    "vmap in evaluation",
    "empty batch",
    "one value a channel",
    "other dimensions",
    "eps in evaluation",
)
cause("mode fixed", "train() and eval() do not change its mode: call super().train(mode)")
cause("random", "the output differs each time: something random happens in it", *EVERYTHING)
cause(
    "not registered",
    "plain attributes are not part of a module's state: register_buffer",
    "save and load",
    "to(dtype, device)",
    "deepcopy",
    "autocast",
    "half input",
)
cause(
    "statistics as parameters",
    "running statistics are parameters, which an optimizer moves: register_buffer",
    "state_dict keys",
)
cause(
    "one γ and β for all",
    "one parameter is shared by all channels: make it one number a channel",
    "state_dict shapes",
    "gradient of γ",
    "gradient of β",
    "one channel",
    "second derivative",
)
cause(
    "γ or β cannot learn",
    "γ or β is not a parameter that an optimizer sees: make it an nn.Parameter",
    "state_dict keys",
    "gradient of γ",
    "gradient of β",
    "affine=False",
    "neutral start",
)
cause(
    "digits cancelled",
    "the variance is a difference of two large numbers: subtract the mean first",
    *HALF,
    "constant channel",
)
cause(
    "statistics in few digits",
    "statistics are computed or kept in half precision: take float32",
    *HALF,
)
cause("other dtype out", "the output has another dtype than the input", *HALF)
cause("float64 truncated", "inside, it computes in fewer digits than float64: do not convert what has more")
cause(
    "dtypes mixed",
    "tensors of two dtypes meet: convert to the input's dtype, and back",
    *HALF,
    "to(dtype, device)",
)
cause("shared between layers", "two layers share what they remember: make it in __init__, once a layer", "apart")
cause(
    "order of memory",
    "values are taken in the order of memory: go by dimensions, or reshape",
    "channels_last",
    "not contiguous",
    "large batch",
    "other dimensions",
    "export",
    "vmap in evaluation",
)
cause(
    "values looked at",
    "something in forward looks at a value, which cannot be traced, mapped, or run on meta",
    "vmap in evaluation",
    "to(dtype, device)",
    "compile",
    "export",
)
cause("own device", "something is made on a fixed device", "to(dtype, device)", "device and dtype")
cause("output shares memory", "the output is a view, or is changed by the next call: make a new tensor")
cause("calls mixed up", "something that the backward pass needs is changed by a second call", "two calls")
cause("mode switch changes it", "eval() or train() changes more than the mode", *EVERYTHING)
cause("one tensor for two", "two names are one and the same tensor: give each its own", *EVERYTHING)
cause(
    "not moved",
    "`.to()` and its kin do not move or convert the layer: do not override _apply",
    "float64",
    "float16",
    "bfloat16",
)
cause("cannot be copied", "copy.deepcopy does not work", "pickle", "apart")
cause("cannot be pickled", "pickle does not work")
cause(
    "dtype refused",
    "inputs or layers of a dtype are refused",
    *HALF,
    "float64",
    "to(dtype, device)",
)
cause("dtype changes", "training in float64 makes something float32: keep the layer's dtype")
cause("grows with each batch", "more is kept with each batch: keep only what is needed")
cause("changes with time", "after many batches it behaves differently than at first", "eps in evaluation")
cause("raises an error", "the same error stops many probes")
cause("another normalization", "it is another normalization, and right as such")
for _name, _words in {
    "never counted": "num_batches_tracked never counts: add 1 for each batch in training",
    "counted in evaluation": "num_batches_tracked counts batches of evaluation too",
    "counted twice": "num_batches_tracked counts each batch twice",
    "counted wrongly": "num_batches_tracked does not count the batches of training",
}.items():
    cause(_name, _words, "momentum=None")
for _name, _words in {
    "changed input goes unnoticed": "an input that is changed before the backward pass spoils the gradient in silence",
    "reset forgets something": "reset_running_stats() does not make it as new",
    "few images": "batches of few images are treated otherwise",
    "many images": "many images at once are evaluated differently from few",
    "not differentiable twice": "the second derivative is wrong, or not there",
    "gradient in evaluation": "in evaluation dL/dx is not γ/σ times dL/dy",
    "gradient changed in place": "the backward pass changes the gradient that it was given",
    "NaN hidden": "a NaN in the input does not show in the output",
    "loading changes it": "what was loaded is not what was saved",
    "shows something else": "the options that it shows are not those that were asked for",
    "silent about one value": "one value a channel is taken without a word: raise a ValueError",
    "unclear about one value": "one value a channel gives an unclear error: raise a ValueError",
    "wrong initial γ or β": "a new layer does not begin with γ = 1 and β = 0",
    "constant channel": "a channel without spread should come out as β alone",
    "state grows": "a trained layer's state_dict does not load into a new one",
    "copies differ": "a copy of the layer evaluates differently",
    "affine ignored": "affine=False is ignored",
    "affine=False is wrong": "with affine=False it does not give the normalized values alone",
    "bias ignored": "bias=False is ignored",
    "bias=False is wrong": "with bias=False γ does not multiply, or something is added",
    "track_running_stats ignored": "track_running_stats=False is ignored",
    "track_running_stats=False is wrong": "with track_running_stats=False evaluation does not use batch statistics",
    "negative eps taken": "a negative eps is taken, and gives NaN: raise a ValueError",
    "device or dtype ignored": "not all that it makes has the constructor's device and dtype",
    "shows nothing": "it does not show its number of channels: give it an extra_repr",
    "wrong channels taken": "a wrong number of channels is taken without a word: compare x.shape[1] first",
    "wrong for other dimensions": "inputs of other dimensions give a wrong result without a word: look at x.ndim first",
    "unclear about dimensions": "inputs of other dimensions give an unclear error: look at x.ndim first",
    "one channel": "with one channel it fails: dimensions of size 1 are dropped somewhere",
    "empty batch": "a batch of no images gives an unclear error, or spoils the statistics",
    "no forward mode": "forward-mode differentiation does not work: give the Function a jvp",
    "not mappable": "evaluation cannot be mapped over images with vmap",
    "compiled otherwise": "compiled, it gives something else",
    "unlike PyTorch's": "in a case with which PyTorch tests its own layer it does something else",
    "not exportable": "it cannot be exported, or evaluates differently then",
    "wrong padding": "the padding is not half the kernel",
    "idle bias": "the convolution has a bias that the normalization takes away again",
    "other names": "the state_dict has other names than PyTorch's",
    "other shapes": "the state_dict has other shapes or dtypes than PyTorch's",
}.items():
    cause(_name, _words)
cause("momentum=None", "with momentum=None the k-th batch should weigh 1/k, a plain average of all")
