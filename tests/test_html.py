"""The class's page: complete, self-contained, and deaf to what students write."""

from html.parser import HTMLParser

import pytest

from autograder.adapters.html import class_html, write_html
from autograder.report import CheckResult, ExerciseResult, Fault, Report

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\" onload='x' &lt; \u202e\x00"


class Page(HTMLParser):
    """The elements, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str | None]:
        return [attributes[name] for _, attributes in self.elements if name in attributes]


def check(name: str, passed: bool, text: str = "") -> CheckResult:
    return CheckResult(name, "public", 5, passed, f"Statement of {name}. {text}", text, text)


def report(student: str, passed: tuple[bool, bool] = (True, True), text: str = "") -> Report:
    checks = [check("first", passed[0], text), check("second", passed[1], text)]
    score = 5.0 * sum(passed)
    return Report(
        assignment="02-convolution",
        student=student,
        submission="0" * 64,
        score=score,
        max_score=10,
        exercises=[ExerciseResult("conv2d", score, 10, checks)],
        faults=[Fault("crash", text, text)] if text else [],
        isolation={"name": "namespaces", "features": []},
        versions={},
        seed=0,
        seconds=1.0,
    )


def test_nothing_that_a_student_wrote_becomes_markup():
    innocent, hostile = "x" * len(HOSTILE), HOSTILE
    pages = [Page(class_html([report(t, (True, False), t)])) for t in (innocent, hostile)]
    tags = [[tag for tag, _ in page.elements] for page in pages]
    attributes = [[sorted(own) for _, own in page.elements] for page in pages]

    assert tags[1] == tags[0]
    assert attributes[1] == attributes[0]
    assert pages[1].text.count("<script>alert(1)</script>") == pages[0].text.count(innocent)


def test_the_page_loads_nothing_and_forbids_loading():
    page = Page(class_html([report("ada"), report("ben", (False, False), HOSTILE)]))
    assert not page.values("src")
    assert page.values("href")
    assert all(str(target).startswith("#") for target in page.values("href"))
    assert "default-src 'none'; style-src 'unsafe-inline'" in page.values("content")
    assert "@import" not in page.text
    assert "url(" not in page.text


def test_every_link_leads_to_its_student():
    names = ["ada", "ben", "ada"]  # the same name twice
    page = Page(class_html([report(name) for name in names]))
    targets = [str(target)[1:] for target in page.values("href")]
    assert len(set(page.values("id"))) == len(page.values("id")) == len(names) + 1
    assert set(targets) == set(page.values("id"))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([], "0, 0, 0, 0, 0, 0, 0, 0, 0, 0"),
        ([0, 9.99, 10, 99, 100], "2, 1, 0, 0, 0, 0, 0, 0, 0, 2"),
    ],
)
def test_the_histogram_counts_each_graded_submission_once(scores, expected):
    reports = []
    for score in scores:
        reports.append(report("ada"))
        reports[-1].score, reports[-1].max_score = score, 100
    missing = report("zoe")
    missing.submission, missing.score = "", 0
    page = Page(class_html([*reports, missing]))
    assert f"Submissions in each tenth of the scale: {expected}" in page.values("aria-label")


def test_failed_checks_are_counted_over_the_graded_submissions():
    class_ = [report("ada"), report("ben", (True, False)), report("cem", (False, False))]
    missing = report("zoe", (False, False))
    missing.submission = ""
    page = Page(class_html([*class_, missing]))
    widths = [style for style in page.values("style") if str(style).startswith("width:")]
    assert widths == ["width:66.7%", "width:33.3%"]  # the one that fails most comes first


def test_a_class_that_nobody_has_handed_in_has_a_page():
    missing = report("zoe")
    missing.submission, missing.isolation = "", {}
    missing.exercises = [ExerciseResult("conv2d", 0, 10, [])]
    assert "missing" in Page(class_html([missing])).text
    assert "zoe" in Page(class_html([missing])).text
    assert Page(class_html([])).elements


def test_half_a_character_does_not_stop_the_page(tmp_path):
    write_html([report("ada", (True, False), "\ud800")], tmp_path / "page.html")
    assert "ada" in (tmp_path / "page.html").read_text("utf-8")


def test_a_page_that_can_not_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    page = tmp_path / "page.html"
    write_html([report("ada")], page)
    before = page.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_html([report("ben")], page)
    assert page.read_bytes() == before
    assert list(tmp_path.iterdir()) == [page]
