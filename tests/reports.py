"""Reports for tests: made by hand, and drawn with all the text that hostile code can produce."""

from hypothesis import strategies as st

from autograder.report import CheckResult, ExerciseResult, Fault, Report

# Every code point that str can hold: controls, halves of surrogate pairs, both ends of Unicode.
TEXTS = st.text(st.characters(exclude_categories=()), max_size=30)


def check(name, passed=True, points=5.0, visibility="public", text=""):
    statement = f"Statement of {name}."
    return CheckResult(name, visibility, points, passed, statement, text, text, seconds=0.25)


def report(student, *checks, status="graded", faults=(), max_score=10.0):
    """A Report with one exercise, conv2d, of these checks."""
    score = sum(check.points for check in checks if check.passed)
    if checks:
        max_score = sum(check.points for check in checks)
    return Report(
        assignment="02-convolution",
        student=student,
        submission="" if status == "missing" else "0" * 64,
        score=score,
        max_score=max_score,
        exercises=[ExerciseResult("conv2d", score, max_score, list(checks))],
        faults=list(faults),
        isolation={"name": "namespaces"} if status == "graded" else {},
        versions={},
        seed=7,
        seconds=1.5,
    )


def graded(student, score, max_score=100.0):
    checks = [check("right", True, score), check("wrong", False, max_score - score)]
    return report(student, *checks)


def missing(student, max_score=100.0):
    fault = Fault("notebook", "", "No notebook was handed in.")
    return report(student, status="missing", faults=[fault], max_score=max_score)


def failed(student, max_score=100.0):
    fault = Fault("crash", "", "Not graded: the grader failed twice.")
    return report(student, status="failed", faults=[fault], max_score=max_score)


@st.composite
def reports(draw, statuses=("graded", "missing", "failed")):
    """Any Report: its texts are what a student's code may have said."""
    points = st.sampled_from([0.5, 1.0, 2.0, 4.0])
    status = draw(st.sampled_from(statuses))
    exercises = []
    for name in draw(st.lists(st.sampled_from("abcd"), unique=True, max_size=3)):
        names = draw(st.lists(st.sampled_from("uvwxyz"), unique=True, max_size=3))
        checks = [
            CheckResult(
                name=each,
                visibility=draw(st.sampled_from(["public", "hidden"])),
                points=draw(points),
                passed=status == "graded" and draw(st.booleans()),
                statement=draw(TEXTS),
                message=draw(TEXTS),
                counterexample=draw(TEXTS),
                seconds=draw(st.floats(0, 1e6)),
            )
            for each in names
        ]
        earned = sum(check.points for check in checks if check.passed)
        exercises.append(ExerciseResult(name, earned, sum(c.points for c in checks), checks))
    faults = st.builds(Fault, st.sampled_from(["crash", "timeout"]), TEXTS, TEXTS)
    drawn = report(draw(TEXTS), status=status, faults=draw(st.lists(faults, max_size=3)))
    drawn.exercises = exercises
    drawn.score = sum(exercise.score for exercise in exercises)
    drawn.max_score = sum(exercise.max_score for exercise in exercises)
    return drawn
