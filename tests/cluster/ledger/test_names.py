"""Names of spaces: any that a folder can have, except Tunery's own."""

from __future__ import annotations

import pytest

from cluster.ledger.names import check_name
from trainables.errors import UserError


@pytest.mark.parametrize(
    "name",
    [
        *("net[v2]", "it's", "my space", "-x", "Default", "tests", "digits-2", "a*?b", "a%20b"),
        *("großes Netz", "网络", "$HOME", "a|b", "<b>", "#1", "confirm", ".hidden", "a\\b"),
        "x" * 200,
    ],
)
def test_a_name_may_have_any_character_of_a_file(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((name, "no name of a folder") for name in ("", " ", ".", "..", "a/b", "../x")),
        *((name, "control character") for name in ("a\nb", "a\x00b", "\x1b[31m", "\udcff")),
        *((name, "at most 200") for name in ("x" * 201, "网" * 67)),
        *(
            (name, "Tunery uses")
            for name in ("artifacts", "mlflow.db", "teachers", "compare", "Export")
        ),
    ],
)
def test_a_name_that_no_search_can_have_is_rejected(name: str, reason: str) -> None:
    with pytest.raises(UserError, match=f"cannot be called .*{reason}") as error:
        check_name(name)
    assert str(error.value).isprintable() or "\n" in str(error.value)
    str(error.value).encode()
