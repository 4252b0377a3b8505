"""The notebook after grading: a submission put in order, with real outputs and the feedback.

Instructors open it in nbgrader's formgrader, students get it as feedback. What came from the
student is shown there and can do nothing: HTML is cleaned, scripts are dropped, and no link or
address of an image is left. For formgrader loads the nbgrader_config.py of any folder that a mere
GET names: an image's address would run a student's, with the instructor's rights.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from html import escape
from typing import Any

from nbconvert.preprocessors.sanitize import SanitizeHTML
from nbformat import NotebookNode, v4

from autograder.assignment import Assignment
from autograder.feedback import UNSHOWN, exercise_html, exercise_text, fault_text
from autograder.report import Fault, Graded
from autograder.submission import UnreadableNotebook, read_submission, source_of

MAX_CELLS = 2_000  # that are shown, besides those that count
MAX_HTML = 40_000  # characters of one output: cleaning them can take time with their square
BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
IMAGES = ("image/png", "image/jpeg", "image/gif")


def submitted_notebook(data: bytes, assignment: Assignment) -> NotebookNode:
    """A submission as a sound notebook: each exercise's cell and check cell with the assignment's
    metadata, the check cells' own source, and those that were deleted put back.

    Each cell has its place in the submission as `metadata.gradus.cell`. Bytes that are no
    notebook give the released one, as it was handed out.
    """
    release = assignment.release
    released = {
        c.metadata.nbgrader.grade_id: c for c in release["cells"] if "nbgrader" in c.metadata
    }
    texts = {_words(c.source): c.source for c in release["cells"] if c.cell_type != "code"}
    try:
        submission = read_submission(data, assignment)
    except UnreadableNotebook:
        return NotebookNode(deepcopy(release))
    written, room = Room(), Room()
    cells = []
    for index, raw in enumerate(submission.notebook["cells"]):
        grade_id = submission.grade_ids.get(index, "")
        if index >= MAX_CELLS and not grade_id:
            continue
        cell = _cell(raw, released.get(grade_id), texts, written)
        if cell.cell_type == "code":
            cell.outputs = safe_outputs(raw.get("outputs"), room)
        cell.id = grade_id or f"submitted-{index}"
        cell.metadata["gradus"] = {"cell": index}
        cells.append(cell)
    if left_out := len(submission.notebook["cells"]) - len(cells):
        cells.append(v4.new_markdown_cell(f"*{left_out} more cells are not shown.*", id="left-out"))
    fields = {name: deepcopy(value) for name, value in release.items() if name != "cells"}
    return NotebookNode(fields, cells=_with_missing_checks(cells, released))


def _cell(
    raw: dict[str, Any], released: NotebookNode | None, texts: dict[str, str], room: Room
) -> NotebookNode:
    # Built by hand: nbformat's v4.new_code_cell validates each, which takes as long as the rest.
    cell = NotebookNode(cell_type="markdown", metadata=NotebookNode(), source=source_of(raw))
    if (raw.get("cell_type") if released is None else released.cell_type) == "code":
        cell.update(cell_type="code", execution_count=None)
    elif _words(cell.source) in texts:
        cell.source = texts[_words(cell.source)]
    else:
        cell.source = _verbatim(room.cut(cell.source), raw.get("attachments"))
    if released is not None:
        cell.metadata = deepcopy(released.metadata)
        if released.metadata.nbgrader.locked:
            cell.source = released.source
    return cell


def _with_missing_checks(
    cells: list[NotebookNode], released: dict[str, NotebookNode]
) -> list[NotebookNode]:
    """The cells, and every check cell that was deleted, after its exercise's cell or at the end:
    without it the feedback would have no place."""
    present = {cell.id for cell in cells}
    missing = {name for name in released if name.startswith("check-") and name not in present}
    placed = []
    for cell in cells:
        placed.append(cell)
        check = f"check-{cell.id}"
        if check in missing:
            missing.remove(check)
            placed.append(deepcopy(released[check]))
    return placed + [deepcopy(released[name]) for name in released if name in missing]


def add_feedback(notebook: NotebookNode, graded: Graded) -> None:
    """Puts the cells' real outputs and each check cell's feedback into a notebook that
    `submitted_notebook` made, and what grading has noted before everything."""
    exercises = {f"check-{result.name}": result for result in graded.report.exercises}
    room = Room()
    for cell in notebook.cells:
        place = cell.metadata.pop("gradus", {}).get("cell")
        result = exercises.get(cell.metadata.get("nbgrader", {}).get("grade_id"))
        if result is not None:
            data = {
                "text/html": exercise_html(result.name, result.checks),
                "text/plain": exercise_text(result.name, result.checks),
            }
            cell.outputs = [v4.new_output("execute_result", data)]
        elif cell.cell_type == "code":
            cell.outputs = safe_outputs(graded.outputs.get(place, []), room)
    if graded.report.faults:
        noted = _faults(graded.report.faults)
        notebook.cells.insert(0, v4.new_markdown_cell(noted, id="noted-while-grading"))


def _faults(faults: Iterable[Fault]) -> str:
    # One line, so that Markdown takes all of it for HTML.
    items = (escape(" ".join(fault_text(fault).split())) for fault in faults)
    return (
        "<p><b>Noted while grading</b></p><ul>" + "".join(f"<li>{i}</li>" for i in items) + "</ul>"
    )


# --- What came from the student ------------------------------------------------------------------


def _words(text: str) -> str:
    """The text without what editors change: the ends of lines and blanks."""
    return " ".join(text.split())


def _verbatim(markdown: str, attachments: Any = None) -> str:
    """A student's Markdown as HTML that shows it letter for letter, with the pictures in it after
    it; MathJax still sets its formulas. One line, so that Markdown takes all of it for HTML."""
    lines = UNSHOWN.sub("", markdown).splitlines()
    pictures = [
        f'<br><img alt="attached" src="data:{kind};base64,{"".join(picture.split())}">'
        for data in (attachments.values() if isinstance(attachments, dict) else ())
        for kind, picture in _images(data).items()
    ]
    return "".join(["<div>", "<br>".join(map(escape, lines)), *pictures, "</div>"])


def _clean(html: str) -> str:
    # Without any attribute: links are some, and colours are not worth a risk.
    cleaned: str = SanitizeHTML(attributes={}).sanitize_html_tags(html)
    return cleaned


def _images(data: Any) -> dict[str, str]:
    if not isinstance(data, dict):
        return {}
    return {
        kind: data[kind]
        for kind in IMAGES
        if isinstance(data.get(kind), str) and BASE64.fullmatch(data[kind])
    }


@dataclass
class Room:
    """How much more of a notebook's outputs is shown: so many, with so many characters."""

    outputs: int = 2_000
    text: int = 500_000
    html: int = 5 * MAX_HTML

    def cut(self, text: Any) -> str:
        """The text as far as there is room for it."""
        whole = _text(text)
        kept = whole[: self.text]
        self.text -= len(kept)
        return kept if kept == whole else f"{kept}\n[The rest is left out.]"


def safe_outputs(outputs: Any, room: Room) -> list[NotebookNode]:
    """A cell's outputs, as far as they are outputs and there is room: text, images, errors, HTML
    cleaned, LaTeX, and Markdown as it was written; scripts and the like are dropped."""
    safe = []
    for output in outputs if isinstance(outputs, list) else []:
        if not room.outputs:
            break
        if isinstance(output, dict) and (shown := _safe_output(output, room)) is not None:
            room.outputs -= 1
            safe.append(shown)
    return safe


def _safe_output(output: dict[str, Any], room: Room) -> NotebookNode | None:
    kind = output.get("output_type")
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        return v4.new_output("stream", name=name, text=room.cut(output.get("text")))
    if kind == "error":
        lines = output.get("traceback")
        whole = "\n".join(map(_text, lines)) if isinstance(lines, list) else ""
        traceback = room.cut(whole).split("\n")
        name, value = room.cut(output.get("ename")), room.cut(output.get("evalue"))
        return v4.new_output("error", ename=name, evalue=value, traceback=traceback)
    data = output.get("data")
    if kind not in ("display_data", "execute_result") or not isinstance(data, dict):
        return None
    safe: dict[str, str] = _images(data)
    for text in ("text/plain", "text/latex"):  # which is escaped where it is shown
        if text in data:
            safe[text] = room.cut(data[text])
    if "text/markdown" in data:
        safe["text/html"] = _verbatim(room.cut(data["text/markdown"]))
    html = _text(data.get("text/html"))
    if html and len(html) <= min(MAX_HTML, room.html):
        room.html -= len(html)
        safe["text/html"] = _clean(html)
    return v4.new_output("display_data", safe)


def _text(value: Any) -> str:
    if isinstance(value, list):
        value = "".join(line for line in value if isinstance(line, str))
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
