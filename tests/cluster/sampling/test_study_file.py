"""The journal of a study: damage is named."""

from collections.abc import Callable
from typing import Any

import pytest

from cluster.ledger.files import JOURNAL
from cluster.ledger.ledger import Ledger
from cluster.sampling.study import Study
from cluster.sampling.study_file import count_infeasible
from searchspaces.space import SearchSpace
from trainables.errors import UserError

Open = Callable[[Ledger, SearchSpace[Any]], Study]
Begin = Callable[..., Ledger]


def test_a_damaged_journal_is_named(
    begin: Begin, open_study: Open, space: SearchSpace[Any]
) -> None:
    ledger = begin()
    open_study(ledger, space).ask()
    journal = ledger.folder / JOURNAL
    journal.write_bytes(b"garbage\nmore\n" + journal.read_bytes())
    with pytest.raises(UserError, match=r"is damaged: .*line 1 is b'garbage(.|\n)*--resume"):
        count_infeasible(ledger.folder)
