"""Keep credentials out of what is printed and written: user names, passwords and tokens.

An address is read as its reader does. MLflow takes `http://` addresses apart as RFC 3986 says,
where a path may contain `@`. SQLAlchemy takes all up to `@` for the password, slashes, blanks and
question marks too. In a text it is open where an address ends: what may be a password is hidden.
"""

from __future__ import annotations

import re
import sys
import threading
import traceback
from types import TracebackType
from urllib.parse import unquote_plus

from trainables.terminal import print_text

HIDDEN = "***"
RFC_3986 = {"http", "https", "s3", "gs", "gcs", "ray", "hdfs", "viewfs", "ftp", "ws", "wss"}
RFC_3986 |= {"abfs", "abfss", "wasb", "wasbs", "mlflow-artifacts", "databricks"}
FILES = {"file", "sqlite", "duckdb"}
"""Schemes without a server."""
NAMES = {
    "postgresql",
    "postgres",
    "mysql",
    "mariadb",
    "mssql",
    "oracle",
    "cockroachdb",
    "redshift",
}
NAMES |= {"abfs", "abfss", "wasb", "wasbs", "hdfs", "viewfs", "ssh", "sftp", "git", ""}
"""Schemes whose user alone is a plain name: to a web server it may be a token."""
LONGEST = 500
"""Characters of a password that contains blanks or slashes."""

START = re.compile(r"(?:\b([A-Za-z][\w+.-]{0,30}):|(?<![/:]))//(?!/)")
PORT = re.compile(r"\d{1,5}(?=[/?#]|$)")
PORT_IN_TEXT = re.compile(r"\d{1,5}(?=[/?#\s'\"),;]|:\s|$)")
SQLALCHEMY = re.compile(r"[^:/]*:[^@]*@")
"""User and password in SQLAlchemy's `make_url`."""
HOST = re.compile(r"(?:\[[^\]\s]+\]|[\w.%-]+)(?::\d{1,5})?(?=[/?#]|$)")
HOST_IN_TEXT = re.compile(r"(?:\[[^\]\s]+\]|[\w.%-]+)(?::\d{1,5})?(?=[/?#\s'\"),;]|:\s|$)")
NO_SCHEME = re.compile(r"(?<![\w/.:@\[%+-])[A-Za-z_][\w.%+-]*:(?![/\\@\s*])\S{0,300}@(?=[\w\[])")
ENCODED = re.compile(r"(%3A%2F%2F)(?!\*)[^\s&/]{1,300}(?=%40)", re.IGNORECASE)
DRIVE = re.compile(r"[A-Za-z]:[/\\]")
KEY = re.compile(
    r"([?&;]\s*|#|%3F|%26|%3B)([^=&;?\s%]+(?:%(?!3D)[^=&;?\s%]+)*)(\s*=\s*|%3D)", re.I
)
SECRET_KEY = re.compile(
    r"key|secret|token|passw|pass$|passphrase|passcode|pwd|auth(?!or(?!iz))|signature|credential"
    r"|jwt|session|^sas$|^sig$|^x-amz-",
    re.IGNORECASE,
)
HARMLESS = {"mode", "cache", "uri", "immutable", "vfs", "nolock", "charset", "encoding"}
HARMLESS |= {"client_encoding", "collation", "timeout", "driver", "connect_timeout"}
HARMLESS |= {"read_timeout", "write_timeout", "pool_timeout", "pool_size", "ssl", "sslmode"}
HARMLESS |= {"ssl_mode", "ssl_ca", "sslrootcert", "ssl_verify_cert", "encrypt"}
HARMLESS |= {"trustservercertificate", "trusted_connection", "host", "hostname", "port"}
HARMLESS |= {"server", "user", "username", "uid", "database", "dbname", "db", "schema"}
HARMLESS |= {"warehouse", "role", "account", "project", "project_id", "region", "scheme"}
HARMLESS |= {"endpoint_override", "allow_bucket_creation", "allow_bucket_deletion", "anonymous"}
HARMLESS |= {"replication", "autocommit", "isolation_level", "application_name", "run_id"}
HARMLESS |= {"run_uuid", "experiment_id", "path", "name", "version", "prefix"}
"""Keys in the query of an address whose values are shown; any other may name a secret."""
HEADER = re.compile(
    r"((?:authorization|cookie)['\"]?\s*[:=]\s*(?:b?['\"])?+"
    r"(?:(?:basic|bearer|digest|token|negotiate)\s+)?+)(?!\*)[^\s'\"]+"
    r"|(\b(?:Bearer|Basic)\s+)(?!auth|token|\*)(?=[^\sA-Z0-9=]*[A-Z0-9=])[\w.~+/=-]{3,}",
    re.IGNORECASE,
)
VALUE = r"('(?:[^'\\\n]|\\.|'')*'|\"(?:[^\"\\\n]|\\.)*\"|[^\s;]+)"
ASSIGNED = re.compile(
    r"(?<![?&;\w.-])((?:[\w.-]*[_.-])?(?:"
    r"(?:password|passwd|passphrase|secret|api[_-]?key|(?:access|secret|private|account|shared)[_-]?key"
    r"(?:[_-]id)?)['\"]?\s*[:=]\s*"
    # `token` is a word of language models, too: only where it is no code.
    r"|(?<![\w.-])token(?:=|['\"]:\s*)"
    r"|(?:access|auth|refresh|id|api|bearer|session|security|hf|sas|tracking|github)[_-]token"
    r"(?:=|['\"]?:\s*)))"
    r"(?!\*\*\*|(?:YES|NO)\b)" + VALUE,
    re.IGNORECASE,
)


def has_credentials(text: str) -> bool:
    """Return whether an address in a text contains a password or a token."""
    return redact_address(text) != text


def redact(text: str) -> str:
    """Return a text with the user names, passwords and tokens of its addresses as `***`."""
    return _redact_all(text, is_address=False)


def redact_address(text: str) -> str:
    """Return one address, or one word of a command, with its credentials as `***`."""
    return _redact_all(text, is_address=True)


def first_line(error: BaseException) -> str:
    """Return the first line of an error, redacted, at most 300 characters."""
    text = str(error).strip() or type(error).__name__
    return redact(text.splitlines()[0])[:300]


def redact_tracebacks() -> None:
    """Let what ends this process, or one of its threads, be printed with credentials hidden."""

    def print_error(
        kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error or kind(), trace)
            return
        text = "".join(traceback.format_exception(kind, error, trace))
        print_text(redact(text), sys.stderr, end="")

    sys.excepthook = print_error
    threading.excepthook = lambda failed: print_error(
        failed.exc_type, failed.exc_value, failed.exc_traceback
    )


def _redact_all(text: str, is_address: bool) -> str:
    # What is hidden may uncover another notation: a text is never redacted further than once.
    while (hidden := _redact(text, is_address)) != text:
        text = hidden
    return text


def _redact(text: str, is_address: bool) -> str:
    parts, at = [], 0
    for start in START.finditer(text):
        if start.start() >= at:
            end = _find_end(text, start.end(), (start[1] or "").lower(), is_address)
            if end is not None:
                parts += [text[at : start.end()], HIDDEN]
                at = end
    text = "".join([*parts, text[at:]])
    text = ENCODED.sub(rf"\1{HIDDEN}", text)
    text = _hide_values(text, is_address)
    text = HEADER.sub(lambda found: f"{found[1] or found[2]}{HIDDEN}", text)
    text = ASSIGNED.sub(rf"\1{HIDDEN}", text)
    return NO_SCHEME.sub(f"{HIDDEN}@", text)


def _find_end(text: str, start: int, scheme: str, is_address: bool) -> int | None:
    """Return where the `@` behind user and password is; None without a secret before it."""
    dialect, by_rfc = scheme.partition("+")[0], scheme in RFC_3986
    at = _find_at(text, start, by_rfc, is_address)
    if at is None or text.startswith(f"{HIDDEN}@", start):
        return None
    if dialect in FILES and (":" not in text[start:at] or DRIVE.match(text, start)):
        return None
    host = HOST if is_address else HOST_IN_TEXT
    line = len(text) if is_address else at + len(_match(rf".{{0,{LONGEST}}}", text, at))
    # A password may begin with `@`, and a user or a password contain it.
    while text[at - 1] == ":" or not host.match(text, at + 1):
        more = text.find("@", at + 1, line)
        if more < 0:
            break
        at = more
    at += _match(r"[^/?#\s]*" if by_rfc else r"[^?\s]*", text, at).rfind("@")
    return None if ":" not in text[start:at] and dialect in NAMES else at


def _find_at(text: str, start: int, by_rfc: bool, is_address: bool) -> int | None:
    """Return where the first `@` behind what may be a password or a token is."""
    if is_address and not by_rfc and (accepted := SQLALCHEMY.match(text, start)):
        return accepted.end() - 1
    blank = "" if is_address else r"\s"
    server = _match(rf"[^{'/?#' if by_rfc else '/?'}{blank}]*", text, start)
    if "@" in server:
        return start + server.index("@")
    if text.startswith("[", start) and by_rfc:  # an IPv6 address and its port
        return None
    user = _match(rf"[^:/?#\n@{blank if by_rfc else ''}]*", text, start)
    password = start + len(user) + 1
    if not text.startswith(":", password - 1):
        return None
    rest = text[password:] if is_address else _match(rf"\S.{{0,{LONGEST}}}", text, password)
    if (PORT if is_address else PORT_IN_TEXT).match(rest):
        if by_rfc:
            return None
        rest = rest if is_address else _match(r"[^\s?]*", rest, 0)
    found = rest.find("@", 0, LONGEST)
    return password + found if found >= 0 else None


def _match(pattern: str, text: str, start: int) -> str:
    found = re.compile(pattern).match(text, start)
    return found[0] if found else ""


def _hide_values(text: str, is_address: bool) -> str:
    """Hide values in queries, and in settings with `;` between them.

    In an address these are all but the harmless ones, elsewhere those of secret keys.
    """
    parts, at = [], 0
    blank = "" if is_address and "://" in text else r"\s"
    addresses = re.finditer(rf"://[^{blank}]*" if blank else r"(?s)://.*", text)
    ends = dict.fromkeys("?&#", rf"[^&{blank}]*") | {";": r"{[^}\n]*}(?![^;\s])|[^;\s]*"}
    address = next(addresses, None)
    for found in KEY.finditer(text):
        while address is not None and address.end() <= found.start():
            address = next(addresses, None)
        key = unquote_plus(found[2]).lower()
        in_address = address is not None and address.start() < found.start()
        is_secret = SECRET_KEY.search(key) or (in_address and key not in HARMLESS)
        if found.start() < at or not is_secret:
            continue
        value = _match(ends.get(found[1][0], r"(?:(?!%3B|%26|&)\S)*"), text, found.end())
        if value:
            parts += [text[at : found.end()], HIDDEN]
            at = found.end() + len(value)
    return "".join([*parts, text[at:]])
