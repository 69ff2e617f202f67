"""Read the imports of all modules out of their source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

PACKAGES = ("cluster", "reports", "searchspaces", "trainables")


@dataclass(frozen=True)
class Import:
    """One module imports another, which is ours or a library's; `typing` if never at run time."""

    by: str
    what: str
    typing: bool = False
    lazy: bool = False


def _modules() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = _modules()


def imports_of(module: str, source: str, known: set[str]) -> list[Import]:
    """List what a module imports, submodules of ours by their full names."""

    def walk(node: ast.AST, typing: bool, lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, typing, lazy)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{module} has a relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield Import(module, full if full in known else node.module, typing, lazy)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for child in node.body:
                yield from walk(child, True, lazy)
            for child in node.orelse:
                yield from walk(child, typing, lazy)
        else:
            inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for child in ast.iter_child_nodes(node):
                yield from walk(child, typing, inside)

    return list(walk(ast.parse(source), False, False))


IMPORTS = [
    found
    for module, path in MODULES.items()
    for found in imports_of(module, path.read_text(), set(MODULES))
]


def within(module: str, package: str) -> bool:
    """Return whether a module is a package or inside it."""
    return module == package or module.startswith(f"{package}.")
