"""The museum: batch-normalization layers with one fault each, for whoever wants to practise diagnosing.

`EXHIBITS` hangs twenty of them under neutral names; `STOREROOM` has those that the probes are tested with besides;
`PUBLISHED` the combinations of faults that six published from-scratch layers show.
"""

from normdoctor.museum.correct import CorrectBatchNorm
from normdoctor.museum.exhibits import EXHIBITS, Exhibit
from normdoctor.museum.published import PUBLISHED, Published
from normdoctor.museum.storeroom import STOREROOM

__all__ = ["EXHIBITS", "PUBLISHED", "STOREROOM", "CorrectBatchNorm", "Exhibit", "Published"]
