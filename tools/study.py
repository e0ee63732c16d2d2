"""`make study`: makes what is missing of the study, says what is done and what is left; `make study-check` compares.

    python -m tools.study                  everything that is due, two runs at a time (hours)
    python -m tools.study depth order      these questions of the plan alone (`make study ONLY="depth order"`)
    python -m tools.study --list           says what is done and what is left, and makes nothing
    python -m tools.study --check 3        trains the first epoch of three records once more, and compares

Killed at any moment, it goes on the next time: a record is whole or not there.
"""

import argparse
import sys
import time

from study import check, records, schedule
from study.plan import PlanError, load_plan


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help="of study/plan.toml; all of them by default")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (%(default)s)")
    parser.add_argument("--seeds", type=int, help="final runs an arm, instead of the plan's")
    parser.add_argument("--list", action="store_true", help="only say what is done and what is left")
    parser.add_argument("--check", type=int, metavar="N", help="compare the first epoch of N records with a new one")
    options = parser.parse_args(arguments)
    try:
        plan = load_plan()
        if unknown := sorted(set(options.questions) - plan.questions.keys()):
            raise PlanError(f"no question {', '.join(unknown)}; there are: {', '.join(plan.questions)}")
        done = records.read_all()
    except ValueError as error:
        print(f"[study] {error}", file=sys.stderr)
        return 2
    questions = options.questions or list(plan.questions)
    if options.check:
        return compare(plan, done, options.check)
    for question in questions:
        finished, left, seconds = schedule.estimate(plan, [question])
        print(f"[study] {question:<12} {finished:4} done, {left:4} left, about {seconds / 3600:5.1f} h of one core")
    if options.list:
        return 0
    start = time.monotonic()
    find, say = (lambda: schedule.due(plan, questions, options.seeds)), (lambda text: print(text, flush=True))
    failed = schedule.work(find, jobs=options.jobs, say=say)
    print(f"[study] {time.monotonic() - start:.0f} s; {failed} runs failed")
    return 1 if failed else 0


def compare(plan, done, count):
    from utils.data import load

    data, wrong = load(), 0
    for name in check.draw(done, count, seed=int(time.time())):
        if problem := records.fits_plan(done[name], plan):
            wrong += 1
            print(f"[study] {name:<44} {problem}")
            continue
        found = check.again(done[name], plan, data)
        wrong += not found.agrees
        numbers = ", ".join(f"{a:.4g} then, {b:.4g} now" for a, b in zip(found.then, found.now, strict=True))
        print(f"[study] {name:<44} {'agrees' if found.agrees else 'DIFFERS'}: accuracy, norm: {numbers}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("\n[study] stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
