"""Bytes in, understanding out: what a notebook may have gone through, and what is made of it."""

import contextlib
import copy
import json
import os
import random
from pathlib import Path

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.build import solution_notebook
from autograder.grade import grade
from autograder.submission import MAX_BYTES, UnreadableNotebook, read_file, read_submission

EXERCISES = 10


@pytest.fixture(scope="module")
def solved(convolution) -> dict:
    """The notebook with its solutions, as JSON; the sources in one piece."""
    notebook = json.loads(nbformat.writes(solution_notebook(convolution)))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


@pytest.fixture
def notebook(solved) -> dict:
    return copy.deepcopy(solved)


def read(notebook, assignment):
    data = notebook if isinstance(notebook, bytes) else json.dumps(notebook).encode()
    return read_submission(data, assignment)


def cell_of(notebook: dict, name: str) -> dict:
    (cell,) = (
        c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == name
    )
    return cell


def solution(submission, name: str) -> str:
    return "\n".join(cell.source for cell in submission.cells if cell.name == name)


# Not a notebook.


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b"\x00" * 100, "not JSON"),
        (b"PK\x03\x04 a zip file", "not JSON"),
        (b"<html>Sign in</html>", "not JSON"),
        (b"[]", "no object"),
        (b"3", "no object"),
        (b"null", "no object"),
        (b"{}", "no list of cells"),
        (b'{"cells": {}}', "no list of cells"),
        (b'{"cells": null, "nbformat": 4}', "no list of cells"),
        (b"[" * 100_000, "not JSON"),
        (b'{"cells":' * 50_000, "not JSON"),
        (b'{"cells": [' + b"9" * 10_000 + b"]}", "not JSON"),
        (b'{"nbformat": 3, "worksheets": 3}', "can't be read"),
        (b'{"worksheets": [3, {"cells": 4}, {"cells": [{"cell_type": []}]}]}', "can't be read"),
    ],
)
def test_what_is_no_notebook_gets_no_points_and_one_sentence(data, why, convolution):
    with pytest.raises(UnreadableNotebook, match=why) as caught:
        read(data, convolution)
    assert len(str(caught.value).splitlines()) == 1


def test_a_report_says_so_too(convolution, sandbox):
    report = grade(b"<html>Sign in</html>", convolution, sandbox=sandbox, student="ada")
    assert report.score == 0
    assert report.max_score == 100
    assert report.student == "ada"
    (fault,) = report.faults
    assert fault.kind == "notebook"
    assert fault.message.startswith("The file is not a notebook")
    assert all(not c.passed and c.message for e in report.exercises for c in e.checks)


def test_more_code_than_anybody_writes_is_not_parsed(convolution, notebook):
    notebook["cells"].append({"cell_type": "code", "metadata": {}, "source": "a\n" * 2**19})
    with pytest.raises(UnreadableNotebook, match="code is longer than 512 KiB"):
        read(notebook, convolution)


# A notebook that went through much.


def test_the_solution_is_understood_without_a_word(notebook, convolution):
    submission = read(notebook, convolution)
    assert submission.faults == []
    assert len(submission.found) == EXERCISES


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode().replace(b"\n", b"\r\n"),
        lambda text: b"\n\n  " + text.encode() + b"\n",
    ],
    ids=["a byte-order mark", "Windows lines", "white space"],
)
def test_how_an_editor_saves_text_does_not_matter(encode, notebook, convolution):
    data = encode(json.dumps(notebook, ensure_ascii=False, indent=1))
    assert read(data, convolution).faults == []


def test_latin_1_is_read_and_noted(notebook, convolution):
    cell = cell_of(notebook, "quiz")
    cell["source"] = "# Größe\n" + cell["source"]
    text = json.dumps(notebook, ensure_ascii=False).encode("latin-1", "ignore")
    submission = read(text, convolution)
    assert "Größe" in solution(submission, "quiz")
    assert len(submission.found) == EXERCISES
    (fault,) = submission.faults
    assert "Latin-1" in fault.message


def test_format_3_is_converted_and_noted(notebook, convolution):
    old = nbformat.convert(nbformat.from_dict(notebook), 3)
    submission = read(nbformat.v3.writes_json(old).encode(), convolution)
    assert len(submission.found) == EXERCISES
    assert ["format 3" in fault.message for fault in submission.faults] == [True]


def test_sources_may_be_lists_of_lines(notebook, convolution):
    for cell in notebook["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)
    submission = read(notebook, convolution)
    assert submission.faults == []
    assert "def conv2d" in solution(submission, "conv2d")


def test_outputs_ids_and_counts_do_not_matter(notebook, convolution):
    for cell in notebook["cells"]:
        cell.pop("id")
        cell["outputs"] = cell["execution_count"] = "whatever"
    assert read(notebook, convolution).faults == []


@pytest.mark.parametrize(
    "lose",
    [
        lambda cell: cell["metadata"].clear(),
        lambda cell: cell.pop("metadata"),
        lambda cell: cell.update(metadata=None),
        lambda cell: cell.update(metadata=[1, 2]),
        lambda cell: cell["metadata"].update(nbgrader="x"),
        lambda cell: cell["metadata"]["nbgrader"].update(grade_id=7),
        lambda cell: cell["metadata"]["nbgrader"].update(grade_id="renamed"),
        lambda cell: cell["metadata"]["nbgrader"].update(grade_id=["conv2d"]),
    ],
)
@pytest.mark.parametrize("with_id", [True, False])
def test_a_cell_that_lost_its_metadata_is_found_and_noted(lose, with_id, notebook, convolution):
    cell = cell_of(notebook, "conv2d")
    lose(cell)
    if not with_id:
        cell.pop("id")
    submission = read(notebook, convolution)
    assert len(submission.found) == EXERCISES
    assert "def conv2d" in solution(submission, "conv2d")
    (fault,) = submission.faults
    assert fault.where == "conv2d"
    assert "'conv2d' has lost its nbgrader id" in fault.message


def test_all_metadata_lost_costs_nothing(notebook, convolution):
    for cell in notebook["cells"]:
        cell["metadata"] = {}
        cell.pop("id")
    submission = read(notebook, convolution)
    assert len(submission.found) == EXERCISES
    assert {fault.where for fault in submission.faults} == submission.found
    assert not any("check(" in cell.source for cell in submission.cells)


@pytest.mark.parametrize("version", [1, 2, 4, None, "3", {}])
def test_another_schema_version_does_not_matter(version, notebook, convolution):
    for cell in notebook["cells"]:
        if "nbgrader" in cell["metadata"]:
            cell["metadata"]["nbgrader"]["schema_version"] = version
    submission = read(notebook, convolution)
    assert len(submission.found) == EXERCISES


@pytest.mark.parametrize("points", [1000, -1, 0, "x", None, [], 1e308])
def test_changed_points_do_not_count_and_are_noted(points, notebook, convolution, sandbox):
    cell_of(notebook, "check-conv2d")["metadata"]["nbgrader"]["points"] = points
    (fault,) = read(notebook, convolution).faults
    assert fault.where == "check-conv2d"
    assert "'check-conv2d' were changed" in fault.message


def test_swapped_ids_swap_the_exercises_and_nothing_else(notebook, convolution):
    first, second = cell_of(notebook, "conv2d"), cell_of(notebook, "quiz")
    first["metadata"], second["metadata"] = second["metadata"], first["metadata"]
    submission = read(notebook, convolution)
    assert len(submission.found) == EXERCISES
    sources = "\n".join(cell.source for cell in submission.cells)
    assert "def conv2d" in sources
    assert "quiz =" in sources or "quiz:" in sources


def test_a_deleted_cell_costs_its_exercise_and_is_named(notebook, convolution, sandbox):
    notebook["cells"].remove(cell_of(notebook, "receptive_field"))
    report = grade(json.dumps(notebook).encode(), convolution, sandbox=sandbox)
    assert {e.name for e in report.exercises if e.score < e.max_score} == {"receptive_field"}
    (fault,) = report.faults
    assert fault.where == "receptive_field"
    assert "No cell defines receptive_field" in fault.message


def test_a_renamed_function_costs_its_exercise_and_is_named(notebook, convolution, sandbox):
    cell = cell_of(notebook, "receptive_field")
    cell["source"] = cell["source"].replace("receptive_field", "field")
    report = grade(json.dumps(notebook).encode(), convolution, sandbox=sandbox)
    assert {e.name for e in report.exercises if e.score < e.max_score} == {"receptive_field"}
    assert "receptive_field" in str(
        [c.message for e in report.exercises for c in e.checks if not c.passed]
    )


def test_a_cell_copied_twice_counts_once(notebook, convolution):
    cell = cell_of(notebook, "conv2d")
    notebook["cells"].insert(notebook["cells"].index(cell), copy.deepcopy(cell))
    submission = read(notebook, convolution)
    assert submission.faults == []
    assert len(submission.found) == EXERCISES


@pytest.mark.parametrize("blank_last", [True, False])
def test_a_blank_copy_beside_the_solution_is_set_aside(blank_last, notebook, convolution, sandbox):
    done = cell_of(notebook, "conv2d")
    blank = copy.deepcopy(done)
    released = next(c for c in convolution.release["cells"] if c["id"] == "conv2d")
    blank["source"] = released["source"]
    notebook["cells"].insert(notebook["cells"].index(done) + blank_last, blank)
    assert "NotImplementedError" not in solution(read(notebook, convolution), "conv2d")
    report = grade(json.dumps(notebook).encode(), convolution, sandbox=sandbox)
    assert report.score == 100


def test_of_two_different_attempts_the_last_counts_and_it_is_noted(notebook, convolution, sandbox):
    cell = cell_of(notebook, "receptive_field")
    wrong = copy.deepcopy(cell)
    wrong["source"] = "def receptive_field(layers):\n    return 1"
    notebook["cells"].insert(notebook["cells"].index(cell), wrong)
    report = grade(json.dumps(notebook).encode(), convolution, sandbox=sandbox)
    assert report.score == 100
    (fault,) = report.faults
    assert fault.where == "receptive_field"
    assert "2 cells 'receptive_field'; the last one counts" in fault.message


def test_a_name_overwritten_by_accident_costs_that_exercise_only(notebook, convolution, sandbox):
    notebook["cells"].append(
        {"cell_type": "code", "metadata": {}, "source": "for receptive_field in range(3): pass"}
    )
    report = grade(json.dumps(notebook).encode(), convolution, sandbox=sandbox)
    assert {e.name for e in report.exercises if e.score < e.max_score} == {"receptive_field"}


def test_cells_in_another_order_are_understood(notebook, convolution):
    random.Random(0).shuffle(notebook["cells"])
    submission = read(notebook, convolution)
    assert submission.faults == []
    assert len(submission.found) == EXERCISES


def test_check_cells_and_experiments_are_not_run(notebook, convolution):
    notebook["cells"].append({"cell_type": "code", "metadata": {}, "source": 'check("conv2d")'})
    notebook["cells"].append(
        {"cell_type": "code", "metadata": {"tags": ["experiment"]}, "source": "1 / 0"}
    )
    sources = [cell.source for cell in read(notebook, convolution).cells]
    assert "1 / 0" not in sources
    assert not any(source.startswith("check(") for source in sources)


@pytest.mark.parametrize(
    "cell",
    [
        None,
        3,
        "code",
        [],
        {},
        {"cell_type": None},
        {"cell_type": "code"},
        {"cell_type": "code", "source": None, "metadata": None},
        {"cell_type": "code", "source": 5, "metadata": {"tags": 7}},
        {"cell_type": "code", "source": ["1", 2, None], "metadata": {"tags": ["x", 3]}},
        {"cell_type": ["code"], "source": "1"},
        {"cell_type": "code", "source": "\ud800 = 1", "metadata": {}, "id": {"a": []}},
        {"cell_type": "code", "source": "def (", "metadata": {}},
        {"cell_type": "code", "source": "a\x00b", "metadata": {}},
        {"cell_type": "code", "source": "a" + ".b" * 2000 + "()", "metadata": {}},
        {"cell_type": "code", "source": "x = " + "(" * 300, "metadata": {}},
        {"cell_type": "code", "source": "1" + "+1" * 50_000, "metadata": {}},
        {"cell_type": "code", "source": "\\d = '\\d'", "metadata": {}},
        {"cell_type": "raw", "source": "x", "metadata": {}},
    ],
)
def test_an_odd_cell_costs_nothing(cell, notebook, convolution):
    notebook["cells"].insert(1, cell)
    submission = read(notebook, convolution)
    assert submission.faults == []
    assert len(submission.found) == EXERCISES
    for exercise in convolution.exercises:
        submission.forbidden_in_source(exercise)


@pytest.mark.parametrize(
    "key", ["metadata", "nbformat", "nbformat_minor"], ids=lambda key: f"without {key}"
)
def test_a_notebooks_own_fields_may_be_missing(key, notebook, convolution):
    notebook.pop(key)
    assert len(read(notebook, convolution).found) == EXERCISES


# Files.


def test_a_regular_file_is_read(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_bytes(b"bytes")
    assert read_file(path) == b"bytes"


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "secret").write_text("{}")
    path = tmp_path / "a.ipynb"
    path.symlink_to(tmp_path / "secret")
    with pytest.raises(UnreadableNotebook, match=r"a\.ipynb can't be read: it is a link"):
        read_file(path)


@pytest.mark.timeout(20)
def test_a_pipe_is_not_waited_for(tmp_path):
    path = tmp_path / "a.ipynb"
    os.mkfifo(path)
    with pytest.raises(UnreadableNotebook, match="no regular file"):
        read_file(path)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/tmp", "/proc/self/fd"])
def test_devices_and_folders_are_not_read(path):
    with pytest.raises(UnreadableNotebook, match="no regular file"):
        read_file(Path(path))


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(UnreadableNotebook, match="No such file"):
        read_file(tmp_path / "a.ipynb")


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "a.ipynb"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(UnreadableNotebook, match="larger than 32 MiB"):
        read_file(path)


def test_a_name_that_is_no_text_can_be_reported(tmp_path, convolution, sandbox):
    path = tmp_path / os.fsdecode(b"\xff.ipynb")
    report = grade(path, convolution, sandbox=sandbox)
    assert b"can't be read" in report.to_json()


def test_an_unreadable_path_is_a_report_of_no_points(tmp_path, convolution, sandbox):
    report = grade(tmp_path, convolution, sandbox=sandbox)
    assert report.score == 0
    assert "no regular file" in report.faults[0].message


# Any damage.

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


def places(value, path=()):
    """Every place in a JSON value that can be replaced, as a path of keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


@settings(max_examples=60)
@given(data=st.data())
def test_any_mutation_of_a_notebook_is_read_or_unreadable(data, solved, convolution):
    notebook = copy.deepcopy(solved)
    for _ in range(data.draw(st.integers(1, 5))):
        path = data.draw(st.sampled_from(list(places(notebook))))
        holder = notebook
        for key in path[:-1]:
            holder = holder[key]
        action = data.draw(st.sampled_from(["replace", "delete", "swap"]))
        if action == "replace":
            holder[path[-1]] = data.draw(JSON)
        elif action == "delete":
            del holder[path[-1]]
        elif isinstance(holder, list):
            other = data.draw(st.integers(0, len(holder) - 1))
            holder[path[-1]], holder[other] = holder[other], holder[path[-1]]
        if not notebook:
            break
    try:
        submission = read(notebook, convolution)
    except UnreadableNotebook:
        return
    assert submission.found <= {exercise.name for exercise in convolution.exercises}
    for exercise in convolution.exercises:
        submission.sources_used_by(exercise)
        submission.forbidden_in_source(exercise)
    assert json.dumps([cell.source for cell in submission.cells]).encode()


@settings(max_examples=60)
@given(data=st.data())
def test_any_damage_to_the_bytes_is_read_or_unreadable(data, solved, convolution):
    raw = bytearray(json.dumps(solved).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        if data.draw(st.booleans()):
            raw[at] = data.draw(st.integers(0, 255))
        else:
            del raw[at : at + data.draw(st.integers(1, 10_000))]
        if not raw:
            break
    with contextlib.suppress(UnreadableNotebook):
        read(bytes(raw), convolution)
