"""Arguments of public functions, read from their source text.

The functions live in modules that import torch, which takes seconds. Help and completion have to be
quick, so the signatures and docstrings are parsed, not imported.
"""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
KINDS = {"bool": bool, "int": int, "float": float, "str": str, "PathLike": str, "Path": str}
ENTRY = re.compile(r"^    (\w+):\s+(.*)$")


@dataclass(frozen=True)
class Values:
    """Values that an annotation allows and that can be written as text."""

    choices: tuple[str, ...] = ()
    """Texts that are allowed, of a `Literal`."""
    kinds: frozenset[type] = frozenset()
    """bool, int, float or str."""
    items: Values | None = None
    """Values of the items of a list."""
    count: int | None = None
    """Number of items, if it is fixed."""

    def __or__(self, other: Values) -> Values:
        """Return the values that either of two annotations allows."""
        choices = dict.fromkeys((*self.choices, *other.choices))
        kinds, count = self.kinds | other.kinds, self.count or other.count
        return Values(tuple(choices), kinds, self.items or other.items, count)

    def __bool__(self) -> bool:
        """Whether any value can be written as text."""
        return bool(self.choices or self.kinds or self.items)


@dataclass(frozen=True)
class Argument:
    """An argument of a function."""

    name: str
    values: Values
    default: Any
    """Its default if that is a plain value, else None."""
    summary: str = field(default="")
    """First sentence of its description."""


def arguments_of(place: str) -> list[Argument]:
    """Return the arguments of a function that can be given as text.

    Args:
        place: Module and name of a function, of a method or of a class, which has the arguments of
            its `__init__`, such as "geotranslate.data.preparation:prepare_data".
    """
    module, _, name = place.partition(":")
    function, described = _function(module, name)
    texts = _descriptions(ast.get_docstring(described) or "")
    found = [
        Argument(
            each.arg, _values(each.annotation, module), _plain(default), texts.get(each.arg, "")
        )
        for each, default in _pairs(function.args)
        if each.annotation is not None
    ]
    return [argument for argument in found if argument.values]


def _function(module: str, name: str) -> tuple[ast.FunctionDef, ast.FunctionDef | ast.ClassDef]:
    """Return a function, and the function or class whose docstring describes its arguments."""
    first, _, method = name.partition(".")
    node = _defined(module, first)[1]
    if isinstance(node, ast.FunctionDef):
        return node, node
    assert isinstance(node, ast.ClassDef)
    methods = {each.name: each for each in node.body if isinstance(each, ast.FunctionDef)}
    return methods[method or "__init__"], methods[method] if method else node


def _pairs(arguments: ast.arguments) -> list[tuple[ast.arg, ast.expr | None]]:
    """Return arguments with their defaults, None for those without one."""
    missing = len(arguments.args) - len(arguments.defaults)
    defaults = [*[None] * missing, *arguments.defaults]
    return [
        *zip(arguments.args, defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]


def _plain(default: ast.expr | None) -> Any:
    try:
        return None if default is None else ast.literal_eval(default)
    except ValueError:  # the name of a constant
        return None


def _descriptions(docstring: str) -> dict[str, str]:
    """Return the first sentence of each entry of a docstring's section `Args`."""
    _, _, section = docstring.partition("\nArgs:\n")
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if line and not line.startswith("    "):
            break
        if entry := ENTRY.match(line):
            name, text = entry.groups()
            found[name] = text
        elif line.strip() and name:
            found[name] += f" {line.strip()}"
    return {name: re.split(r"(?<=\.)\s", text)[0] for name, text in found.items()}


@functools.cache
def _parsed(module: str) -> ast.Module:
    place = PACKAGE.joinpath(*module.split(".")[1:])
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


@functools.cache
def _defined(module: str, name: str) -> tuple[str, ast.AST | None]:
    """Return the module of this package that defines a name, and its definition; None elsewhere."""
    for node in _parsed(module).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE.name):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _defined(node.module or "", alias.name)
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return module, node
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return module, node.value
    return module, None


def _values(node: ast.AST | None, module: str) -> Values:
    """Return the values that an annotation in a module allows."""
    if isinstance(node, ast.BinOp):
        return _values(node.left, module) | _values(node.right, module)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _values(ast.parse(node.value, mode="eval").body, module)
    if isinstance(node, ast.Subscript):
        return _generic(node, module)
    name = _name(node)
    if name in KINDS:
        return Values(kinds=frozenset({KINDS[name]}))
    if isinstance(node, ast.Name):
        home, definition = _defined(module, name)
        return _values(definition, home) if isinstance(definition, ast.expr) else Values()
    return Values()


def _generic(node: ast.Subscript, module: str) -> Values:
    """Return the values of an annotation with parameters, such as a list or a `Literal`."""
    name = _name(node.value)
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name == "Literal":
        texts = [each.value for each in inner if isinstance(each, ast.Constant)]
        flags = frozenset({bool}) if any(isinstance(text, bool) for text in texts) else frozenset()
        return Values(tuple(text for text in texts if isinstance(text, str)), flags)
    if name in KINDS:
        return Values(kinds=frozenset({KINDS[name]}))
    if name not in ("Sequence", "list", "tuple"):
        return Values()
    item = _values(inner[0], module)
    # A list of lists cannot be written as one text.
    if not item or item.items is not None:
        return Values()
    fixed = name == "tuple" and not any(_is_ellipsis(each) for each in inner)
    return Values(items=item, count=len(inner) if fixed else None)


def _is_ellipsis(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _name(node: ast.AST | None) -> str:
    """Return the last part of a dotted name, or nothing."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
