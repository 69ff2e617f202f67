"""What a user reads when MLflow lacks trials."""

from __future__ import annotations

from collections.abc import Callable

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from cluster.ledger.ledger import Ledger
from cluster.tracking.problems import (
    FailedTrials,
    describe_delay,
    describe_refusals,
    format_rebuild_command,
)

REFUSAL = MlflowException("no", error_code=INVALID_PARAMETER_VALUE)


def test_a_trial_is_refused_the_second_time_and_comes_last() -> None:
    failed = FailedTrials()
    failed.add(0, REFUSAL)
    assert (failed.refused, failed.sort([1, 0])) == (set(), [0, 1])
    failed.add(0, REFUSAL)
    assert (failed.refused, failed.sort([1, 0])) == ({0}, [1, 0])
    failed.remove(0)
    assert (failed.refused, failed.reasons, failed.sort([1, 0])) == (set(), {}, [0, 1])
    for _ in range(3):
        failed.add(1, ConnectionError("away"))
    assert (failed.refused, failed.reasons) == (set(), {1: "away"})


def test_the_messages_name_the_reason_and_a_command_to_copy(begin: Callable[..., Ledger]) -> None:
    ledger = begin("it's")
    command = f"""python -m cluster.tracking rebuild '{ledger.folder.parent}/it'"'"'s'"""
    assert format_rebuild_command(ledger) == command
    assert "gone" in describe_delay(ledger, "gone") and command in describe_delay(ledger, "gone")
    text = describe_refusals(ledger, {n: f"reason {n}" for n in range(5)})
    assert "trial 002: reason 2" in text and "and 2 more" in text and command in text
    ledger.update_settings(tracking_uri="http://***@server:5000", kind="confirmation")
    assert format_rebuild_command(ledger) == (
        f"python -m cluster.tracking rebuild {ledger.folder.parent} "
        "--tracking-uri 'http://***@server:5000'"
    )
