"""Generated mutants: a solution with one small change, which its exercise's checks must notice.

The operators are those of the literature on mutation testing (Jia and Harman 2011; for tensors
DeepCrime, Humbatova et al. 2021): arithmetic, comparisons, conditions, constants, arguments,
boundaries, neighbouring names, dropped terms, calls and statements, detached gradients. Nothing is
drawn: the same solution always gives the same mutants, under the same names.

A mutant is equivalent, and not judged, where Python compiles it to the same code as the solution
or as a mutant before it (Papadakis et al. 2015), line numbers aside. Annotations, docstrings and
the texts of errors are not changed at all. Whatever else survives has to be explained by a person.
"""

from __future__ import annotations

import ast
import copy
import re
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

COMMON: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
ORDERED = ast.Sub | ast.Div | ast.FloorDiv | ast.Mod | ast.Pow
BOUNDARY: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
PAIRS = (
    *("mean sum", "zeros ones", "new_zeros new_ones", "zeros_like ones_like", "max min"),
    *("amax amin", "argmax argmin", "exp log", "sin cos", "acos asin", "tanh sigmoid", "any all"),
    *(
        "rand randn",
        "square abs",
        "train eval",
        "stack cat",
        "std var",
        "tiny eps",
        "append extend",
    ),
)
OTHER = {
    **dict(map(str.split, PAIRS)),
    **{two: one for one, two in map(str.split, PAIRS)},
    "sqrt": "square",
    "reshape": "view",
    "softplus": "relu",
    "ReLU": "Identity",
    "LeakyReLU": "ReLU",
    "logsumexp": "sum",
    "inference_mode": "enable_grad",
    "Adam": "SGD",
    "isnan": "isinf",
    "double": "float",
    "binary_cross_entropy_with_logits": "binary_cross_entropy",
    "ValueError": "RuntimeError",
}
MODULES = {"torch", "nn", "F", "math"}
NO_TENSOR = {
    "shape",
    "dtype",
    "device",
    "item",
    "size",
    "dim",
    "numel",
    "tolist",
    "backward",
    "new_zeros",
    "new_ones",
}
NUMBERS = re.compile(r"int|float|bool|tuple\[(int|float|bool|, )+\]")
CUT = {"detach", "zeros_like", "ones_like", "full_like", "len"}
PLAIN_CALLS = {"len", "int", "float", "min", "max", "range", "list", "tuple", "isinstance", "pair"}


@dataclass(frozen=True)
class Generated:
    """A mutant: the operator that made it, a name of one line, and the cell's whole source.

    The name says in brackets what was changed, after the number of its line: in the cell without
    docstrings and comments, so that a better sentence renames no mutant.
    """

    exercise: str
    operator: str
    name: str
    source: str


@dataclass(frozen=True)
class Generation:
    """The text of an exercise's cell that mutants are made of, those that differ from it and from
    each other, and how many were made in all."""

    original: str
    mutants: tuple[Generated, ...]
    made: int

    @property
    def equivalent(self) -> int:
        """How many were left out, since they compile to what was there before."""
        return self.made - len(self.mutants)


def mutants_of(exercise: str, source: str) -> Generation:
    """All mutants of a cell, in the order of their lines."""
    tree = without_docstrings(source)
    original = ast.unparse(tree)
    seen = {_code(original)}
    found: list[tuple[int, Generated]] = []
    made = 0
    for operator, mutated in _mutated(tree):
        try:
            code = _code(mutated)
        except SyntaxError:  # no program, and no mutant
            continue
        made += 1
        if code in seen:
            continue
        seen.add(code)
        line, name = difference(original, mutated)
        found.append((line, Generated(exercise, operator, name, mutated)))
    found.sort(key=lambda one: one[0])
    return Generation(original, tuple(mutant for _, mutant in found), made)


def without_docstrings(source: str) -> ast.Module:
    """The syntax tree without docstrings, as its own text would be parsed."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.parse(ast.unparse(tree))


def difference(original: str, mutated: str) -> tuple[int, str]:
    """The number of the first line that differs, and the lines with what changed in brackets."""
    old, new = original.splitlines(), mutated.splitlines()
    first = _common(old, new)
    last = _common(old[first:][::-1], new[first:][::-1])
    old, new = old[first : len(old) - last], new[first : len(new) - last]
    if len(old) == len(new) == 1:
        text = _marked(old[0].strip(), new[0].strip())
    else:
        text = f"[{_shortened(old)} → {_shortened(new)}]"
    return first + 1, f"{first + 1}: {text}"


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1
    return count


def _marked(old: str, new: str) -> str:
    one, other = (re.findall(r"\w+|\W", text) for text in (old, new))
    start = _common(one, other)
    end = _common(one[start:][::-1], other[start:][::-1])
    parts = (text[start : len(text) - end] for text in (one, other))
    was, now = ("".join(part).strip() for part in parts)
    before, after = "".join(one[:start]), "".join(one[len(one) - end :])
    return f"{before}[{was or 'nothing'} → {now or 'nothing'}]{after}"


def _shortened(lines: Sequence[str]) -> str:
    text = lines[0].strip() if lines else "nothing"
    return text if len(lines) < 2 else f"{text} …"


def _code(source: str) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what a change makes of the code
        return _comparable(compile(source, "<cell>", "exec", dont_inherit=True))


def _comparable(value: object) -> object:
    if isinstance(value, types.CodeType):
        names = (value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars)
        constants = tuple(map(_comparable, value.co_consts))
        return value.co_name, value.co_argcount, value.co_code, constants, names
    if isinstance(value, tuple):
        return tuple(map(_comparable, value))
    return type(value), repr(value)


# --- Where something is changed ------------------------------------------------------------------

Slot = tuple[ast.AST, str, int | None]  # a node, its field, and the place where that is a list
UNCHANGED = {"annotation", "returns", "decorator_list", "func_name", "ctx", "op", "ops"}


def _mutated(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(operator, source) of every change."""
    for slot, scope in _slots(tree, Scope(set(), {}, set())):
        node = _get(slot)
        for operator, change in OPERATORS.items():
            for new in change(node, slot, scope):
                _set(slot, new)
                yield operator, ast.unparse(ast.fix_missing_locations(tree))
                _set(slot, node)


def _get(slot: Slot) -> ast.AST:
    parent, field, index = slot
    value = getattr(parent, field)
    found: ast.AST = value if index is None else value[index]
    return found


def _set(slot: Slot, node: ast.AST) -> None:
    parent, field, index = slot
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def _slots(node: ast.AST, scope: Scope) -> Iterator[tuple[Slot, Scope]]:
    if isinstance(node, ast.FunctionDef):
        scope = scope_of(node)
    elif isinstance(node, ast.Compare) or (isinstance(node, ast.Call) and _called(node) in CUT):
        scope = Scope(set(), scope.beside, set())  # no gradient passes here
    for field, value in ast.iter_fields(node):
        if field in UNCHANGED:
            continue
        for index, child in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr):
                continue
            yield (node, field, index if isinstance(value, list) else None), scope
            if isinstance(child, ast.Raise):
                if isinstance(child.exc, ast.Call):
                    yield (child.exc, "func", None), scope
            else:
                yield from _slots(child, scope)


# --- What a function's names stand for -----------------------------------------------------------


@dataclass
class Scope:
    """A function's names that may carry gradients, those that hold several such, and for each
    name the one beside it: in the same unpacking, or the next argument of the same kind."""

    tensors: set[str]
    beside: dict[str, str]
    collections: set[str]


def scope_of(function: ast.FunctionDef) -> Scope:
    """The names of a function, as far as annotations and assignments tell."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    kinds = {a.arg: ast.unparse(a.annotation) for a in arguments if a.annotation}
    scope = Scope(
        {name for name, kind in kinds.items() if kind.removesuffix(" | None") == "torch.Tensor"},
        {},
        {name for name, kind in kinds.items() if re.search(r"\[torch\.Tensor\b", kind)},
    )
    for one, two in zip(kinds, list(kinds)[1:], strict=False):
        if kinds[one] == kinds[two]:
            scope.beside |= {one: two, two: one}
    nodes = [*ast.walk(function)]
    for node in nodes:
        if isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Store):
            names = [item.id for item in node.elts if isinstance(item, ast.Name)]
            if len(names) > 1:
                scope.beside |= dict(zip(names, [*names[1:], names[0]], strict=True))
    returns = ast.unparse(function.returns) if function.returns else ""
    if NUMBERS.fullmatch(returns) and ".backward(" not in ast.unparse(function):
        return Scope(set(), scope.beside, set())  # numbers alone leave it: no gradients to lose
    while True:
        before = len(scope.tensors)
        for node in nodes:
            if isinstance(node, ast.Assign):
                _assign(node.targets[0], node.value, scope)
            elif isinstance(node, ast.For | ast.comprehension) and isinstance(
                node.target, ast.Name
            ):
                several = isinstance(node.iter, ast.Name) and node.iter.id in scope.collections
                if several or _carries(node.iter, scope):
                    scope.tensors.add(node.target.id)
        if len(scope.tensors) == before:
            return scope


def _assign(target: ast.expr, value: ast.expr, scope: Scope) -> None:
    if isinstance(target, ast.Name) and _carries(value, scope):
        scope.tensors.add(target.id)
    elif isinstance(target, ast.Tuple):
        several = isinstance(value, ast.Name) and value.id in scope.collections
        if isinstance(value, ast.Tuple):
            for one, item in zip(target.elts, value.elts, strict=False):
                _assign(one, item, scope)
        elif several or (isinstance(value, ast.Call) and _carries(value, scope)):
            names = [item.id for item in target.elts if isinstance(item, ast.Name)]
            call = value.func if isinstance(value, ast.Call) else None
            # The second that max returns are places.
            places = isinstance(call, ast.Attribute) and call.attr in ("max", "min", "sort", "topk")
            scope.tensors.update(names[:1] if places else names)


def _carries(node: ast.expr, scope: Scope) -> bool:
    """Whether the expression may be a tensor with gradients."""
    if isinstance(node, ast.Name):
        return node.id in scope.tensors
    if isinstance(node, ast.BinOp):
        return _carries(node.left, scope) or _carries(node.right, scope)
    if isinstance(node, ast.UnaryOp):
        return _carries(node.operand, scope)
    if isinstance(node, ast.IfExp):
        return _carries(node.body, scope) or _carries(node.orelse, scope)
    if isinstance(node, ast.Subscript):
        return _carries(node.value, scope)
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute):
            if node.func.attr in NO_TENSOR | CUT:
                return False
            if _carries(node.func.value, scope):
                return True
        elif isinstance(node.func, ast.Name) and node.func.id in PLAIN_CALLS:
            return False
        return any(
            _carries(item, scope)
            or (
                isinstance(item, ast.List | ast.Tuple)
                and any(_carries(e, scope) for e in item.elts)
            )
            for item in node.args
        )
    return False


# --- The operators -------------------------------------------------------------------------------

Change = Callable[[ast.AST, Slot, Scope], Iterator[ast.AST]]


def _with(node: ast.AST, **fields: object) -> ast.AST:
    """A copy of the node, its children shared, with other fields."""
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _without(items: Sequence[ast.AST], index: int) -> list[ast.AST]:
    return [*items[:index], *items[index + 1 :]]


def _swapped(items: Sequence[ast.AST], index: int) -> list[ast.AST]:
    return [*items[:index], items[index + 1], items[index], *items[index + 2 :]]


def arithmetic(node: ast.AST, slot: Slot, scope: Scope) -> Iterator[ast.AST]:
    """+ to -, * to /, a sign dropped, a quotient rounded up."""
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in COMMON:
        yield _with(node, op=COMMON[type(node.op)]())
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv):
        negative = _with(node, left=ast.UnaryOp(ast.USub(), node.left))
        assert isinstance(negative, ast.expr)
        yield ast.UnaryOp(ast.USub(), negative)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node.operand


def comparisons(node: ast.AST, slot: Slot, scope: Scope) -> Iterator[ast.AST]:
    """< to <= and to >=, == to !=, is to is not."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for table in (BOUNDARY, OPPOSITE):
            if type(node.ops[0]) in table:
                yield _with(node, ops=[table[type(node.ops[0])]()])


def conditions(node: ast.AST, slot: Slot, scope: Scope) -> Iterator[ast.AST]:
    """A condition negated, and to or, one operand of them dropped."""
    if slot[1] == "test" and isinstance(node, ast.expr) and not isinstance(node, ast.Compare):
        yield ast.UnaryOp(ast.Not(), node)
    if isinstance(node, ast.BoolOp):
        yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        for index in range(len(node.values)):
            left = _without(node.values, index)
            yield left[0] if len(left) == 1 else _with(node, values=left)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand


def constants(node: ast.AST, slot: Slot, scope: Scope) -> Iterator[ast.AST]:
    """An int one more and one less (axes too), a float twice and half, a bool or text another."""
    if not isinstance(node, ast.Constant):
        return
    if isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node.value, int):
        yield ast.Constant(node.value + 1)
        yield ast.Constant(node.value - 1)
    elif isinstance(node.value, float):
        yield from map(ast.Constant, [node.value * 2, node.value / 2] if node.value else [1.0])
    elif isinstance(node.value, str):
        yield ast.Constant(f"{node.value}_")


def terms(node: ast.AST, slot: Slot, scope: Scope) -> Iterator[ast.AST]:
    """One operand of a sum, product or quotient dropped, the two swapped; a list's item too."""
    if isinstance(node, ast.BinOp):
        yield node.left
        yield node.right
        if isinstance(node.op, ORDERED):
            yield _with(node, left=node.right, right=node.left)
    if isinstance(node, ast.List | ast.Tuple) and len(node.elts) > 1:
        for index in range(len(node.elts) - 1):
            yield _with(node, elts=_swapped(node.elts, index))
        if isinstance(node, ast.List):
            for index in range(len(node.elts)):
                yield _with(node, elts=_without(node.elts, index))


def arguments(node: ast.AST, slot: Slot, scope: Scope) -> Iterator[ast.AST]:
    """An argument dropped, two neighbours swapped, where their order says something."""
    if isinstance(node, ast.Call):
        for index in range(len(node.keywords)):
            yield _with(node, keywords=_without(node.keywords, index))
        for index in range(len(node.args)) if len(node.args) > 1 else ():
            yield _with(node, args=_without(node.args, index))
        symmetric = _called(node) in ("min", "max", "transpose")
        for index in range(len(node.args) - 1) if not symmetric else ():
            yield _with(node, args=_swapped(node.args, index))


def _called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def boundaries(node: ast.AST, slot: Slot, scope: Scope) -> Iterator[ast.AST]:
    """The end of a range or slice one earlier or later, a slice's bound or step dropped."""
    if isinstance(node, ast.Slice):
        for field in ("lower", "upper", "step"):
            bound = getattr(node, field)
            if bound is None:
                continue
            yield _with(node, **{field: None})
            if field != "step":
                yield from (_with(node, **{field: one}) for one in _beside(bound))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        for one in _beside(node.args[-1]):
            yield _with(node, args=[*node.args[:-1], one])


def _beside(bound: ast.expr) -> Iterator[ast.expr]:
    if not any(isinstance(n, ast.Constant) for n in (bound, getattr(bound, "operand", None))):
        yield ast.BinOp(bound, ast.Add(), ast.Constant(1))
        yield ast.BinOp(bound, ast.Sub(), ast.Constant(1))


def calls(node: ast.AST, slot: Slot, scope: Scope) -> Iterator[ast.AST]:
    """A call replaced by what it is called on, or by its first argument."""
    if isinstance(node, ast.Call) and slot[1] != "exc":
        if isinstance(node.func, ast.Attribute) and _root(node.func) not in MODULES | {"super"}:
            yield node.func.value
        elif node.args and not isinstance(node.args[0], ast.Starred):
            yield node.args[0]


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id
    return node.id if isinstance(node, ast.Name) else ""


def functions(node: ast.AST, slot: Slot, scope: Scope) -> Iterator[ast.AST]:
    """mean to sum, zeros to ones, train to eval, and the like."""
    if isinstance(node, ast.Attribute) and node.attr in OTHER:
        yield _with(node, attr=OTHER[node.attr])
    if isinstance(node, ast.Name) and slot[1] in ("func", "exc") and node.id in OTHER:
        yield _with(node, id=OTHER[node.id])


def names(node: ast.AST, slot: Slot, scope: Scope) -> Iterator[ast.AST]:
    """A name replaced by the one beside it: height by width, mu by logvar."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in scope.beside:
        yield _with(node, id=scope.beside[node.id])


def gradients(node: ast.AST, slot: Slot, scope: Scope) -> Iterator[ast.AST]:
    """A tensor detached where it is used, assigned or returned."""
    parent, field, _ = slot
    if not isinstance(node, ast.expr) or not _carries(node, scope):
        return
    if isinstance(node, ast.Name):
        read = isinstance(parent, ast.Attribute) and parent.attr in NO_TENSOR
        plain = isinstance(parent, ast.Call) and _called(parent) in PLAIN_CALLS
        if not isinstance(node.ctx, ast.Load) or read or plain:
            return
    elif not (
        (field == "value" and isinstance(parent, ast.Return))
        or (isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Name))
        or (isinstance(parent, ast.Tuple) and field == "elts")
    ):
        return
    yield ast.Call(ast.Attribute(node, "detach", ast.Load()), [], [])


def statements(node: ast.AST, slot: Slot, scope: Scope) -> Iterator[ast.AST]:
    """A statement dropped; of a `with`, what it is with."""
    if isinstance(node, ast.stmt) and not isinstance(
        node, ast.Pass | ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom
    ):
        yield ast.Pass()
        if isinstance(node, ast.With):
            yield ast.If(ast.Constant(True), node.body, [])


OPERATORS: dict[str, Change] = {
    change.__name__: change
    for change in (
        *(arithmetic, comparisons, conditions, constants, terms, arguments, boundaries),
        *(calls, functions, names, gradients, statements),
    )
}
