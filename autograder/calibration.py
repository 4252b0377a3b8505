"""Bounds for what training reaches: measured with the reference, not guessed.

Hidden checks list what they measure in MEASUREMENTS; `gradus calibrate` trains the reference from
many seeds and writes mean, spread and bound into calibration.json, which is reviewed and committed.
The checks then read their bounds there, so that no number in them is a guess.
"""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec
import torch

FILE = Path(__file__).resolve().parent / "checks" / "hidden" / "calibration.json"
SEEDS = 100
# Beyond 3.72 standard deviations a normal distribution has less than 1 in 10,000; that of a
# hundred values is known to 7 % only, and tails may be heavier.
DEVIATIONS = 5.0


@dataclass(frozen=True)
class Measurement:
    """What a right solution reaches: `measure(reference, seed)`, which differs by the seed alone.

    A solution is rejected `beyond` the bound. `margin` is what other right solutions may be worse
    than the reference, in the unit of the measurement, and `because` says why.
    """

    name: str
    beyond: Literal["above", "below"]
    measure: Callable[[Mapping[str, Any], int], float]
    margin: float = 0.0
    because: str = ""


class Calibrated(msgspec.Struct, frozen=True):
    """What was measured, over how many seeds and with what, and the bound that follows."""

    mean: float
    sd: float
    worst: float
    bound: float
    beyond: Literal["above", "below"]
    margin: float
    because: str
    seeds: int
    torch: str
    machine: str


Calibration = dict[str, dict[str, Calibrated]]  # by assignment, then by measurement


def calibrated(item: Measurement, values: Sequence[float]) -> Calibrated:
    """The bound: DEVIATIONS standard deviations and the margin away from the mean of `values`.

    Raises ValueError where one of the values is beyond it: then the spread says too little.
    """
    mean, sd = statistics.fmean(values), statistics.stdev(values)
    sign = 1 if item.beyond == "above" else -1
    worst = max(values, key=lambda value: sign * value)
    bound = mean + sign * (DEVIATIONS * sd + item.margin)
    if sign * worst > sign * bound:
        raise ValueError(f"{item.name}: {worst:g} lies beyond the bound {bound:g}")
    mean, sd, worst, bound = (float(f"{value:.6g}") for value in (mean, sd, worst, bound))
    return Calibrated(
        mean=mean,
        sd=sd,
        worst=worst,
        bound=bound,
        beyond=item.beyond,
        margin=item.margin,
        because=item.because,
        seeds=len(values),
        torch=str(torch.__version__),
        machine=f"{platform.system()} {platform.machine()}",
    )


def calibrate(
    assignment: str,
    measurements: Sequence[Measurement],
    reference: Mapping[str, Any],
    path: Path = FILE,
    seeds: int = SEEDS,
) -> dict[str, Calibrated]:
    """Measures the reference of an assignment and writes what came out in its place in `path`.

    On one thread, as in grading: results differ in the sixth digit between thread counts.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        measured = {
            item.name: calibrated(item, [item.measure(reference, seed) for seed in range(seeds)])
            for item in measurements
        }
    finally:
        torch.set_num_threads(threads)
    known = {**(read(path) if path.exists() else {}), assignment: measured}
    data = msgspec.json.encode(dict(sorted(known.items())))
    path.write_bytes(msgspec.json.format(data, indent=2) + b"\n")
    return measured


def read(path: Path = FILE) -> Calibration:
    """Everything that was measured."""
    return msgspec.json.decode(path.read_bytes(), type=Calibration)


@cache
def _committed() -> Calibration:
    return read()


def bound(assignment: str, name: str) -> float:
    """The bound that a measurement's check applies."""
    return _committed()[assignment][name].bound
