"""Space files of the user as modules: this module imports them, in any process, by their names.

The name of such a module ends with the file's own and a digest of its path. A process that a task
spawns gets this process's `sys.path`, on which the folder of the file is, and so finds the file
again when it unpickles what the file defines.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import re
import sys
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from searchspaces.source import find_imports
from trainables.errors import UserError

__path__: list[str] = []
"""Makes this module a package, whose modules only the finder below knows."""
PREFIX = f"{__name__}."
_BESIDE: dict[str, ModuleType] = {}
"""Modules that space files of the user have imported from beside them, by name."""
_EXECUTED: dict[str, dict[ModuleType, str]] = {}
"""The module of each space file and those beside it, with the digests of their files."""


def to_module_name(path: Path) -> str:
    """Return the name of the module of a file, whose path is absolute."""
    stem = re.sub(r"\W", "_", path.stem)
    return f"{PREFIX}{stem}_{zlib.crc32(str(path).encode(errors='surrogateescape')):08x}"


def execute_file(path: Path) -> ModuleType:
    """Return the module of a file; raises whatever its code raises.

    A process executes it once, as Python does, and anew where it or a module beside it that it
    imports has changed, or where another file has replaced these modules.
    """
    path = path.resolve()
    name = to_module_name(path)
    if _is_current(_EXECUTED.get(name, {})):
        return sys.modules[name]
    _EXECUTED.pop(name, None)
    loader, digest = _Executor(), _hash_file(path)
    spec = importlib.util.spec_from_loader(name, loader, origin=str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module by name
    loader.exec_module(module)
    beside = {of: _hash_file(Path(str(of.__file__))) for of in _BESIDE.values()}
    _EXECUTED[name] = {module: digest, **beside}
    return module


def _is_current(executed: Mapping[ModuleType, str]) -> bool:
    """Return whether modules are in use, and their files as they were when they were executed."""
    return bool(executed) and all(
        sys.modules.get(module.__name__) is module
        and _hash_file(Path(str(module.__file__))) == digest
        for module, digest in executed.items()
    )


def _hash_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


class _Executor(Loader):
    """Executes a file from its text: within a second of a change, Python runs old bytecode."""

    def exec_module(self, module: ModuleType) -> None:
        """Execute the file that the module's spec names."""
        assert module.__spec__ is not None and module.__spec__.origin is not None
        path = Path(module.__spec__.origin)
        module.__file__ = str(path)
        # Whatever the file does, paths of the command line mean the folder that it was given in,
        # and warnings of MLflow or SQLAlchemy do not become errors.
        with _import_beside(path), contextlib.chdir("."), warnings.catch_warnings():
            exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)


class _Finder(MetaPathFinder):
    """Finds the file of a module in the folders of `sys.path`."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of the module of a space file, None for any other module."""
        if not name.startswith(PREFIX):
            return None
        for folder in sys.path:
            for file in Path(folder).glob("*.py"):
                if to_module_name(file) == name:
                    return importlib.util.spec_from_loader(name, _Executor(), origin=str(file))
        return None


sys.meta_path.append(_Finder())


@contextlib.contextmanager
def _import_beside(path: Path) -> Iterator[None]:
    """Let a file import the modules beside it, first as in a script, later after all others.

    Modules of another folder that such a file has imported before do not get in its way.
    """
    folder = str(path.parent)
    for name, module in _BESIDE.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]
    _BESIDE.clear()
    _check_not_loaded(path)
    before = set(sys.modules)
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)  # for imports in functions
        for name in sys.modules.keys() - before:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if Path(file).is_relative_to(path.parent) and "site-packages" not in file:
                _BESIDE[name] = sys.modules[name]


def _check_not_loaded(path: Path) -> None:
    """Raise UserError where a file imports a module beside it whose name is taken already."""
    with contextlib.suppress(SyntaxError, ValueError):  # told when the file is executed
        for found in find_imports(path, path.parent):
            name = found.relative_to(path.parent).parts[0].removesuffix(".py")
            taken = getattr(sys.modules.get(name), "__file__", None)
            if name in sys.modules and not Path(taken or "").is_relative_to(path.parent):
                raise UserError(
                    f"{path} imports {name}, and {found} has the name of a module that is in use "
                    f"already ({taken or 'a part of Python'})\nrename {found.name}"
                )
