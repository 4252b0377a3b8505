"""Finds in published files what students must not get, by means that know nothing of each other.

What is secret follows from the assignments alone, not from what publishing leaves out: the code of
the references and of the solutions, the hidden checks, the misconceptions, the alternates.
"""

import ast
import importlib
import inspect
import json
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from autograder.assignment import ROOT, Assignment
from autograder.check import checks_in
from autograder.checks import TOPICS
from autograder.misconceptions import Mutant

SHORTEST = 10  # characters without white space; what is shorter is found everywhere
TEXT = {".py", ".md", ".toml", ".txt", ".yml", ".mk", ".ipynb"}
NO_SUFFIX = {"LICENSE", "Makefile", ".gitignore"}
CELL_METADATA = {"deletable", "editable", "lines_to_next_cell", "nbgrader", "tags"}


def leaks(files: Mapping[str, bytes]) -> list[str]:
    """What is in the files that must not be, each as "file: what"."""
    return [
        f"{name}: {found}"
        for name, data in files.items()
        for means in MEANS
        for found in means(name, data)
    ]


# --- What is secret ------------------------------------------------------------------------------


@cache
def hidden_sources() -> dict[str, str]:
    """The files of which nothing may be published, and the solutions' own parts of their texts."""
    paths = {
        *(ROOT / "autograder" / "checks" / "hidden").glob("*.py"),
        *(ROOT / "autograder" / "misconceptions").glob("*.py"),
        *(ROOT / "tests" / "alternates").glob("*.py"),
        *(Path(inspect.getfile(function)) for function in references()),
    }
    sources = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in paths}
    for path in (ROOT / "solutions").glob("*/*.py"):
        parts = path.read_text("utf-8").split("### BEGIN SOLUTION")[1:]
        for number, part in enumerate(parts, 1):
            sources[f"{path.stem}, solution {number}"] = part.split("### END SOLUTION")[0]
    return sources


@cache
def open_text() -> str:
    """Everything of ours that is not in the hidden sources: what it says is no secret."""
    texts = [
        searchable(path.name, path.read_bytes())
        for folder in ("autograder", "lib", "students")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".md"} and str(path.relative_to(ROOT)) not in hidden_sources()
    ]
    for path in (ROOT / "solutions").glob("*/*.py"):
        text = re.sub("(?s)### BEGIN SOLUTION.*?### END SOLUTION", "pass", path.read_text("utf-8"))
        texts.append(searchable(path.name, text.encode()))
    return "\n".join(texts)


def references() -> list[Callable[..., Any]]:
    """The functions and classes that answer the exercises."""
    modules = (_hidden(topic) for topic in TOPICS.values())
    return [value for module in modules for value in module.reference().values() if callable(value)]


def _hidden(topic: str) -> ModuleType:
    return importlib.import_module(f"autograder.checks.hidden.{topic}")


@cache
def mutants() -> list[Mutant]:
    """The misconceptions of all assignments."""
    return [mutant for name in TOPICS for mutant in Assignment(name).mutants]


@cache
def alternates() -> list[str]:
    """The sources of the unusual right solutions."""
    return [source for name in TOPICS for _, _, source in Assignment(name).alternates]


# --- How a file is read --------------------------------------------------------------------------


def flat(text: str) -> str:
    """The text without white space, and with one kind of quotes."""
    return re.sub(r"\s+", "", text).replace('"', "'")


@cache
def searchable(name: str, data: bytes) -> str:
    """A file's text, all that its JSON says, and its code as Python itself would write it."""
    text = data.decode("utf-8", "replace")
    texts = list(_strings(json.loads(text))) if name.endswith(".ipynb") else [text]
    for tree in trees_of(name, text):
        texts += (ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.stmt))
    return flat("\n".join(texts))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        if all(isinstance(item, str) for item in value):  # a cell's lines
            yield "".join(value)
        yield from (text for item in value for text in _strings(item))
    elif isinstance(value, dict):
        yield from (text for item in value.items() for text in _strings(list(item)))


def trees_of(name: str, text: str) -> Iterator[ast.Module]:
    """The syntax trees of a module or of a notebook's cells; code that does not parse has none."""
    sources = [text] if name.endswith(".py") else []
    if name.endswith(".ipynb"):
        cells = json.loads(text)["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    for source in sources:
        try:
            yield _parse(source)
        except SyntaxError:
            continue


def _parse(source: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a mutant's style
        return ast.parse(textwrap.dedent(source))


def functions_in(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """All functions and methods in the tree."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def without_docstring(function: ast.FunctionDef) -> list[ast.stmt]:
    """A function's statements that do something."""
    return function.body[1:] if ast.get_docstring(function) else function.body


# --- The means -----------------------------------------------------------------------------------


def secret_words(name: str, data: bytes) -> Iterator[str]:
    """Lines, sentences and names that only the hidden sources have."""
    text = searchable(name, data)
    there = {text[at : at + SHORTEST] for at in range(len(text))}
    for secret, shown in _secret_words().items():
        if secret[:SHORTEST] in there and secret in text:
            yield f"only the hidden side says {shown!r}"


@cache
def _secret_words() -> dict[str, str]:
    words = [line.strip() for text in hidden_sources().values() for line in text.splitlines()]
    for topic in TOPICS.values():
        for check in checks_in(_hidden(topic)):
            words += [check.name, check.statement, check.hint]
    words += [text for mutant in mutants() for text in (mutant.hint, *mutant.source.splitlines())]
    for text in hidden_sources().values():
        words += re.findall(r"(?m)^(?:def |class |)(\w+_\w+)\b", text)
    known = open_text()
    found = {flat(word): word for word in words if re.search("[A-Za-z]", word)}
    return {key: word for key, word in found.items() if len(key) >= SHORTEST and key not in known}


def solutions_statements(name: str, data: bytes) -> Iterator[str]:
    """Half of the telling statements of a reference function or of a notebook's solution."""
    text = searchable(name, data)
    for title, statements in _telling_statements().items():
        found = [statement for statement in statements if statement in text]
        if 2 * len(found) >= len(statements):
            yield f"{len(found)} of {len(statements)} statements of {title}: {found}"


@cache
def _telling_statements() -> dict[str, list[str]]:
    bodies = {}
    for title, source in hidden_sources().items():
        if ", solution " in title:
            bodies[title] = _parse(f"def solution():\n{textwrap.indent(source, '    ')}").body
    for reference in references():
        tree = _parse(inspect.getsource(reference))
        for function in functions_in(tree):
            title = f"{reference.__name__}.{function.name}"
            bodies[title] = without_docstring(function)
    telling = {
        title: sorted(
            flat(ast.unparse(node))
            for top in body
            for node in ast.walk(top)
            if isinstance(node, ast.Assign | ast.AugAssign | ast.Return | ast.Expr)
            and any(isinstance(n, ast.BinOp | ast.Call | ast.Subscript) for n in ast.walk(node))
            and len(flat(ast.unparse(node))) >= 24  # no "super().__init__()"
        )
        for title, body in bodies.items()
    }
    return {title: found for title, found in telling.items() if len("".join(found)) >= 30}


def functions_bodies(name: str, data: bytes) -> Iterator[str]:
    """Functions of the hidden sources, of a mutant or an alternate, whatever their names are."""
    for tree in trees_of(name, data.decode("utf-8", "replace")):
        for function in functions_in(tree):
            if original := _hidden_bodies().get(_body(function)):
                yield f"{function.name} is {original}"


@cache
def _hidden_bodies() -> dict[str, str]:
    sources = {
        **{title: text for title, text in hidden_sources().items() if title.endswith(".py")},
        **{f"mutant {mutant.name!r}": mutant.source for mutant in mutants()},
        **{f"alternate {number}": source for number, source in enumerate(alternates())},
    }
    bodies = {}
    for title, source in sources.items():
        try:
            tree = _parse(source)
        except SyntaxError:
            continue
        for function in functions_in(tree):
            if len(without_docstring(function)) > 1:
                bodies[_body(function)] = f"{function.name} of {title}"
    return bodies


def _body(function: ast.FunctionDef) -> str:
    """The function's decorators and code, with its own variables called by their order."""
    decorators = [ast.Expr(decorator) for decorator in function.decorator_list]
    tree = ast.Module([*decorators, *without_docstring(function)], [])
    own = [argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)]
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    own += [node.id for node in names if isinstance(node.ctx, ast.Store)]
    number = {name: f"v{place}" for place, name in enumerate(dict.fromkeys(own))}
    return re.sub(
        r"(?:Name\(id|arg\(arg)='(\w+)'", lambda m: number.get(m[1], m[1]), ast.dump(tree)
    )


def quiz_answers(name: str, data: bytes) -> Iterator[str]:
    """A question of a quiz beside its right answer."""
    text = searchable(name, data)
    for topic in TOPICS.values():
        for value in _hidden(topic).reference().values():
            for question, answer in value.items() if isinstance(value, dict) else ():
                if re.search(rf"{re.escape(question)}'?\]?[:=,]'{re.escape(answer)}'", text):
                    yield f"the answer to {question}"


def unpublishable_form(name: str, data: bytes) -> Iterator[str]:
    """What is no text, was run, or tells of the machine that it comes from."""
    if Path(name).suffix not in TEXT and Path(name).name not in NO_SUFFIX:
        yield "a file of this kind is not published"
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        yield "is no text"
        return
    if match := re.search(rf"{re.escape(str(ROOT))}|{re.escape(str(Path.home()))}/|/tmp/\w", text):
        yield f"a path of this machine: {match[0]}"
    if not name.endswith(".ipynb"):
        return
    notebook = json.loads(text)
    yield from (f"metadata {key}" for key in notebook["metadata"].keys() - {"kernelspec"})
    for cell in notebook["cells"]:
        if cell.get("outputs") or cell.get("execution_count") or cell.get("attachments"):
            yield f"cell {cell['id']} was run, or has attachments"
        yield from (
            f"metadata {key} of cell {cell['id']}"
            for key in cell["metadata"].keys() - CELL_METADATA
        )


MEANS = (secret_words, solutions_statements, functions_bodies, quiz_answers, unpublishable_form)
