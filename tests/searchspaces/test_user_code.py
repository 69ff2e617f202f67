"""What code of the user raises is one message with the file and the line."""

from __future__ import annotations

import pytest

from searchspaces.user_code import describe, user_code
from trainables.errors import UserError


def fail(error: BaseException) -> None:
    raise error


def test_an_error_has_its_type_message_and_line() -> None:
    line = fail.__code__.co_firstlineno + 1
    with (
        pytest.raises(
            UserError,
            match=rf"it raised ValueError: a b \(.*{__name__.split('.')[-1]}.py, line {line}\)",
        ),
        user_code("it", __file__),
    ):
        fail(ValueError("a\n  b"))


def test_an_exit_is_an_error_and_an_interrupt_is_not() -> None:
    with pytest.raises(UserError, match="it raised SystemExit: 0"), user_code("it", ""):
        fail(SystemExit(0))
    with pytest.raises(KeyboardInterrupt), user_code("it", ""):
        fail(KeyboardInterrupt())
    with pytest.raises(UserError, match=r"^as it is$"), user_code("it", ""):
        fail(UserError("as it is"))


def test_an_error_that_cannot_say_its_message_is_its_type() -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    with pytest.raises(UserError, match="it raised SilentError "), user_code("it", ""):
        fail(SilentError())


def test_an_error_without_a_message_is_its_type() -> None:
    assert describe(AssertionError()) == "AssertionError"
    assert len(describe(ValueError("x" * 9999))) < 600
