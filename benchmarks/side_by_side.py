"""What the benchmarks of the library share: contestants timed in turns, and the table of ratios."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

import torch
from rich.console import Console
from rich.table import Table


def devices() -> list[torch.device]:
    """The CPU, with one thread, and the GPU where there is one."""
    torch.set_num_threads(1)
    names = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    return [torch.device(name) for name in names]


def side_by_side(
    title: str,
    contestants: Mapping[str, Callable[[], object]],
    device: torch.device,
    steps: int,
    rounds: int = 15,
) -> None:
    """Prints how long each takes for a step, and how many times the first one's time that is.

    A contestant is called once a round for `steps` steps. All take part in every round, so that a
    machine that is busy for a while slows all of them; the ratio is the median over the rounds. On
    the CPU it is processor time that counts, of which a single thread is not robbed by others.
    """
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for contestant in contestants.values():  # warm up
        contestant()
    for _ in range(rounds):
        for name, contestant in contestants.items():
            _wait(device)
            started = clock()
            contestant()
            _wait(device)
            seconds[name].append(clock() - started)
    first = next(iter(seconds.values()))
    where = torch.cuda.get_device_name() if device.type == "cuda" else "CPU, one thread"
    table = Table(title=f"{title} ({where})")
    for column in ("", "ms a step", "ratio"):
        table.add_column(column, justify="left" if not column else "right")
    for name, times in seconds.items():
        ratio = median(time / base for time, base in zip(times, first, strict=True))
        table.add_row(name, f"{1000 * median(times) / steps:.2f}", f"{ratio:.2f}")
    Console().print(table)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
