"""The download of CIFAR-10: whether the server answers, and the archive from it, checked before it gets its name."""

from __future__ import annotations

import hashlib
import threading
import urllib.request
from pathlib import Path

from utils.data.errors import DataError
from utils.data.torchvision_files import ARCHIVE, checksums
from utils.files import atomic_file, reason
from utils.progress import Bar

__all__ = ["download", "unreachable"]

PROBE_TIMEOUT = 3.0  # seconds; what having no network may cost
READ_TIMEOUT = 30.0  # seconds without a single byte before a download counts as broken off


def unreachable() -> str:
    """Why the server does not answer within seconds, in words; empty if it does.

    In a thread, since looking up a name has no time-out of its own.
    """
    from torchvision.datasets import CIFAR10

    answers: list[str] = []

    def ask() -> None:
        try:
            request = urllib.request.Request(CIFAR10.url, method="HEAD")
            with urllib.request.urlopen(request, timeout=PROBE_TIMEOUT):
                answers.append("")
        except Exception as error:  # urllib, http and ssl each have their own
            answers.append(reason(error))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_TIMEOUT)
    return answers[0] if answers else f"no answer in {PROBE_TIMEOUT:g} s"


def download(data_dir: Path) -> None:
    """Download torchvision's archive into data_dir, under another name until its checksum is right.

    Raises DataError, and leaves nothing behind, if the connection or the disk fails.
    """
    from torchvision.datasets import CIFAR10

    digest = hashlib.md5(usedforsecurity=False)
    try:
        with (
            urllib.request.urlopen(CIFAR10.url, timeout=READ_TIMEOUT) as response,
            atomic_file(data_dir / ARCHIVE) as file,
            Bar(int(response.headers.get("Content-Length") or 0) / 1e6 or None, "downloading CIFAR-10", "MB") as bar,
        ):
            while chunk := response.read(1 << 16):
                file.write(chunk)
                digest.update(chunk)
                bar.update(len(chunk) / 1e6)
            if digest.hexdigest() != checksums()[0]:
                raise DataError(
                    "what arrived is not the archive, or not all of it (its MD5 sum is wrong). Run this again."
                )
    except DataError:
        raise
    except Exception as error:  # urllib, http, ssl and the disk each have their own
        raise DataError(f"it broke off ({reason(error)}). Run this again.") from error
