"""Credentials are not printed, and a path with an `@` is not taken for one."""

import pytest

from cluster.storage.redaction import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ada:p@ss@host:80/x and a@b", "http://***@host:80/x and a@b"),
        ("two: a://t0ken@h, b://u:p@h/", "two: a://***@h, b://***@h/"),
        ("sqlite:///a@b.db", "sqlite:///a@b.db"),
        ("http://host/a@b", "http://host/a@b"),
    ],
)
def test_credentials_are_left_out(text: str, shown: str) -> None:
    assert redact(text) == shown
