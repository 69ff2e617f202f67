"""Locations on remote storage, and small objects there."""

from __future__ import annotations

import pytest

from cluster.storage.location import Location, read_bytes, write_bytes


def test_a_location_keeps_the_options_of_its_uri() -> None:
    location = Location("s3://b/x?region=us-east-1") / "toy" / "ledger"
    assert str(location) == "s3://b/x/toy/ledger?region=us-east-1"
    assert str(Location("s3://b/x")) == "s3://b/x"


def test_an_unknown_scheme_is_an_error() -> None:
    with pytest.raises(ValueError, match="foo"):
        Location("foo://x").open()


def test_an_object_is_written_replaced_and_read(remote: Location) -> None:
    folder = remote / "a" / "b"
    assert read_bytes(folder, "lease.json") is None
    write_bytes(folder, "lease.json", b"one")
    write_bytes(folder, "lease.json", b"two")
    assert read_bytes(folder, "lease.json") == b"two"
