"""Which spaces are included, and what they ask: read from their files, without importing them."""

from __future__ import annotations

import ast
import re
from pathlib import Path


def list_names() -> list[str]:
    """Return the names of the included spaces: the files here that define SPACE."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    defined = re.compile(r"^SPACE\b", re.MULTILINE)
    return [path.stem for path in files if defined.search(path.read_text(encoding="utf-8"))]


def read_question(name: str) -> str:
    """Return the question of an included space."""
    return find_question(read_docstring(Path(__file__).with_name(f"{name}.py")))


def read_docstring(path: Path) -> str | None:
    """Return the docstring of a module's file, which `python -OO` removes from the module."""
    return ast.get_docstring(ast.parse(path.read_bytes()))


def find_question(docstring: str | None) -> str:
    """Return the first paragraph of a docstring, in one line."""
    return " ".join((docstring or "").strip().split("\n\n")[0].split())
