"""CIFAR-10 as tensors: find it, verify it, cache it, batch it; and, with no network, a stand-in that says it is one.

    data = load()                                   # prints one line: what is in use
    for images, labels in data.batches("train"):    # float32 (B, 3, 32, 32), int64 (B,)
        ...

The first of these that is there is used: a cache written earlier; the folder named by the environment variable
CIFAR10_DIR, or `data/`, in torchvision's layout (`cifar-10-batches-py` or the archive it comes in) or as folders of
images (`train/<class>/*`, `test/<class>/*`); a download; the stand-in. `data/README.md` is the long version.

`python -m utils.data` does the same from a terminal, so that the first notebook does not have to wait.
"""

from utils.data.batches import CLASSES, Batches, ImageData, Split
from utils.data.errors import DataError, DataWarning
from utils.data.loading import in_use, load, stand_in

__all__ = ["CLASSES", "Batches", "DataError", "DataWarning", "ImageData", "Split", "in_use", "load", "stand_in"]
