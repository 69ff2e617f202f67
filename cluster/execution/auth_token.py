"""Ray's token, which lets its owner run code on a cluster: a file that no other user can read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from trainables.errors import UserError

ELSEWHERE = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
"""Variables that name another token."""


def ensure_private_token() -> None:
    """Write Ray's token where there is none, and let only its owner read an existing one.

    Ray itself writes the file with the usual permissions, which let every user of the machine
    read it. Raises UserError where that is impossible.
    """
    if any(os.environ.get(name) for name in ELSEWHERE):
        return
    path = Path.home() / ".ray" / "auth_token"
    try:
        if not path.exists():
            _write(path, secrets.token_hex(32))
        seen = path.stat()
        if seen.st_mode & 0o077 and seen.st_uid == os.getuid():
            path.chmod(0o600)
    except OSError as error:
        raise UserError(
            f"cannot write Ray's token {path}: {error.strerror}\n"
            "fix that, or name another file with RAY_AUTH_TOKEN_PATH"
        ) from error


def _write(path: Path, token: str) -> None:
    # The file appears with its content: Ray may be started twice at once.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
    file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "w") as sink:
            sink.write(token)
        try:
            os.link(part, path)
        except FileExistsError:
            return
        except OSError:  # a file system without hard links
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
