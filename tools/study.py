"""`make study`: makes what is missing of the study, says what is done and what is left; `make study-check` compares.

    python -m tools.study                  everything that is due, two runs at a time (hours)
    python -m tools.study depth order      these questions of the plan alone (`make study ONLY="depth order"`)
    python -m tools.study --list           says what is done, what runs, what is left; renews the pages, trains nothing
    python -m tools.study --tier gpu       the larger plan, study/gpu.toml (`TIER=gpu`)
    python -m tools.study --scheduler tcp://127.0.0.1:8786     shares the runs out over Dask's workers (`SCHEDULER=…`)
    python -m tools.study --records FOLDER     keeps your own there (of other pictures, say); prints what they say
    python -m tools.study --check 3        trains the first epoch of three records once more, and compares; if it can,
                                           of records that were made on this make of processor

Killed at any moment, it goes on the next time: a record is whole or not there. At the end, and with --list, it writes
down what the records say: study/verdicts.json, for the cards of the claims, and the tables in study/README.md.
"""

import argparse
import contextlib
import signal
import sys
import time
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock, Timeout

from study import check, records, schedule, verdicts
from study.plan import PlanError, load_plan
from tools.calling import call
from tools.files import between_markers, write
from utils.data import DataError
from utils.study import STUDY, TIERS, read_all

BEGIN, END = "<!-- answers -->", "<!-- /answers -->"
ARMS = "<!-- arms -->", "<!-- /arms -->"
SUMMARY = "<!-- summary -->", "<!-- /summary -->"


def main(arguments, tiers=TIERS, out=STUDY):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help="of the plan; all of them by default")
    parser.add_argument("--tier", choices=TIERS, default="hours", help="which plan (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time on this machine (%(default)s)")
    parser.add_argument("--scheduler", help="the address of a Dask scheduler, whose workers make the runs")
    parser.add_argument("--seeds", type=int, help="final runs per arm, instead of the plan's number")
    parser.add_argument("--records", type=Path, help="a folder of your own for them; what they say is then printed")
    parser.add_argument("--list", action="store_true", help="only say what is done and what is left")
    parser.add_argument("--check", type=int, metavar="N", help="compare the first epoch of N records with a new one")
    options = parser.parse_args(arguments)
    folder = options.records or tiers[options.tier][1]
    try:
        plan = load_plan(options.tier)
        if unknown := sorted(set(options.questions) - plan.questions.keys()):
            raise PlanError(f"no question {', '.join(unknown)}; there are: {', '.join(plan.questions)}")
        done = records.of_plan(plan, folder)
        if options.check is not None:
            return compare(plan, folder, options.check)
        questions = options.questions or list(plan.questions)
        for name, some in [*((question, [question]) for question in questions), ("together", questions)]:
            finished, left, seconds, unknown = schedule.estimate(plan, some, done, options.seeds)
            times = [f"about {seconds / 3600:.1f} h of one core"] if left > unknown else []
            times += [f"{unknown} of arms of which no run is done yet"] if unknown else []
            print(f"[study] {name:<12} {finished:4} done, {left:4} left{': ' if times else ''}{', and '.join(times)}")
        if options.list and (names := running(folder)):
            print(f"[study] running: {', '.join(names)}")
        failed = 0 if options.list else make(plan, questions, folder, options)
        tell(plan, records.of_plan(plan, folder), None if options.records else out)
    except (OSError, ValueError, DataError) as error:
        print(f"[study] {error}", file=sys.stderr)
        return 2
    return 1 if failed else 0


def make(plan, questions, folder, options):
    """Make what is due; how many runs failed."""
    begun, here = time.monotonic(), contextlib.nullcontext((schedule.start, options.jobs))
    if options.scheduler:
        from study.cluster import sender  # here, for Dask takes a second to import

        here = sender(options.scheduler)
    records.refuse_another_torch(version("torch"), read_all(folder).values())
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=0)
    with alone(lock), here as (begin, jobs):
        failed = schedule.work(
            lambda: schedule.due(plan, questions, records.of_plan(plan, folder), options.seeds),
            folder, jobs, say=lambda text: print(text, flush=True), begin=begin,
        )  # fmt: skip
    print(f"[study] {time.monotonic() - begun:.0f} s; {failed} runs failed")
    return failed


@contextlib.contextmanager
def alone(lock):
    """While nobody else makes the same runs; being told to end is as good as Ctrl-C."""
    try:
        lock.acquire(timeout=1)  # a --list may look at it
    except Timeout as error:
        raise OSError("another `make study` is at work in this folder") from error
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    try:
        yield
    finally:
        lock.release()


def running(folder):
    """The names of the runs that another `make study` is making in this folder."""
    try:
        names = (folder / schedule.RUNNING).read_text("utf-8").split()
        with FileLock(folder / ".lock", timeout=0):
            return []  # nobody is at work: somebody who was killed has left that
    except FileNotFoundError:
        return []
    except Timeout:
        return names


def tell(plan, done, out):
    """Write down what the records of the hours' tier say; others are told on their machine alone."""
    if plan.tier != "hours" or out is None:
        print(verdicts.markdown(plan, verdicts.found(plan, done)))
        return
    known, page = verdicts.found(plan, done), out / "README.md"
    verdicts.store(known, out / "verdicts.json")
    write(between_markers(page, BEGIN, END, verdicts.markdown(plan, known)), page)
    write(between_markers(page, *ARMS, verdicts.arms_table(plan, done)), page)
    write(between_markers(page, *SUMMARY, verdicts.summary(plan, done, known)), page)


def compare(plan, folder, count):
    import torch

    from study.training import pixels_of
    from utils.data import load

    data, done, wrong = load(), read_all(folder), 0
    records.refuse_others(pixels_of(data), folder)
    drawn = check.draw(done, count, seed=int(time.time()))
    if not drawn:
        raise ValueError(f"{folder} has no records to compare with")
    here = sum(map(check.made_here, done.values()))
    print(f"[study] {here} of {len(done)} records are of this make of processor and this torch, {torch.__version__}")
    for name in drawn:
        if problem := records.fits_plan(done[name], plan):
            wrong += 1
            print(f"[study] {name:<44} {problem}")
            continue
        found = check.again(done[name], plan, data)
        wrong += not found.agrees
        print(f"[study] {name:<44} {found.words}", flush=True)
    if records.torches(done.values()) - records.torches([{"torch": torch.__version__}]):
        print(
            f"[study] the records are of torch {', '.join(sorted(records.torches(done.values())))}, and no digit need "
            "come again: study/README.md, “A new torch”, says when to make them anew"
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    call("study", main, "stopped; the same command goes on from here")
