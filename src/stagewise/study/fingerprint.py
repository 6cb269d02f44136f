"""A hash of what code *does*: the abstract syntax tree of some files and of every module of this
package that they import, transitively, without comments, formatting and docstrings.

A run carries the fingerprint of its script and of the modules that its spec names (its network's
file, its method's, its recipe's), so an edit reruns exactly the runs whose code it changed.

What computes nothing is left out (``OUTSIDE``): how files are found by name and what they declare,
how a spec is written (its values are compared themselves), how processes start and speak.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

from stagewise.catalogue import PACKAGE

OUTSIDE = (
    "stagewise.catalogue",
    "stagewise.declarations",
    "stagewise.errors",
    "stagewise.process",
    "stagewise.study",
)
"""Modules, and packages with all that they hold, that no fingerprint covers."""
_OUTSIDE = tuple(f"{name}." for name in OUTSIDE)

_DOCUMENTED = frozenset({ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef})
_PLAIN = frozenset({type(None), type(...), bool, int, float, complex, str, bytes})
_BLOCKS = ("body", "handlers", "orelse", "finalbody", "cases")


@cache
def _module_path(module: str) -> Path | None:
    base = PACKAGE.parent.joinpath(*module.split("."))
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def _canonical(node: Any) -> str:
    """Text of a tree, the same on every supported Python: class names and non-empty fields."""
    kind = node.__class__
    # Every start does this for every file: a node is worth one call, a plain value none.
    if kind in _PLAIN:
        return f"{node!r}"
    text = ""
    if kind is list:
        for part in node:
            text += "," + _canonical(part)
        return f"[{text[1:]}]"
    fields = node.__dict__
    if kind in _DOCUMENTED and ast.get_docstring(node, clean=False) is not None:
        fields = {**fields, "body": fields["body"][1:]}
    for name in node._fields:
        value = fields[name]
        if value.__class__ in _PLAIN:
            text += f",{name}={value!r}" if value is not None else ""
        elif value != []:
            text += f",{name}={_canonical(value)}"
    return f"{kind.__name__}({text[1:]})"


def _statements(tree: ast.Module) -> list[Any]:
    """All statements of a tree, without the expressions in them, which import nothing."""
    found: list[Any] = [*tree.body]
    for node in found:  # which grows meanwhile
        fields = node.__dict__
        for block in _BLOCKS:
            if block in fields:
                found += fields[block]
    return found


def _imports(tree: ast.Module, module: str, is_package: bool) -> set[str]:
    found: set[str] = set()
    for node in _statements(tree):
        if node.__class__ is ast.Import:
            found |= {alias.name for alias in node.names}
        elif node.__class__ is ast.ImportFrom:
            base = node.module or ""
            if node.level:
                package = module if is_package else module.rpartition(".")[0]
                base = resolve_name("." * node.level + base, package)
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


@cache
def _scan(path: Path, module: str) -> tuple[str, frozenset[str]]:
    """Hash of one file, and the modules of this package that importing it runs."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    found = _imports(tree, module, path.name == "__init__.py") | {module}
    needed: set[str] = set()
    for name in found:
        if name.split(".")[0] == PACKAGE.name and _module_path(name):
            parts = name.split(".")
            needed |= {".".join(parts[:end]) for end in range(1, len(parts) + 1)}
    return hashlib.sha256(_canonical(tree).encode()).hexdigest(), frozenset(needed - {module})


def modules(start: Iterable[str]) -> list[str]:
    """``start`` and all modules of this package that they import, sorted, but for ``OUTSIDE``."""
    todo, seen = list(start), set()
    while todo:
        module = todo.pop()
        path = _module_path(module)
        if module not in seen and path is not None and not f"{module}.".startswith(_OUTSIDE):
            seen.add(module)
            todo += _scan(path, module)[1]
    return sorted(seen)


@cache
def fingerprint(script: Path, *named: str) -> str:
    """Sixteen hex digits for ``script`` and the modules that it imports or that are ``named``."""
    own, imported = _scan(script, "__main__")
    parts = [f"script {own}"]
    for module in modules([*imported, *named]):
        path = _module_path(module)
        assert path is not None
        parts.append(f"{module} {_scan(path, module)[0]}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
