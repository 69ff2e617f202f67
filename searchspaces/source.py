"""The sources of a space: its own file, and the local modules that it imports.

A search keeps their digests and a copy: it is continued with the code that it was started with.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from searchspaces.space import SearchSpace

TUNERY = Path(__file__).resolve().parents[1]
DEFINITIONS = "definitions.py"
"""Name of the code of a space's Config and functions, where Python code hands the space over."""


def read_sources(space: SearchSpace[Any]) -> dict[str, bytes]:
    """Return the source files of a space, by their path below its folder.

    Imports are read, not run: those in functions count, those that a program computes do not, nor
    do installed packages. Modules of another folder are named by their path below that. Of a space
    that Tunery includes, only its own file counts. Of a space that Python code hands over, the
    code of its Config and its functions counts as well, since its file may have several.
    """
    main = Path(space.source_file)
    sources = {DEFINITIONS: _read_definitions(space)} if space.by_value else {}
    if not main.is_file():  # a cell of a notebook
        return sources
    sources[main.name] = main.read_bytes()
    unread = [main] if space.file else []
    folders = [main.parent, *list_folders()]
    # The innermost one names a file: the working directory may be a folder of modules, too.
    homes = [main.parent, *sorted(folders, key=lambda folder: -len(folder.parts))]
    while unread:
        path = unread.pop()
        for folder in folders:
            for found in find_imports(path, folder):
                home = next(filter(found.is_relative_to, homes), None)
                if home is None:  # imported by a dot, from beside the file
                    continue
                name = found.relative_to(home).as_posix()
                if name not in sources:
                    sources[name] = found.read_bytes()
                    unread.append(found)
    return sources


def _read_definitions(space: SearchSpace[Any]) -> bytes:
    parts: list[Any] = [space.config, space.train, space.suggest, space.feasible, space.prepare]
    texts = []
    for part in filter(None, parts):
        with contextlib.suppress(OSError, TypeError):  # typed at a prompt, or built by a program
            texts.append(inspect.getsource(part))
    return "\n\n".join(texts).encode()


def hash_sources(space: SearchSpace[Any]) -> dict[str, str]:
    """Return the SHA-256 of each source file of a space, by its path below the space's folder."""
    return {
        name: hashlib.sha256(content).hexdigest()
        for name, content in sorted(read_sources(space).items())
    }


def list_folders() -> list[Path]:
    """Return the folders that modules are imported from, but for installed ones and Tunery's."""
    installed = [Path(place).resolve() for place in {sys.prefix, sys.base_prefix}]
    folders = dict.fromkeys(Path(entry).resolve() for entry in sys.path)
    return [
        folder
        for folder in folders
        if folder.is_dir()
        and folder != TUNERY
        and not any(folder.is_relative_to(place) for place in installed)
        and not {"site-packages", "dist-packages"} & set(folder.parts)
    ]


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
