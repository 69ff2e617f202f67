"""Failures are classified by the type of an error, never by words in its text or traceback."""

from __future__ import annotations

import errno
import pickle

import pytest
import ray
import torch
from safetensors import SafetensorError

from cluster.execution import failures
from cluster.execution.failures import (
    AttemptError,
    StorageUnreachableError,
    classify,
    describe_error,
    read_failure,
    read_failure_text,
)
from cluster.storage.replication import StorageTimeoutError
from trainables.errors import DamagedFileError, PreemptedError, TaskError, UserError


class UnpicklableError(Exception):
    """A user's error that cannot be pickled."""

    def __reduce__(self) -> str:
        raise TypeError("never")


def with_cause(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("the node was terminated"), "failed"),
        (KeyError("MemoryErrorToken"), "failed"),
        (ValueError("ran out of memory-mapped rows"), "failed"),
        (RuntimeError("torch.OutOfMemoryError: CUDA out of memory"), "failed"),
        (OSError(errno.EACCES, "No space left on device"), "failed"),
        (MemoryError(), "out_of_memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory"),
        (with_cause(RuntimeError("batch 7"), MemoryError()), "out_of_memory"),
        (TaskError("a report lacks the searched metric 'loss'"), "task_error"),
        (with_cause(RuntimeError("in my wrapper"), TaskError("twice")), "task_error"),
        (UserError("no data"), "failed"),
        (DamagedFileError("best is missing"), "failed"),
        (PreemptedError("saved in the middle of report 2"), "preempted"),
        (StorageTimeoutError("did not answer for 120 s"), "lost"),
        (StorageUnreachableError("node-7 does not see it"), "storage_unreachable"),
        (OSError(errno.ENOSPC, "No space left on device"), "storage_full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "storage_full"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "storage_full"),
        (ExceptionGroup("two", [ValueError("x"), MemoryError()]), "out_of_memory"),
    ],
)
def test_an_error_is_classified_by_its_type(error: Exception, expected: str) -> None:
    assert classify(error) == expected
    carried = pickle.loads(pickle.dumps(describe_error(error)))
    assert carried.failure.failure_class == expected


def test_a_cuda_error_is_classified_by_its_code() -> None:
    error = torch.AcceleratorError("CUDA error: out of memory")
    error.error_code = 2
    assert classify(error) == "out_of_memory"
    error.error_code = 700  # an illegal memory access
    assert classify(error) == "failed"


def test_an_error_that_cannot_be_pickled_reaches_the_driver_with_its_traceback() -> None:
    def broken() -> None:
        raise UnpicklableError("mine")

    try:
        broken()
    except UnpicklableError as error:
        carried = pickle.loads(pickle.dumps(describe_error(error)))
    assert isinstance(carried, AttemptError)
    assert carried.failure.message.endswith("UnpicklableError: mine")
    assert "in broken" in carried.failure.traceback


def test_an_attempts_failure_is_read_from_rays_error() -> None:
    inner = describe_error(MemoryError("too much"))
    task = ray.exceptions.RayTaskError("train", "traceback", inner, "ray", 1, "192.0.2.1")
    failure = read_failure(pickle.loads(ray.cloudpickle.dumps(task.as_instanceof_cause())))
    assert (failure.failure_class, failure.message) == ("out_of_memory", "MemoryError: too much")


DIED = "The actor died unexpectedly before finishing this task.\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            DIED + "\tpid: 7\nThe actor is dead because its worker process has died. Worker exit "
            "type: SYSTEM_ERROR. Some common causes include: (1) the process was killed by the "
            "OOM killer due to high memory usage, (2) ray stop --force was called. Consider "
            "isolation to prevent node deaths",
            "failed",
        ),
        (
            DIED + "The actor is dead because its worker process has died. Worker exit type: "
            "SYSTEM_ERROR Worker exit detail: Worker exits with an exit code 1. The process "
            "receives a SIGTERM.",
            "lost",
        ),
        (
            DIED + "The actor died because its node has died. Node Id: 12\n\tthe actor's node "
            "was terminated unexpectedly",
            "lost",
        ),
        (DIED + "The actor never ran - it was cancelled before it started running.", "lost"),
        (DIED + "Task was killed due to the node running low on memory.", "out_of_memory"),
    ],
)
def test_a_dead_worker_is_classified_by_rays_message(text: str, expected: str) -> None:
    error = ray.exceptions.RayActorError(error_msg=text)
    assert read_failure(error).failure_class == expected


def test_an_error_in_the_actors_constructor_is_not_classified_by_its_text() -> None:
    error = ray.exceptions.RayActorError(
        error_msg="ValueError: running low on memory", actor_init_failed=True
    )
    assert read_failure(error).failure_class == "failed"


def test_rays_typed_errors_are_classified_by_their_type() -> None:
    gone = ray.exceptions.ActorUnavailableError("Socket closed", b"0" * 16)
    assert read_failure(gone).failure_class == "lost"
    preempted = ray.exceptions.RayActorError(error_msg=DIED, preempted=True)
    assert read_failure(preempted).failure_class == "preempted"


def test_an_error_of_the_memory_monitor_of_ray_is_out_of_memory() -> None:
    """Tune keeps only its text: Ray's OutOfMemoryError is neither of a task nor of an actor."""
    text = (
        "Task was killed due to the node running low on memory.\n"
        "Memory on the node was 7.6GB / 8GB (0.95). Refer to the documentation on how to address "
        "the out of memory issue. To adjust the threshold, set RAY_memory_usage_threshold."
    )
    failure = read_failure_text(str(ray.exceptions.OutOfMemoryError(text)))
    assert failure.failure_class == "out_of_memory"
    assert failure.message == "Task was killed due to the node running low on memory."
    assert read_failure_text("TuneError: no such trial").failure_class == "failed"


def test_an_error_raised_while_another_is_handled_has_its_class() -> None:
    def fail(*, suppress: bool) -> None:
        try:
            raise MemoryError
        except MemoryError:
            if suppress:
                raise RuntimeError("batch 7") from None
            raise RuntimeError("batch 7")  # noqa: B904

    for suppress, expected in ((False, "out_of_memory"), (True, "failed")):
        with pytest.raises(RuntimeError) as caught:
            fail(suppress=suppress)
        assert classify(caught.value) == expected


def test_credentials_in_an_error_are_redacted() -> None:
    failure = describe_error(OSError("http://me:planted@host/x is away")).failure
    assert "planted" not in failure.message + failure.traceback


@pytest.mark.parametrize("text", ["word " * 60_000, "x" * 300_000, "line\n" * 60_000])
def test_a_long_error_is_cut_before_it_is_redacted(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    monkeypatch.setattr(failures, "redact", lambda text: read.append(len(text)) or text)
    failure = describe_error(ValueError(text)).failure
    assert failure.message.startswith(f"ValueError: {text[:4]}")
    assert failure.traceback and max(read) <= 5 * failures.MAX_TRACEBACK


@pytest.mark.parametrize("shift", range(0, 120, 7))
def test_a_cut_shows_no_credentials(shift: int) -> None:
    address = " http://bob:a planted password with blanks@host/x"
    text = "x" * (failures.MAX_LINE - shift) + address + "y" * 5000
    failure = describe_error(ValueError(text)).failure
    assert "planted" not in failure.message + failure.traceback
    failure = describe_error(ValueError((address + "\n") * 5000)).failure
    assert "planted" not in failure.message + failure.traceback
