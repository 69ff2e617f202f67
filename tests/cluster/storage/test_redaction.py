"""Credentials are neither printed nor written, and a path with an `@` has none."""

import pytest

from cluster.storage.redaction import first_line, has_credentials, redact


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
        ("postgresql://h/d?user=me&password=x&y=1", "postgresql://h/d?user=me&password=***&y=1"),
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


def test_an_error_is_one_redacted_line() -> None:
    assert first_line(OSError("no http://me:p@host\nmore")) == "no http://***@host"
    assert first_line(ValueError()) == "ValueError"
    assert len(first_line(ValueError("x" * 999))) == 300


def test_a_long_line_is_redacted_before_it_is_cut() -> None:
    error = OSError("x" * 270 + " http://user:planted-password@host/path")
    assert "planted" not in first_line(error)
