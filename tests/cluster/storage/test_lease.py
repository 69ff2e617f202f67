"""One driver per search, on storage that has no locks."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.storage.lease import (
    MISSED_RENEWALS,
    LeaseHolder,
    acquire_lease,
    read_lease,
    write_lease,
)
from cluster.storage.location import Location, write_bytes
from trainables.errors import UserError

PERIOD = 30.0


def test_a_free_lease_is_acquired_at_once(remote: Location, clock: Any) -> None:
    acquire_lease(remote, "me", PERIOD)
    lease = read_lease(remote, PERIOD)
    assert lease is not None
    assert (lease.owner, lease.period) == ("me", PERIOD)
    assert lease.where.startswith("process ")
    assert clock.now == 0.0
    acquire_lease(remote, "me", PERIOD)  # ours
    assert clock.now == 0.0


def test_every_renewal_changes_the_lease(remote: Location) -> None:
    acquire_lease(remote, "me", PERIOD)
    before = read_lease(remote, PERIOD)
    LeaseHolder(remote, "me", PERIOD).renew()
    assert read_lease(remote, PERIOD) != before


def test_a_lease_that_is_renewed_is_not_taken(remote: Location, clock: Any) -> None:
    holder = LeaseHolder(remote, "other", PERIOD)
    holder.renew()
    clock.during = holder.renew
    with pytest.raises(UserError, match=r"another driver, process \d+ on .* is running"):
        acquire_lease(remote, "me", PERIOD)
    assert clock.now == PERIOD / 10
    assert holder.lost is None


def test_an_expired_lease_is_taken_and_its_holder_loses_the_search(
    remote: Location, clock: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    holder = LeaseHolder(remote, "other", PERIOD)
    holder.renew()
    acquire_lease(remote, "me", PERIOD)
    assert clock.now == pytest.approx(MISSED_RENEWALS * PERIOD)
    assert "waiting 120 s for that driver's lease to expire" in capsys.readouterr().out
    holder.renew()
    assert "another driver, process" in str(holder.lost)
    holder.close()  # which leaves the other's lease
    lease = read_lease(remote, PERIOD)
    assert lease is not None and lease.owner == "me"


def test_a_lease_that_is_closed_meanwhile_is_taken(remote: Location, clock: Any) -> None:
    holder = LeaseHolder(remote, "other", PERIOD)
    holder.renew()
    clock.during = holder.close
    acquire_lease(remote, "me", PERIOD)
    assert clock.now == PERIOD / 10


def test_the_period_of_the_other_driver_counts(remote: Location, clock: Any) -> None:
    write_lease(remote, "other", 1.0)
    acquire_lease(remote, "me", PERIOD)
    assert clock.now == pytest.approx(MISSED_RENEWALS * 1.0)


@pytest.mark.parametrize("content", [b'{"own', b"", b"7", b'{"owner": "x"}'])
def test_a_partial_lease_has_no_owner(content: bytes, remote: Location, clock: Any) -> None:
    write_bytes(remote / "driver", "lease.json", content)
    lease = read_lease(remote, PERIOD)
    assert lease is not None and (lease.owner, lease.period) == ("", PERIOD)
    LeaseHolder(remote, "other", PERIOD).renew()  # its own driver writes it again
    lease = read_lease(remote, PERIOD)
    assert lease is not None and lease.owner == "other"
    write_bytes(remote / "driver", "lease.json", content)
    acquire_lease(remote, "me", PERIOD)
    assert clock.now == pytest.approx(MISSED_RENEWALS * PERIOD)
