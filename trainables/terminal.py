"""Print any text on any terminal, and keep printing whatever a task does to the streams."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NoReturn, TextIO

from trainables.errors import BAD_INPUT, INTERRUPTED, UserError, is_disk_full

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Characters that a terminal obeys, such as the start of a colour; not tabs and ends of lines."""
FREE = "free some space, or redirect the output to another disk; a search continues with --resume"
EXIT_LIMIT = 10.0
"""Seconds after which a command ends although threads of a task run on."""


def run_main(main: Callable[[], int]) -> NoReturn:
    """Run the main function of a command and exit with its code.

    Ctrl-C while it imports what it needs, and a full disk, show no traceback.
    """
    prepare_output()
    check_current_folder()
    try:
        try:
            code = main()
        finally:
            flush_output()
    except SystemExit as error:
        limit_exit(error.code if isinstance(error.code, int) else int(error.code is not None))
        raise
    except KeyboardInterrupt:
        print_text("\ninterrupted; give the same command again", sys.stderr)
        code = INTERRUPTED
    except UserError as error:
        print_text(error, sys.stderr)
        code = BAD_INPUT
    except OSError as error:
        if not is_disk_full(error):
            raise
        print_text(f"the output cannot be written: {error}\n{FREE}", sys.stderr)
        code = BAD_INPUT
    limit_exit(code)
    sys.exit(code)


def limit_exit(code: int) -> None:
    """End this process, which is about to exit, in spite of threads that a task has left running.

    Python would wait for one that is no daemon, for ever. They have EXIT_LIMIT to end.
    """

    def end() -> None:
        main = threading.main_thread()
        left = [t.name for t in threading.enumerate() if not t.daemon and t is not main]
        if left:
            with contextlib.suppress(UserError):  # nobody may read it: the process ends anyway
                print_text(
                    f"the command ends although a thread that a task has started runs on: "
                    f"{', '.join(left)}\nend it in the task, or start it with daemon=True",
                    sys.stderr,
                )
            os._exit(code)

    timer = threading.Timer(EXIT_LIMIT, end)
    timer.daemon = True
    timer.start()


def check_current_folder() -> None:
    """Exit with a message where the current folder exists no more: most paths start from it."""
    try:
        Path.cwd()
    except FileNotFoundError:
        name = os.environ.get("PWD", "")
        print_text(
            f"the current folder {name} exists no more\ncd to another folder, then give the same "
            "command",
            sys.stderr,
        )
        sys.exit(BAD_INPUT)


def escape_control(text: str) -> str:
    """Return text whose control characters are shown, and not obeyed."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def print_text(text: object, file: TextIO | None = None, end: str = "\n") -> None:
    """Print a text that holds what is not Tunery's own, such as names and messages of errors."""
    with write_to(file or sys.stdout):
        print(escape_control(str(text)), file=file, end=end)


def print_json(value: object) -> None:
    """Print a value as JSON, which escapes control characters itself."""
    with write_to(sys.stdout):
        print(json.dumps(value, indent=2))


@contextlib.contextmanager
def write_to(stream: IO[str] | None) -> Iterator[None]:
    """Write to a stream in this context, and go on where nobody reads it, as after `| head`.

    Raises UserError where it cannot be written, as to a full disk.
    """
    try:
        yield
        if stream is not None:
            stream.flush()
    except OSError as error:
        if stream is not None:  # what is left there would be written again when Python exits
            discard_output([stream.fileno()])
        if not isinstance(error, BrokenPipeError):
            raise UserError(f"the output cannot be written: {error.strerror}\n{FREE}") from error


def discard_output(streams: Iterable[int] = (1, 2)) -> None:
    """Discard what is written to these descriptors from now on: nobody can read it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nowhere, stream)
    os.close(nowhere)


def flush_output() -> None:
    """Write out what was printed; without a reader, Python would report it when it exits."""
    for stream in (sys.stdout, sys.stderr):
        with write_to(stream):
            pass


def prepare_output() -> None:
    """Open closed descriptors, and let standard output and error escape what they cannot encode.

    A file that is opened while descriptor 1 is closed (`>&-`) would get it, and all that libraries
    print. In the C locale, or with PYTHONIOENCODING=ascii, printing some characters would raise
    UnicodeEncodeError. A width or height of the environment that is no positive number is as if
    unset: with COLUMNS=0, rich prints nothing.
    """
    for name in ("COLUMNS", "LINES"):
        if not re.fullmatch("0*[1-9][0-9]{0,4}", os.environ.get(name, "1")):
            del os.environ[name]
    for descriptor in (0, 1, 2):
        if not _is_open(descriptor):
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def announce(text: str) -> None:
    """Print what is being loaded, on a terminal only: imports take seconds and show nothing."""
    if sys.stderr.isatty():
        print_text(f"{text} ...", sys.stderr)


class SharedStream:
    """Writes to a stream that others use, too: closing or detaching it closes nothing."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        """Return what the stream has by that name."""
        return getattr(self._stream, name)

    @property
    def buffer(self) -> SharedStream:
        """Return the binary stream below, shared as well."""
        return SharedStream(self._stream.buffer)

    def close(self) -> None:
        """Write out what was printed."""
        self._stream.flush()

    def detach(self) -> SharedStream:
        """Return the binary stream below."""
        self.close()
        return self.buffer


@contextlib.contextmanager
def share_streams() -> Iterator[None]:
    """Let a task in this context replace or close standard output and error for itself only."""
    streams = sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__
    shared: Any = [stream and SharedStream(stream) for stream in streams]
    sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__ = shared  # type: ignore[misc]
    try:
        with _restore_descriptors():
            yield
    finally:
        sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__ = streams  # type: ignore[misc]


@contextlib.contextmanager
def _restore_descriptors() -> Iterator[None]:
    """Open the descriptors 1 and 2 again that are closed or replaced in this context."""
    kept = {number: os.dup(number) for number in (1, 2) if _is_open(number)}
    try:
        yield
    finally:
        for number, copy in kept.items():
            if not _is_open(number) or not os.path.sameopenfile(number, copy):
                os.dup2(copy, number)
            os.close(copy)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
