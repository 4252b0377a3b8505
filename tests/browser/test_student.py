"""A student's way through the release notebook, in a real JupyterLab with a real kernel."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from autograder import publish
from autograder.assignment import Assignment

pytestmark = pytest.mark.xdist_group("jupyterlab")

EXERCISE = "conv_output_size"
HEAD = f"def {EXERCISE}(n, kernel_size, stride=1, padding=0, dilation=1):\n"
WRONG = HEAD + "    return (n + padding - dilation * (kernel_size - 1) - 1) // stride + 1"
RIGHT = HEAD + (
    "    free = n + 2 * padding - dilation * (kernel_size - 1) - 1\n"
    "    if free < 0:\n"
    "        raise ValueError('the kernel does not fit')\n"
    "    return free // stride + 1"
)
ENDLESS = HEAD + "    while True:\n        n += 1"


class Notebook:
    """A notebook that is open in JupyterLab."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        page.goto(url)
        self.expect_idle()

    def expect_idle(self) -> None:
        expect(self.page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()

    def cell(self, text: str) -> Locator:
        """The first code cell that contains the text."""
        code = self.page.locator(".cm-content", has_text=text)
        return self.page.locator(".jp-CodeCell", has=code).first

    def run(self, cell: Locator, source: str = "") -> Locator:
        """Writes the source, where there is one, runs the cell, and returns its outputs."""
        cell.locator(".cm-content").click()
        if source:
            self.page.keyboard.press("Control+a")
            self.page.keyboard.insert_text(source)
        self.page.keyboard.press("Control+Enter")
        return outputs(cell)

    def menu(self, *names: str) -> None:
        for name in names:
            self.page.get_by_role("menuitem", name=name, exact=True).click()


def outputs(cell: Locator) -> Locator:
    return cell.locator(".jp-OutputArea")


class Lab:
    """A student's JupyterLab: it opens fresh copies of the release."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url

    def open(self, page: Page, name: str) -> Notebook:
        shutil.copy(Assignment("02-convolution").release_path, self.folder / f"{name}.ipynb")
        return Notebook(page, f"{self.url}/lab/tree/{name}.ipynb?reset")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, jupyterlab: Callable[..., str]) -> Lab:
    folder = tmp_path_factory.mktemp("student")
    publish.write_for_students(folder)
    return Lab(folder, jupyterlab(folder, PYTHONPATH=str(folder)))


def test_a_wrong_answer_is_shown_corrected_counted_and_kept(page, lab, screenshot):
    notebook = lab.open(page, "corrected")
    notebook.menu("Run", "Run All Cells")
    # The unanswered quiz raises, and Jupyter stops there.
    expect(outputs(notebook.cell("quiz = {"))).to_contain_text("NotImplementedError")
    check = notebook.cell(f'check("{EXERCISE}")')
    expect(outputs(check)).to_contain_text("Not done yet")
    outputs(notebook.cell("images, labels = digits()")).scroll_into_view_if_needed()
    screenshot("student-1-all-run")

    notebook.run(notebook.cell(f"def {EXERCISE}"), WRONG)
    notebook.run(check)
    expect(outputs(check)).to_contain_text("0 of 5 points")
    call, words = outputs(check).locator("pre").all_inner_texts()[:2]
    assert call == f"{EXERCISE}(28, 5, 2, 2)"
    assert "came back: 13\nexpected:  14" in words
    screenshot("student-2-wrong")

    notebook.run(notebook.cell(f"def {EXERCISE}"), RIGHT)
    notebook.run(check)
    expect(outputs(check)).to_contain_text("5 of 5 points")
    expect(outputs(check)).not_to_contain_text("✗")
    screenshot("student-3-right")

    last = page.locator(".jp-CodeCell").last
    notebook.run(last, 'check("conv2")')
    expect(outputs(last)).to_have_text(re.compile(r"^There is no exercise 'conv2'\. Did you mean"))
    notebook.run(last, "check.all()")
    rows = outputs(last).get_by_role("row")
    expect(rows).to_have_count(12)
    expect(rows.nth(1)).to_have_text(f"✓{EXERCISE}5 / 5")
    expect(rows.nth(2)).to_have_text("○same_padding0 / 4not begun")
    expect(rows.nth(11)).to_have_text("total5 / 50")
    screenshot("student-4-all")

    page.keyboard.press("Control+s")
    expect(page.locator(".jp-mod-dirty")).to_have_count(0)
    page.reload()
    expect(outputs(last).get_by_role("row")).to_have_count(12)
    expect(outputs(notebook.cell(f'check("{EXERCISE}")'))).to_contain_text("5 of 5 points")
    page.emulate_media(color_scheme="dark")
    expect(page.locator("body")).to_have_attribute("data-jp-theme-light", "false")
    outputs(last).scroll_into_view_if_needed()
    screenshot("student-5-reloaded-dark")


def test_an_endless_loop_is_interrupted_and_the_call_is_named(page, lab, screenshot):
    notebook = lab.open(page, "endless")
    notebook.run(notebook.cell("check = checks_of"))
    notebook.run(notebook.cell(f"def {EXERCISE}"), ENDLESS)
    check = notebook.cell(f'check("{EXERCISE}")')
    notebook.run(check)
    expect(outputs(check)).to_contain_text(f"{EXERCISE}: check 1 of 3")
    screenshot("student-6-progress")

    page.get_by_role("button", name="Interrupt the kernel").click()
    expect(outputs(check)).to_contain_text(f"Your {EXERCISE} was running on this call")
    expect(outputs(check).get_by_text(f"{EXERCISE}(5, 3)", exact=True)).to_be_visible()
    expect(outputs(check)).not_to_contain_text("Traceback")
    screenshot("student-7-interrupted")

    last = page.locator(".jp-CodeCell").last
    notebook.run(last, "check.all()")
    expect(outputs(last)).to_contain_text("check 1 of 3")
    page.get_by_role("button", name="Interrupt the kernel").click()
    rows = outputs(last).get_by_role("row")
    expect(rows.nth(1)).to_contain_text("interrupted")
    expect(rows.nth(2)).to_contain_text("not run")
    screenshot("student-8-all-interrupted")
