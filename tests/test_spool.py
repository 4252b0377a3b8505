"""Reports that lie in a file: whatever the order in which they come, they stand in the class's."""

from hypothesis import given
from hypothesis import strategies as st

from autograder.spool import Spool
from tests.reports import graded, missing

CLASS = [graded(f"student{number}", score=number) for number in range(5)] + [missing("zoë")]


@given(st.permutations(range(len(CLASS))), st.integers(0, len(CLASS)))
def test_the_reports_that_are_done_stand_in_the_submissions_order(order, done):
    spool = Spool()
    for index in order[:done]:
        spool.put(index, CLASS[index])
    expected = [CLASS[index] for index in sorted(order[:done])]
    assert list(spool) == expected
    assert len(spool) == done
    assert [spool[place] for place in range(done)] == expected
    assert spool[1:3] == expected[1:3]
    assert bool(spool) == bool(expected)
