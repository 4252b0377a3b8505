"""What came from a student, in the notebook that others open: it is shown, and has no power."""

import json
from html.parser import HTMLParser

import nbformat
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nbconvert import HTMLExporter

from autograder.adapters.graded_notebook import safe_outputs, submitted_notebook

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
    outputs = safe_outputs([nbformat.v4.new_output("display_data", {kind: source})])
    assert Page(nbformat.v4.new_code_cell("", outputs=outputs)).alive == []


def test_a_formula_keeps_its_ampersands():
    formula = r"$\begin{pmatrix} a & b < c \end{pmatrix}$"
    (output,) = safe_outputs([nbformat.v4.new_output("display_data", {"text/latex": formula})])
    assert formula in Page(nbformat.v4.new_code_cell("", outputs=[output])).text
