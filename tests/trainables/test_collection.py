"""The garbage collector is paused, and on again afterwards."""

import gc

import pytest

from trainables.collection import import_large, pause_collection


def test_pauses_the_collector_and_turns_it_on_again() -> None:
    with pytest.raises(KeyError), pause_collection():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()


def test_leaves_a_collector_off_that_was_off() -> None:
    with pause_collection():
        assert import_large("json").loads("1") == 1
        assert not gc.isenabled()
