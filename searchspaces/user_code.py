"""Call code of the user, and turn what it raises into one message with its file and line."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator

from trainables.checkpoint import find_os_error
from trainables.errors import UserError, is_disk_full
from trainables.terminal import escape_control


@contextlib.contextmanager
def user_code(what: str, file: str, failure: type[UserError] = UserError) -> Iterator[None]:
    """Raise `failure` for whatever code raises in this context, with `what` was called.

    UserErrors, a full disk and Ctrl-C stay as they are.

    The line is the last one that was reached in `file`, a space file, or else the last of all.
    """
    try:
        yield
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:  # an exit, too, and a panic of an extension in Rust
        if is_disk_full(find_os_error(error) or error):
            raise
        raise failure(f"{what} raised {describe(error)}{find_line(error, file)}") from error


def describe(error: BaseException) -> str:
    """Return an error in one line: its type and message, at most 500 characters."""
    text = read_message(error)
    return f"{type(error).__name__}: {text[:500]}" if text else type(error).__name__


def read_message(error: BaseException) -> str:
    """Return the message of an error in one line, empty where the error cannot say it."""
    try:
        return escape_control(" ".join(str(error).split()))
    except Exception:  # its __str__ is code of the user, too
        return ""


def find_line(error: BaseException, file: str) -> str:
    """Return `(file, line N)`, the last line of a file that an error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == file]
    # Without a line in the file, the error is in something that the file calls.
    frame = (own or frames[1:] or frames)[-1]
    return f" ({frame.filename}, line {frame.lineno})"
