"""The source files of a space: its own file, and the local modules that it imports.

A search keeps their digests and a copy: it is continued with the code that it was started with.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from searchspaces.space import SearchSpace


def find_sources(space: SearchSpace[Any]) -> dict[str, Path]:
    """Return the source files of a space, by their path below its folder.

    Imports are read, not run: those in functions count, those that a program computes do not. Of
    a space that Tunery includes, only its own file counts.
    """
    main = Path(space.source_file)
    if not main.is_file():  # defined in a notebook
        return {}
    if not space.file:
        return {main.name: main}
    sources = {main.name: main}
    unread = [main]
    while unread:
        path = unread.pop()
        for found in find_imports(path, main.parent):
            name = found.relative_to(main.parent).as_posix()
            if name not in sources:
                sources[name] = found
                unread.append(found)
    return sources


def hash_sources(space: SearchSpace[Any]) -> dict[str, str]:
    """Return the SHA-256 of each source file of a space, by its path below the space's folder."""
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in sorted(find_sources(space).items())
    }


def find_imports(path: Path, root: Path) -> Iterator[Path]:
    """Yield the files below a folder that a file imports."""
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _find_module(root, alias.name)
        elif isinstance(node, ast.ImportFrom):
            folder = root if not node.level else path.parents[node.level - 1]
            yield from _find_module(folder, node.module or "")
            for alias in node.names:
                prefix = f"{node.module}." if node.module else ""
                yield from _find_module(folder, prefix + alias.name)


def _find_module(folder: Path, name: str) -> Iterator[Path]:
    """Yield the file of a module below a folder, and those of the packages that it is in."""
    for part in filter(None, name.split(".")):
        package, module = folder / part / "__init__.py", folder / f"{part}.py"
        if package.is_file():
            yield package
        elif module.is_file():
            yield module
        folder = folder / part
