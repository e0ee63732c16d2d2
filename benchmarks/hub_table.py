"""What was measured with a class on JupyterHub: from samples to each student's numbers, and from these to the table."""

import statistics
from collections.abc import Callable, Mapping, Sequence

from benchmarks.hub_usage import Sample, peak, whole

__all__ = ["conditions", "summary", "table"]

Value = Callable[[Mapping], float]


def summary(times: Mapping[str, Mapping[str, float]], samples: Sequence[Sample]) -> dict:
    """Each student's numbers, the hub's and the proxy's, and the memory of everything at its peak. Bytes, seconds.

    A student's memory is that of the moment at which it was largest; everything's peak is a moment of its own.
    """

    def parts(owner: str) -> dict:
        return {
            part: {"uss": usage.uss, "pss": usage.pss, "rss": usage.rss, "cpu_s": samples[-1][owner, part].cpu}
            for (_, part), usage in peak(samples, owner).items()
        }

    students = [{"name": name, **seconds, **parts(name)} for name, seconds in times.items()]
    return {"students": students, **parts(""), "everything": max(map(whole, samples))}


def table(alone: Mapping, together: Mapping) -> str:
    """In Markdown: one student alone; the median of all; the slowest or largest of them."""
    count = len(together["students"])
    header = ("", "one alone", f"{count} at once: median", "slowest, largest")
    rows = [
        *(_student(alone, together, what, value) for what, value in _student_values().items()),
        *(_hub(alone, together, what, value) for what, value in _hub_values().items()),
    ]
    lines = [header, ("---", "--:", "--:", "--:"), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _student_values() -> dict[str, Value]:
    return {
        "from the login to the server's page, s": lambda s: s["server_s"],
        "from there until the kernel answers, s": lambda s: s["kernel_s"],
        "all cells of the notebook, s": lambda s: s["cells_s"],
        "processor time of the server, s": lambda s: s["server"]["cpu_s"],
        "processor time of the kernel, s": lambda s: s["kernel"]["cpu_s"],
        "memory of the server, its own (USS), MB": lambda s: s["server"]["uss"] / 1e6,
        "memory of the kernel, its own (USS), MB": lambda s: s["kernel"]["uss"] / 1e6,
        "of both, their own (USS), MB": lambda s: _both(s, "uss"),
        "of both, with a share of what is shared (PSS), MB": lambda s: _both(s, "pss"),
        "of both, with all of what is shared (RSS), MB": lambda s: _both(s, "rss"),
    }


def _both(student: Mapping, kind: str) -> float:
    return (student["server"][kind] + student["kernel"][kind]) / 1e6


def _hub_values() -> dict[str, Value]:
    return {
        "processor time of hub and proxy, s": lambda r: r["hub"]["cpu_s"] + r["proxy"]["cpu_s"],
        "memory of the hub (RSS), MB": lambda r: r["hub"]["rss"] / 1e6,
        "memory of the proxy (RSS), MB": lambda r: r["proxy"]["rss"] / 1e6,
        "memory of everything at its peak, what is shared once, MB": lambda r: r["everything"] / 1e6,
    }


def _student(alone: Mapping, together: Mapping, what: str, value: Value) -> tuple[str, ...]:
    values = [value(student) for student in together["students"]]
    return what, *map(_number, (value(alone["students"][0]), statistics.median(values), max(values)))


def _hub(alone: Mapping, together: Mapping, what: str, value: Value) -> tuple[str, ...]:
    return what, _number(value(alone)), _number(value(together)), ""


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"


def conditions(result: Mapping) -> list[str]:
    """What one must know to read the table, a line for each."""
    here, alone, together = result["machine"], result["alone"], result["together"]
    return [
        f"{here['processor']}; {here['cores']} cores, {here['memory_gb']} GB of memory; one thread a student",
        ", ".join(f"{name} {version}" for name, version in result["versions"].items()),
        f"notebook {result['notebook'][:2]}; data: {result['data']}; everybody's first login, after a trial pass",
        f"load average before: {alone['load_before']:.2f}, and {together['load_before']:.2f} before the class; "
        f"the simulated browsers took {alone['browsers_cpu_s']:.1f} and {together['browsers_cpu_s']:.1f} s themselves",
    ]
