"""Calibration: bounds that follow from what was measured, and a file that says how."""

import importlib
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autograder import calibration
from autograder.calibration import Measurement, calibrate, calibrated, read
from autograder.checks import TOPICS

values = st.lists(st.floats(-100, 100), min_size=20, max_size=40)


def measurement(beyond="above", margin=0.0, measure=lambda reference, seed: float(seed % 7)):
    return Measurement("height", beyond, measure, margin, "a reason")


def listed():
    found = []
    for assignment, topic in TOPICS.items():
        hidden = importlib.import_module(f"autograder.checks.hidden.{topic}")
        for item in getattr(hidden, "MEASUREMENTS", ()):
            found.append(pytest.param(assignment, item, id=f"{assignment}: {item.name}"))
    return found


@given(values=values, margin=st.floats(0, 10))
def test_a_bound_for_large_values_mirrors_that_for_small_ones(values, margin):
    above = calibrated(measurement("above", margin), values)
    below = calibrated(measurement("below", margin), [-value for value in values])
    assert (below.mean, below.worst, below.bound) == (-above.mean, -above.worst, -above.bound)


@given(values=values)
def test_no_value_that_was_measured_is_rejected(values):
    # With n values none is further than (n − 1)/√n deviations from their mean: 5.0 for 27.
    try:
        result = calibrated(measurement(), values)
    except ValueError:
        mean, sd = statistics.fmean(values), statistics.stdev(values)
        assert max(values) > mean + calibration.DEVIATIONS * sd
    else:
        assert max(values) == pytest.approx(result.worst, rel=1e-5)
        assert result.bound >= result.worst - 1e-5 * abs(result.worst)


def test_a_margin_moves_the_bound_by_as_much():
    plain, wide = (calibrated(measurement(margin=margin), [1.0, 2.0, 4.0]) for margin in (0.0, 0.5))
    assert wide.bound == pytest.approx(plain.bound + 0.5, rel=1e-5)


def test_an_outlier_that_the_spread_does_not_explain_is_refused():
    with pytest.raises(ValueError, match="height: 1 lies beyond"):
        calibrated(measurement(), [0.0] * 99 + [1.0])


def test_calibrating_one_assignment_keeps_what_is_known_of_others(tmp_path):
    path = tmp_path / "calibration.json"
    first = calibrate("b", [measurement()], {}, path, seeds=10)
    second = calibrate("a", [measurement("below")], {}, path, seeds=20)
    assert read(path) == {"a": second, "b": first}
    assert second["height"].seeds == 20
    again = calibrate("b", [measurement()], {}, path, seeds=10)
    assert again == first


def test_the_reference_is_measured_on_one_thread(tmp_path):
    before = torch.get_num_threads()
    threads = []

    def measure(reference, seed):
        threads.append(torch.get_num_threads())
        return reference["height"] + seed

    calibrate("a", [measurement(measure=measure)], {"height": 3.0}, tmp_path / "c.json", seeds=2)
    assert threads == [1, 1]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("assignment", "item"), listed())
def test_the_committed_bounds_are_those_of_the_listed_measurements(assignment, item):
    known = read()[assignment][item.name]
    assert (known.beyond, known.margin, known.because) == (item.beyond, item.margin, item.because)
    assert known.seeds == calibration.SEEDS


@pytest.mark.parametrize(("assignment", "item"), listed())
def test_measuring_again_gives_what_was_committed(assignment, item):
    topic = importlib.import_module(f"autograder.checks.hidden.{TOPICS[assignment]}")
    known = read()[assignment][item.name]
    value = item.measure(topic.reference(), 0)
    assert abs(value - known.mean) < calibration.DEVIATIONS * known.sd
