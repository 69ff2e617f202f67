"""The journal of a study: damage is named."""

from collections.abc import Callable
from typing import Any

import pytest

from cluster.ledger.ledger import JOURNAL, Ledger
from cluster.sampling.study import Study
from cluster.sampling.study_file import count_infeasible
from searchspaces.space import SearchSpace
from trainables.errors import UserError

Open = Callable[[Ledger, SearchSpace[Any]], Study]
Begin = Callable[..., Ledger]
Reopen = Callable[[Ledger], Ledger]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"\x00garbage", "line 3 is b.*garbage"),
        (b"{]", "line 3 is b'{]"),
        (b"7", "line 3 is b'7"),
        (b"", "line 3 is b'"),
        (b'{"op_code": 42, "worker_id": "x"}', "AssertionError"),
    ],
)
def test_a_damaged_journal_is_named(
    begin: Begin,
    reopen: Reopen,
    open_study: Open,
    space: SearchSpace[Any],
    line: bytes,
    words: str,
) -> None:
    ledger = begin()
    open_study(ledger, space).ask()
    journal = ledger.folder / JOURNAL
    lines = journal.read_bytes().splitlines()
    journal.write_bytes(b"\n".join([*lines[:2], line, *lines[2:]]) + b"\n")
    with pytest.raises(UserError, match=f"is damaged: .*{words}") as error:
        open_study(reopen(ledger), space)
    assert "--fresh" in str(error.value)
    with pytest.raises(UserError, match="is damaged"):
        count_infeasible(ledger.folder)
