"""Credentials are neither printed nor written, and a path with an `@` has none."""

from __future__ import annotations

import re
import subprocess
import sys
from urllib.parse import quote

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from cluster.storage.redaction import HARMLESS, first_line, has_credentials, redact, redact_address


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ada:p@ss@host:80/x and a@b", "http://***@host:80/x and a@b"),
        ("two: a://t0ken@h, b://u:p@h/", "two: a://***@h, b://***@h/"),
        ("sqlite:///a@b.db", "sqlite:///a@b.db"),
        ("sqlite:////tmp/a@b.db", "sqlite:////tmp/a@b.db"),
        ("http://host/a@b", "http://host/a@b"),
        ("http://me:p@ss@host:1/a@b", "http://***@host:1/a@b"),
        ("x http://token@host y https://a:b@c", "x http://***@host y https://***@c"),
        (
            "postgresql://h/d?user=me&password=x&ssl=1",
            "postgresql://h/d?user=me&password=***&ssl=1",
        ),
    ],
)
def test_credentials_are_left_out(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://me:planted@server:5000", True),
        ("https://planted@server", True),  # to a web server, a user name may be a token
        ("postgresql://h/d?user=me&password=planted", True),
        ("s3://b/x?secret_key=planted", True),
        ("abfs://:planted@b/x", True),
        ("postgresql://me@host/d", False),
        ("abfs://container@account.net/x", False),
        ("http://server:5000/a@b", False),
        ("sqlite:///a@b.db", False),
        ("s3://b/x?region=eu", False),
    ],
)
def test_a_password_or_token_is_a_credential(text: str, expected: bool) -> None:
    assert has_credentials(text) == expected


UNCHANGED = [
    *("sqlite:////tmp/a@b.db", "sqlite:///C:/x@y", "file:///tmp/x@y", "C:/x@y", r"C:\x@y"),
    *("/tmp/a:b@c/d", "runs:/abc@1", "models:/net@champion", "git@github.com:o/r"),
    *(
        "http://h:5000/a@b",
        "http://[::1]:5000/a@b",
        "http://h/x?region=eu",
        "http://h?port=1&ssl=true#top",
        "what?x=1&y=2",
        "a # b = c",
    ),
    *("postgresql://me@host/d", "abfs://container@account.net/x", "PWD=/home/me"),
    *("mail a@b.c please", "at 12:30 @noon", "loss: x@y", "x[:, 1:k]@w", "a.py:12: x @ y"),
    *("learning_rate=0.1", "max_tokens=128", "tokenizer=bpe", "pad_token=<pad>", "key=3"),
    *("token = tokenizer.encode(x)", "Basic authentication failed", "a bearer token is missing"),
    *("(using password: YES)", 'password authentication failed for user "bob"', "secret sauce"),
    *("", "***", "http://***@host:5000", "https://sqlalche.me/e/20/e3q8"),
]


@pytest.mark.parametrize("text", UNCHANGED)
def test_what_is_no_credential_stays(text: str) -> None:
    assert redact(text) == redact_address(text) == text
    assert not has_credentials(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000: refused, ask a@b.c",
        "http://host is down: mail a@b.c",
        "mysql://db:3306/x does not answer: Access denied for user 'bob'@'172.17.0.1'",
        "mysql://***@db:3306/x does not answer: Access denied for user 'bob'@'172.17.0.1'",
    ],
)
def test_an_email_behind_an_address_is_no_password(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://mlflow:pl/anted@db.example/x", "postgresql://***@db.example/x"),
        ("mysql+pymysql://mlflow:pl anted@db/x", "mysql+pymysql://***@db/x"),
        ("postgresql://me@corp:5/planted@h", "postgresql://***@h"),
        ("abfs://c@a/x?sas=planted&mode=1", "abfs://c@a/x?sas=***&mode=1"),
        ("https://s3/x?X-Amz-Signature=planted&y", "https://s3/x?X-Amz-Signature=***&y"),
        ("http://h/?pass%77d=planted", "http://h/?pass%77d=***"),
        *((f"http://h/?{key}=planted", f"http://h/?{key}=***") for key in ("auth", "sig", "pwd")),
        *((f"http://h/?{key}=planted", f"http://h/?{key}=***") for key in ("passwd", "api_key")),
        ("jdbc:x://h:1;user=me;password=planted;ssl=1", "jdbc:x://h:1;user=me;password=***;ssl=1"),
        ("Server=h;Pwd={plan;ted};y=1", "Server=h;Pwd=***;y=1"),
        ("mssql:///?odbc_connect=A%3Dx%3BPWD%3Dplanted", "mssql:///?odbc_connect=***"),
        ("said A%3Dx%3BPWD%3Dplanted", "said A%3Dx%3BPWD%3D***"),
        ("sqlite+pysqlcipher://:planted@/x.db", "sqlite+pysqlcipher://***@/x.db"),
        ("sqlite+pysqlcipher://:pl/anted@/x.db", "sqlite+pysqlcipher://***@/x.db"),
        ("duckdb://me:planted@/x.db", "duckdb://***@/x.db"),
        ("snowflake://u@h/?passcode=planted", "snowflake://***@h/?passcode=***"),
        *((f"https://h/?{key}=planted", f"https://h/?{key}=***") for key in ("jwt", "code", "x")),
        ("https://h/#code=planted&state=planted", "https://h/#code=***&state=***"),
        ("https://h/p;jsessionid=planted", "https://h/p;jsessionid=***"),
        ("host=db password='pl''a nted' x", "host=db password=*** x"),
        ("MLFLOW_TRACKING_PASSWORD=planted x", "MLFLOW_TRACKING_PASSWORD=*** x"),
        ('{"token": "planted"}', '{"token": ***'),
        ("Authorization: Bearer planted", "Authorization: Bearer ***"),
        ("{'Authorization': 'Basic planted='}", "{'Authorization': 'Basic ***'}"),
        ("sent Bearer planted1.x-y", "sent Bearer ***"),
        ("x-api-key: planted", "x-api-key: ***"),
        ("bob:pl/anted@db.example:5432/x", "***@db.example:5432/x"),
        ("--tracking-uri=http://a:planted@h", "--tracking-uri=http://***@h"),
        ("https%3A%2F%2Fbob%3Aplanted%40host%2Fx", "https%3A%2F%2F***%40host%2Fx"),
    ],
)
def test_a_secret_of_every_notation_is_hidden(text: str, shown: str) -> None:
    assert redact(text).startswith(shown)
    assert redact_address(text).startswith(shown)
    assert "anted" not in redact(text) + redact_address(text)
    assert has_credentials(text)


SCHEMES = st.sampled_from(
    ["http", "https", "s3", "abfs", "postgresql", "mysql+pymysql", "mssql+pyodbc", "redis", "foo"]
)
USERS = st.from_regex(r"[a-z][\w.+-]{0,8}", fullmatch=True) | st.sampled_from(["", "me@corp"])
SECRETS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=3)
HOSTS = st.sampled_from(["h", "db.example.org", "127.0.0.1:5000", "[::1]:80"])
PATHS = st.sampled_from(["", "/", "/mlflow", "/a/b?ssl=true&y=2"])


def is_port(secret: str, ends: str) -> bool:
    """Return whether what follows the user may be the port of an address without a password."""
    return re.match(rf"\d{{1,5}}({ends}|$)", secret) is not None


@settings(deadline=None)
@given(SCHEMES, USERS, SECRETS, HOSTS, PATHS, st.booleans())
def test_no_password_is_ever_shown(
    scheme: str, user: str, secret: str, host: str, path: str, encode: bool
) -> None:
    shown = quote(secret, safe="") if encode else secret
    assume(not shown.startswith("*") and len(shown) < 400)
    before, after = f"{scheme}://{user}:", f"@{host}{path}"
    text_before, text_after = "cannot reach ", ": it is down\nask a@b.c"
    assume(shown not in f"{before}***{after}{text_before}{text_after}")
    is_http = scheme in ("http", "https", "s3", "abfs")
    address = f"{before}{shown}{after}"
    if not (is_http and is_port(shown, "[/?#]")):
        hidden = redact_address(address)
        assert shown not in hidden
        assert has_credentials(address)
        assert not has_credentials(hidden)
    # Where a blank follows what may be a port, a text does not tell a password from a sentence.
    if not is_port(shown, r"[/?#\s'\"),;]|:\s") and not shown[0].isspace():
        text = redact(f"{text_before}{address}{text_after}")
        assert shown not in text
        assert text.startswith(text_before)
        assert text.endswith("\nask a@b.c")
        assert redact(text) == text


@settings(deadline=None)
@given(USERS, st.from_regex(r"[^@\n]{3,20}", fullmatch=True), HOSTS, PATHS)
def test_what_sqlalchemy_takes_for_the_password_is_hidden(
    user: str, secret: str, host: str, path: str
) -> None:
    address = f"postgresql://{user}:{secret}@{host}{path}"
    read = make_url(address)
    assert read.password is not None
    assume(not secret.startswith("*") and secret not in f"postgresql://{user}:***@{host}{path}")
    hidden = redact_address(address)
    assert secret not in hidden
    assert hidden.startswith("postgresql://***@")
    assert make_url(hidden).host == read.host


@settings(deadline=None)
@given(
    st.sampled_from(["token", "auth", "sas", "sig", "pwd", "passwd", "api_key", "X-Amz-Security"])
    | st.from_regex(r"[\w.\[\]-]+", fullmatch=True).filter(
        lambda key: key.lower() not in HARMLESS
    ),
    SECRETS,
)
def test_no_value_is_shown_but_of_harmless_keys(key: str, secret: str) -> None:
    shown = quote(secret, safe="")
    assume(shown not in f"an error of http://host/x?mode=b&{key}=***&port=d is told")
    address = f"http://host/x?mode=b&{key}={shown}&port=d"
    assert redact_address(address) == redact(address) == f"http://host/x?mode=b&{key}=***&port=d"
    assert shown not in redact(f"an error of {address} is told")


@settings(deadline=None)
@given(st.text())
def test_a_text_is_redacted_once(text: str) -> None:
    assert redact(redact(text)) == redact(text)


def test_the_traceback_that_ends_a_process_has_no_credentials() -> None:
    code = (
        "import threading\n"
        "from cluster.storage.redaction import redact_tracebacks\n"
        "redact_tracebacks()\n"
        "def fail(): raise OSError('no http://me:planted@host')\n"
        "thread = threading.Thread(target=fail)\n"
        "thread.start(); thread.join(); fail()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("OSError: no http://***@host") == 2
    assert "planted" not in done.stderr


def test_long_texts_are_redacted_in_time_that_grows_with_their_length() -> None:
    for piece in ("a.b", "a:b,", "http://a:b ", "x://", "?a=b&", "password='", "%3A%2F%2F", "@"):
        redact(piece * (100_000 // len(piece)))


def test_an_error_is_one_redacted_line() -> None:
    assert first_line(OSError("no http://me:p@host\nmore")) == "no http://***@host"
    assert first_line(ValueError()) == "ValueError"
    assert len(first_line(ValueError("x" * 999))) == 300


def test_a_long_line_is_redacted_before_it_is_cut() -> None:
    error = OSError("x" * 270 + " http://user:planted-password@host/path")
    assert "planted" not in first_line(error)
