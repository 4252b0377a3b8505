"""What came from a student, in the notebook that others open: it is shown, and has no power."""

import json
from html.parser import HTMLParser

import nbformat
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nbconvert import HTMLExporter

from autograder.adapters.graded_notebook import (
    MAX_CELLS,
    Room,
    add_feedback,
    safe_outputs,
    submitted_notebook,
)
from autograder.report import ExerciseResult, Fault, Graded, Report

ADDRESS = "/formgrader?path=submitted/eve"  # where asking is enough to do harm
MARKUP = [
    *("![a](", "[a](", "](", ")", "[a]: ", "<", ">", "`", "```\n", "~~~\n", "$", "$$", "\\[", "\\"),
    *("\n", "\n\n", "\r", "\x0b", "\x85", "\u2028", "    ", "# ", "* ", "> ", "|", "---", "&lt;"),
    *(ADDRESS, "javascript:alert(1)", "attachment:none.png", "https://example.org/a.png", "a"),
    *("<img src=", "<a href=", "<script>", "onerror=alert(1) ", '"', "'", "</div>", "<!--", "-->"),
    *(r"\begin{align}", r"\end{align}", "```mermaid\n", "```html\n"),
]
PIXEL = "R0lGODlhAQABAIAAAP8AAAAAACwAAAAAAQABAAACAkQBADs="
HARMLESS = {
    "div",
    "pre",
    "br",
    "p",
    "b",
    "i",
    "em",
    "strong",
    "ul",
    "ol",
    "li",
    "code",
    "a",
    "span",
}

EXPORTER = HTMLExporter(template_name="basic")


class Page(HTMLParser):
    """The text of a page, and what in it could run, or ask a server."""

    def __init__(self, cell: nbformat.NotebookNode) -> None:
        super().__init__()
        self.text = ""
        self.alive: list[str] = []
        self.feed(EXPORTER.from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))[0])

    def handle_starttag(self, tag, attributes):
        if tag not in HARMLESS:
            self.alive.append(tag)
        self.alive += [f"{k}={v}" for k, v in attributes if k not in ("class", "id", "alt")]
        self.text += "\n" if tag == "br" else ""

    def handle_data(self, text):
        self.text += text


def letters(text: str) -> str:
    return "".join(c for c in text if c.isprintable() and not c.isspace())


def shown(assignment, source: str, **fields) -> Page:
    """The page of a Markdown cell that a student has written."""
    cell = nbformat.v4.new_markdown_cell(source, **fields)
    data = json.dumps(nbformat.v4.new_notebook(cells=[cell])).encode()
    return Page(submitted_notebook(data, assignment).cells[0])


@given(st.lists(st.sampled_from(MARKUP)).map("".join))
@example(f"![a]({ADDRESS})")
@example("[a](javascript:alert(1))")
@example(f"[a]\n\n[a]: {ADDRESS}")
@example("![a](attachment:none.png)")
@example(f"$$ a $$\n\n![a]({ADDRESS})")
def test_a_students_markdown_is_shown_letter_for_letter_and_asks_no_server(convolution, source):
    page = shown(convolution, source)
    assert page.alive == []
    assert letters(page.text) == letters(source)


def test_a_students_picture_is_shown(convolution):
    page = shown(convolution, "", attachments={"a\n\n![a](b)": {"image/gif": PIXEL}})
    assert page.alive == ["img", f"src=data:image/gif;base64,{PIXEL}"]


def test_text_that_only_an_editor_has_changed_is_shown_as_it_was_handed_out(convolution):
    cells = convolution.release["cells"]
    text = next(c.source for c in cells if c.cell_type == "markdown" and "\n\n" in c.source)
    edited = text.replace("\n", "\r\n") + "\n"
    assert shown(convolution, edited).text == shown(convolution, text).text
    assert letters(shown(convolution, text + "a").text) == letters(text) + "a"


@pytest.mark.parametrize("kind", ["text/html", "text/markdown", "text/latex"])
@given(source=st.lists(st.sampled_from(MARKUP)).map("".join))
@example(source=f'<a href="{ADDRESS}">a</a><img src="{ADDRESS}">')
@example(source=f"![a]({ADDRESS})")
def test_an_output_asks_no_server(kind, source):
    outputs = safe_outputs([nbformat.v4.new_output("display_data", {kind: source})], Room())
    assert Page(nbformat.v4.new_code_cell("", outputs=outputs)).alive == []


def test_a_formula_keeps_its_ampersands():
    formula = r"$\begin{pmatrix} a & b < c \end{pmatrix}$"
    (output,) = safe_outputs(
        [nbformat.v4.new_output("display_data", {"text/latex": formula})], Room()
    )
    assert formula in Page(nbformat.v4.new_code_cell("", outputs=[output])).text


# Whatever the file and the outputs hold, the notebook is sound, and no larger than can be shown.

ODD = [*MARKUP, "", "\ud800", "\x00", "\x1b[2J", "a,b", "check-conv2d", "conv2d", "submitted-3"]
TEXT = st.lists(st.sampled_from(ODD), max_size=4).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
BUNDLE = st.dictionaries(
    st.sampled_from(["text/plain", "text/html", "text/markdown", "text/latex", "image/png", "a"]),
    JSON,
)
OUTPUT = JSON | st.fixed_dictionaries(
    {"output_type": st.sampled_from(["stream", "error", "display_data", "execute_result"]) | JSON},
    optional={
        "data": BUNDLE | JSON,
        **dict.fromkeys(["text", "name", "ename", "evalue", "traceback", "metadata"], JSON),
    },
)
GRADE_IDS = st.sampled_from(["check-conv2d", "conv2d", "check-quiz", "noted-while-grading"]) | JSON
CELL = JSON | st.fixed_dictionaries(
    {"cell_type": st.sampled_from(["code", "markdown", "raw"]) | JSON},
    optional={
        "source": TEXT | JSON,
        "id": GRADE_IDS,
        "outputs": st.lists(OUTPUT, max_size=3) | JSON,
        "execution_count": JSON,
        "attachments": st.dictionaries(TEXT, BUNDLE | JSON, max_size=2) | JSON,
        "metadata": JSON
        | st.fixed_dictionaries(
            {},
            optional={
                "nbgrader": st.fixed_dictionaries(
                    {"grade_id": GRADE_IDS}, optional={"points": JSON, "schema_version": JSON}
                ),
                "tags": st.lists(TEXT, max_size=2),
                "gradus": JSON,
            },
        ),
    },
)
FILE = JSON | st.fixed_dictionaries(
    {"cells": st.lists(CELL, max_size=5)},
    optional=dict.fromkeys(["metadata", "nbformat", "nbformat_minor", "worksheets"], JSON),
)


def graded_with(outputs: dict, *faults: Fault) -> Graded:
    exercises = [ExerciseResult("conv2d", 0, 20, [])]
    report = Report("02-convolution", "eve", "a", 0, 20, exercises, [*faults], {}, {}, 0, 0.0)
    return Graded(report, outputs)


@given(FILE, st.dictionaries(st.integers(0, 5), st.lists(OUTPUT, max_size=3)))
@example({"cells": [{"cell_type": "code", "metadata": {"tags": ["\ud800", "a,b", "a,b"]}}]}, {})
def test_whatever_was_handed_in_becomes_a_sound_notebook(convolution, file, outputs):
    notebook = submitted_notebook(json.dumps(file).encode(), convolution)
    nbformat.validate(notebook)
    add_feedback(notebook, graded_with(outputs, Fault("notebook", "", "<script>")))
    nbformat.validate(nbformat.reads(nbformat.writes(notebook).encode().decode(), 4))
    for cell in notebook.cells:
        shown = [output.get("data", {}).get("text/html", "") for output in cell.get("outputs", [])]
        assert "<script" not in "".join([*shown, cell.source * (cell.cell_type != "code")])
    counting = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]
    released = {
        cell.metadata.nbgrader.grade_id: cell
        for cell in convolution.release["cells"]
        if "nbgrader" in cell.metadata
    }
    ids = [cell.metadata.nbgrader.grade_id for cell in counting]
    assert len(set(ids)) == len(ids)
    assert {name for name in released if name.startswith("check-")} <= set(ids)
    for cell in counting:
        original = released[cell.metadata.nbgrader.grade_id]
        assert (cell.metadata, cell.cell_type) == (original.metadata, original.cell_type)
        assert cell.source == original.source or not original.metadata.nbgrader.locked
    (feedback,) = [c for c in counting if c.metadata.nbgrader.grade_id == "check-conv2d"]
    assert feedback.outputs[0].data["text/plain"] == "conv2d: 0 of 0 points"


def test_more_cells_and_outputs_than_can_be_shown_are_left_out(convolution):
    def many(count: int) -> list[dict]:
        cells = [{"cell_type": "code", "source": f"{n}"} for n in range(count)]
        check = {"cell_type": "code", "metadata": {"nbgrader": {"grade_id": "check-conv2d"}}}
        return [*cells, check]

    file = json.dumps({"cells": many(MAX_CELLS + 50)}).encode()
    notebook = submitted_notebook(file, convolution)
    sources = [cell.source for cell in notebook.cells]
    assert [str(n) in sources for n in (MAX_CELLS - 1, MAX_CELLS)] == [True, False]
    assert "*50 more cells are not shown.*" in sources
    assert sum(cell.id == "check-conv2d" for cell in notebook.cells) == 1

    html = {"output_type": "display_data", "data": {"text/html": "<b>a</b>" * 4_000}}
    stream = {"output_type": "stream", "text": "a"}
    add_feedback(notebook, graded_with({0: [html] * 100, 1: [stream] * 3_000, 2: [stream]}))
    outputs = [output for cell in notebook.cells[:3] for output in cell.outputs]
    assert len(outputs) == Room().outputs
    cleaned = [o for o in outputs if "text/html" in o.get("data", {})]
    assert 0 < len(cleaned) * 32_000 <= Room().html

    long = {"output_type": "stream", "text": "\x1b[31ma" * 90_000}
    error = {"output_type": "error", "traceback": ["a" * 10_000] * 40, "evalue": "a" * 400_000}
    outputs = safe_outputs([long, error, {"output_type": "display_data", "data": {}}], Room())
    assert 450_000 < len(json.dumps(outputs)) < 1_500_000
    assert "[The rest is left out.]" in outputs[1].evalue
    assert len(outputs) == 3

    texts = [{"cell_type": "markdown", "source": "*long* " * 100_000}] * 3
    notebook = submitted_notebook(json.dumps({"cells": texts}).encode(), convolution)
    shown = [cell.source for cell in notebook.cells if "*long*" in cell.source]
    assert 400_000 < sum(map(len, shown)) < 1_500_000
    assert all("[The rest is left out.]" in source for source in shown)
