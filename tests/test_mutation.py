"""Generated mutants: what they change, which of them differ, and that none gets by unseen."""

import ast
import re

import pytest
from typer.testing import CliRunner

from autograder import survivors as module
from autograder.assignment import ROOT, Assignment
from autograder.cli import app
from autograder.leaks import leaks
from autograder.mutation import OPERATORS, mutants_of
from autograder.publish import for_students
from autograder.survivors import Explained, Judged, ReviewError, Survey, markdown, reviewed, survey

NAME = "02-convolution"
EXERCISE = "receptive_field"


def changes(source: str, operator: str) -> set[str]:
    """What stands in the outer brackets of the names."""
    found = [m.name for m in mutants_of("f", source).mutants if m.operator == operator]
    return {re.search(r"\[(.* → .*)\]", name)[1] for name in found}


def lines(source: str, operator: str) -> set[str]:
    """The only line of a one-line function's mutants, after its return."""
    found = mutants_of("f", f"def f(a, b, x):\n    return {source}").mutants
    return {m.source.rpartition("return ")[2] for m in found if m.operator == operator}


@pytest.mark.parametrize(
    ("operator", "source", "mutants"),
    [
        ("arithmetic", "a + b", {"a - b"}),
        ("arithmetic", "a // -b", {"a * -b", "-(-a // -b)", "a // b"}),
        ("comparisons", "a < b", {"a <= b", "a >= b"}),
        ("comparisons", "a is None", {"a is not None"}),
        ("conditions", "a and b", {"a or b", "a", "b"}),
        ("conditions", "a if b else x", {"a if not b else x"}),
        ("constants", "x.sum(dim=1)", {"x.sum(dim=2)", "x.sum(dim=0)"}),
        ("constants", "a * 0.5", {"a * 1.0", "a * 0.25"}),
        ("constants", "a(b=True)", {"a(b=False)"}),
        ("terms", "a - b", {"a", "b", "b - a"}),
        ("terms", "[a, b]", {"[b, a]", "[b]", "[a]"}),
        ("arguments", "x.f(a, b)", {"x.f(b)", "x.f(a)", "x.f(b, a)"}),
        ("arguments", "x(a, dim=b)", {"x(a)"}),
        ("arguments", "min(a, b)", {"min(a)", "min(b)"}),
        ("boundaries", "x[a:]", {"x[:]", "x[a + 1:]", "x[a - 1:]"}),
        ("boundaries", "range(a)", {"range(a + 1)", "range(a - 1)"}),
        ("calls", "torch.exp(x).sum()", {"torch.exp(x)", "x.sum()"}),
        ("functions", "x.mean()", {"x.sum()"}),
        ("functions", "torch.zeros(a)", {"torch.ones(a)"}),
    ],
)
def test_an_operator_makes_its_changes_and_no_others(operator, source, mutants):
    assert lines(source, operator) == mutants


def test_names_are_replaced_by_those_beside_them():
    source = "def f(n: int, k: int, x: float):\n    h, w = x.shape\n    return n * h"
    assert changes(source, "names") == {"n → k", "h → w"}


def test_gradients_are_detached_where_some_may_flow():
    source = """def f(x: torch.Tensor, n: int) -> torch.Tensor:
    y = x.exp()
    values, places = y.max(dim=n)
    return torch.where(x == n, values * n, places)
"""
    found = [m.source for m in mutants_of("f", source).mutants if m.operator == "gradients"]
    detached = {line.strip() for text in found for line in text.splitlines() if "detach" in line}
    assert detached == {
        "y = x.detach().exp()",
        "y = x.exp().detach()",
        "values, places = y.detach().max(dim=n)",
        "return torch.where(x == n, values.detach() * n, places)",
        "return torch.where(x == n, values * n, places).detach()",
    }


def test_numbers_alone_have_no_gradients_to_lose():
    source = (
        "def f(x: torch.Tensor) -> tuple[int, float]:\n    return x.sum().item(), x.mean().item()"
    )
    assert changes(source, "gradients") == set()
    steps = "def f(x: torch.Tensor) -> float:\n    (x * x).backward()\n    return x.item()"
    assert changes(steps, "gradients")


def test_statements_are_dropped_and_contexts_too():
    source = "def f(m, x):\n    m.eval()\n    with quiet():\n        x += 1\n    return x"
    assert changes(source, "statements") == {
        "m.eval() → pass",
        "with quiet(): … → pass",
        "with quiet() → if True",
        "x += 1 → pass",
        "return x → pass",
    }


def test_what_nobody_grades_is_not_changed():
    source = '''def f(n: int = 3) -> tuple[int, 1]:
    """Adds 1."""
    if n < 1:
        raise ValueError(f"n is {n + 1}, not 1" + "1")
    return n
'''
    for mutant in mutants_of("f", source).mutants:
        tree = ast.parse(mutant.source)
        assert ast.unparse(tree.body[0].returns) == "tuple[int, 1]"
        if "raise" in mutant.source:
            assert """Error(f'n is {n + 1}, not 1' + '1')""" in mutant.source


def test_equivalent_mutants_are_counted_and_not_judged():
    generation = mutants_of("f", "def f(h):\n    return [h, h] * 2")
    # The two swapped give the same, and without the second it is as without the first.
    assert generation.equivalent == 2
    assert len(generation.mutants) == generation.made - 2


def test_mutants_are_the_same_each_time_and_have_names_of_their_own():
    sources = module.solution_sources(Assignment(NAME))
    for exercise, source in sources.items():
        one, two = mutants_of(exercise, source), mutants_of(exercise, source)
        assert one == two
        names = [mutant.name for mutant in one.mutants]
        assert len(set(names)) == len(names)
        assert not any("\n" in name for name in names)
        numbers = [int(re.match(r"\d+", name)[0]) for name in names]
        assert numbers == sorted(numbers)
    assert {m.operator for s in sources.values() for m in mutants_of("", s).mutants} == set(
        OPERATORS
    )


def test_a_docstring_renames_no_mutant():
    plain = mutants_of("f", "def f(a):\n    return a + 1")
    told = mutants_of("f", 'def f(a):\n    """Adds.\n\n    One."""\n    # so\n    return a + 1')
    assert plain == told
    assert "2: return a [+ → -] 1" in {mutant.name for mutant in plain.mutants}


# --- Judging -------------------------------------------------------------------------------------


@pytest.fixture
def few(monkeypatch):
    """receptive_field with three mutants: one that is caught, one that isn't, one that hangs."""
    known = mutants_of(EXERCISE, module.solution_sources(Assignment(NAME))[EXERCISE])
    caught = next(m for m in known.mutants if m.name.endswith("extent, step = (1, [1 → 2])"))
    same = next(m for m in known.mutants if "extent, step → step, extent" in m.name)
    ends = type(same)(
        EXERCISE, "statements", "ends the process", f"{known.original}\nimport os\nos._exit(1)"
    )
    generation = type(known)(known.original, (caught, same, ends), 4)
    monkeypatch.setattr(module, "mutants_of", lambda *_: generation)
    return caught.name, same.name, ends.name


def test_a_survivor_has_to_be_explained_and_an_explanation_has_to_have_one(few, monkeypatch):
    caught, same, ends = few
    monkeypatch.setattr(module, "reviewed", lambda _: {})
    steps = []
    (found,) = survey(
        Assignment(NAME), [EXERCISE], progress=lambda done, of: steps.append((done, of))
    )
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert found.judged[caught].check
    assert found.judged[ends].lost == "crash"
    assert not found.judged[same].check
    assert found.killed == 2
    assert list(found.problems()) == [f"generated mutant of {EXERCISE} survives: {same}"]

    found.explained = {same: Explained("same", "Both are 1.")}
    assert list(found.problems()) == []
    assert module.row([found]) == ("4", "1", "0", "2", "1", "1", "0", "0", "66.7%", "100.0%")
    found.explained |= {caught: Explained("open", "?"), "9: x": Explained("open", "?")}
    gone, killed = sorted(found.problems(), key=lambda problem: "does not survive" in problem)
    assert gone.endswith("is not made: 9: x")
    assert killed.endswith(f"does not survive: {caught}")
    page = markdown({NAME: [found]})
    assert f"- The same: Both are 1.\n  - `{same}`" in page
    assert f"| `{EXERCISE}` | 4 | 1 | 0 | 2 | 1 | 1 | 0 | 0 | 66.7% | 100.0% |" in page
    found.judged[caught] = Judged("law", "timeout")  # on a faster machine it might survive
    assert list(found.problems()) == [gone]


def test_a_solution_that_fails_its_own_checks_is_no_measure(monkeypatch):
    broken = mutants_of(EXERCISE, "def receptive_field(layers):\n    return 1")
    monkeypatch.setattr(module, "mutants_of", lambda *_: type(broken)(broken.original, (), 0))
    monkeypatch.setattr(module, "reviewed", lambda _: {})
    (found,) = survey(Assignment(NAME), [EXERCISE])
    (problem,) = found.problems()
    assert problem.startswith(f"the solution of {EXERCISE}, judged alone, fails ")


def test_the_command_names_survivors_and_exits_with_1(monkeypatch, tmp_path):
    generation = mutants_of("f", "def f(a):\n    return a + 1")
    judged = {mutant.name: Judged("law") for mutant in generation.mutants}
    judged["2: return a [+ → -] 1"] = Judged("")
    found = Survey("f", generation, judged=judged)
    monkeypatch.setattr(module, "survey", lambda *_, **__: [found])
    page = tmp_path / "page.md"
    done = CliRunner().invoke(app, ["mutants", NAME, "--write", str(page)])
    assert done.exit_code == 1
    assert "✗ generated mutant of f survives: 2: return a [+ → -] 1" in done.output
    assert "Unexplained.\n  - `2: return a [+ → -] 1`" in page.read_text()
    found.judged |= {"2: return a [+ → -] 1": Judged("law", "timeout")}
    assert CliRunner().invoke(app, ["mutants", NAME]).exit_code == 0
    done = CliRunner().invoke(app, ["mutants", NAME, "--exercise", "conv3d"])
    assert done.exit_code == 2
    assert "there is no exercise 'conv3d'" in " ".join(done.output.split())


# --- What has been reviewed ----------------------------------------------------------------------


def test_reasons_are_read_and_no_others(tmp_path):
    path = tmp_path / "survivors.toml"
    path.write_text('[["02-x".f]]\nsame = "Yes."\nmutants = ["1: a", "1: b"]\n')
    assert reviewed("02-x", path) == {"f": {n: Explained("same", "Yes.") for n in ("1: a", "1: b")}}
    assert reviewed("03-y", path) == {}
    path.write_text('[["02-x".f]]\nbecause = "Yes."\nmutants = ["1: a"]\n')
    with pytest.raises(ReviewError, match="says no reason"):
        reviewed("02-x", path)
    path.write_text(2 * '[["02-x".f]]\nopen = "Yes."\nmutants = ["1: a"]\n')
    with pytest.raises(ReviewError, match="explains twice"):
        reviewed("02-x", path)
    path.write_text('mutants = "')
    with pytest.raises(ReviewError, match=r"survivors.toml can't be read: Unterminated"):
        reviewed("02-x", path)


@pytest.mark.parametrize("name", ["02-convolution", "03-lstm", "06-vae", "07-gan"])
def test_every_reason_is_for_a_mutant_that_is_made_and_stands_in_the_documentation(name):
    page = (ROOT / "docs" / "generated-mutants.md").read_text("utf-8")
    sources = module.solution_sources(Assignment(name))
    explained = reviewed(name)
    assert explained.keys() <= sources.keys()
    for exercise, source in sources.items():
        generation = mutants_of(exercise, source)
        known = explained.get(exercise, {})
        assert known.keys() <= {mutant.name for mutant in generation.mutants}
        for mutant, reason in known.items():
            assert f"- `{mutant}`" in page
            assert reason.why in page
        assert f"| `{exercise}` | {generation.made} | {generation.equivalent} |" in page


def test_reasons_are_never_published():
    assert not any("survivors" in name or "mutation" in name for name in for_students())
    mutant = mutants_of("f", module.solution_sources(Assignment(NAME))[EXERCISE]).original
    assert leaks({"gradus/answer.py": mutant.encode()})


@pytest.mark.slow
@pytest.mark.parametrize("exercise", ["conv_output_size", "zero_pad2d"])
def test_all_mutants_of_an_exercise_are_killed_or_explained(exercise):
    (found,) = survey(Assignment(NAME), [exercise])
    assert list(found.problems()) == []
    assert found.killed / len(found.judged) >= 0.98
