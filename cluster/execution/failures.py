"""Why an attempt at a trial failed: decided by the type of the error, where it was raised.

A worker turns what a task raises into an `AttemptError`, which any process can unpickle; what
ended the worker itself is one of Ray's own errors. Neither is ever recognised by the text of a
traceback, which shows code and may contain any word. Whether another attempt follows is decided
here, too; the end of a search by `trial_queue` and `ray_tuner`.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import torch

from cluster.ledger.trial_log import UNCOUNTED, Failure, FailureClass
from cluster.storage.redaction import LONGEST, redact
from cluster.storage.replication import StorageTimeoutError
from searchspaces.user_file import PREFIX
from trainables.checkpoint import find_os_error
from trainables.errors import PreemptedError, TaskError, is_disk_full
from trainables.terminal import escape_control

MAX_MESSAGE, MAX_LINE, MAX_TRACEBACK = 1000, 5000, 20_000  # characters
CUDA_OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation
RETRIES = 2
LOSSES = 20
"""A trial fails after more than this number of lost or preempted attempts."""


class StorageUnreachableError(Exception):
    """A machine cannot use the storage of the search, and waiting would not help."""


class AttemptError(Exception):
    """Carries a failure from a worker to the driver, for any error."""

    def __init__(self, failure: dict[str, Any]) -> None:
        super().__init__(failure)
        self.failure = Failure(**failure)

    def __str__(self) -> str:
        return self.failure.traceback


def is_final(failures: Sequence[Failure]) -> bool:
    """Return whether a trial with these failed attempts has failed: no other one follows."""
    losses = sum(failure.failure_class in UNCOUNTED for failure in failures)
    counted = len(failures) - losses
    return failures[-1].failure_class == "task_error" or counted > RETRIES or losses > LOSSES


def describe_error(error: BaseException, output: str = "") -> AttemptError:
    """Return the error that carries `error` to the driver, classified by its type.

    `output` is the end of what its task has printed.
    """
    text = "".join(traceback.format_exception(error)).strip()
    message = " ".join("".join(traceback.format_exception_only(error)).split())
    if type(error).__module__.startswith((PREFIX, "trainables.")):
        message = message.removeprefix(f"{type(error).__module__}.")
    failure = Failure(
        classify(error),
        redact(_cut_line(escape_control(message)))[:MAX_MESSAGE],
        redact(_cut_traceback(text))[-MAX_TRACEBACK:],
        output,
    )
    return AttemptError(asdict(failure))


def _cut_traceback(text: str) -> str:
    """Return the last lines of a traceback, each cut: to redact megabytes takes seconds."""
    cut = "\n".join(map(_cut_line, text.split("\n")))
    most = 5 * MAX_TRACEBACK
    return cut if len(cut) <= most else cut[-most:].partition("\n")[2]


def _cut_line(line: str) -> str:
    """Return the start of a long line, before any word or address that the cut would divide."""
    if len(line) <= MAX_LINE:
        return line
    cut = line[:MAX_LINE]
    word, address = cut.rfind(" ", -LONGEST), cut.find("://", MAX_LINE - LONGEST)
    return cut[: min((end for end in (word, address) if end >= 0), default=MAX_LINE)] + " ..."


def classify(error: BaseException) -> FailureClass:
    """Return the class of an error that was raised in a worker, by its type or its cause's."""
    for cause in _iterate_causes(error):
        if isinstance(cause, PreemptedError):
            return "preempted"
        if isinstance(cause, TaskError):
            return "task_error"
        if isinstance(cause, StorageUnreachableError):
            return "storage_unreachable"
        if isinstance(cause, StorageTimeoutError):
            return "lost"
        if isinstance(cause, MemoryError | torch.OutOfMemoryError):
            return "out_of_memory"
        if getattr(cause, "error_code", None) == CUDA_OUT_OF_MEMORY and isinstance(
            cause, torch.AcceleratorError
        ):
            return "out_of_memory"
        if is_disk_full(find_os_error(cause) or cause):
            return "storage_full"
    return "failed"


def _iterate_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    left = [error]
    while left:
        cause = left.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            left += cause.exceptions
        # `raise ... from None` cuts the chain; a plain raise in an except block does not.
        context = None if cause.__suppress_context__ else cause.__context__
        left += [linked for linked in (cause.__cause__, context) if linked is not None]


def read_failure(error: BaseException) -> Failure:
    """Return the failure behind the error that Ray raises for an attempt."""
    import ray  # a search without Ray starts without it

    if not isinstance(error, ray.exceptions.RayTaskError):
        return Failure(_classify_lost_worker(error), _last_sentence(str(error)), str(error))
    cause = error.cause
    if isinstance(cause, AttemptError):
        return cause.failure
    return Failure("failed", str(cause).partition("\n")[0], str(error))


def read_failure_text(text: str) -> Failure:
    """Return the failure behind an error of Ray of which Tune keeps only the text.

    Tune pickles the errors of tasks and actors. The others are Ray's own, such as that of its
    memory monitor: no text of a task is among them.
    """
    lines = text.splitlines() or [text]
    message = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    return Failure(_classify_message(text), message, text)


def _classify_lost_worker(error: BaseException) -> FailureClass:
    """Return why a worker ended, by Ray's error and, where it has no field, its message."""
    import ray

    if isinstance(error, ray.exceptions.ActorUnavailableError):
        return "lost"
    if not isinstance(error, ray.exceptions.RayActorError) or error.actor_init_failed:
        return "failed"
    return "preempted" if error.preempted else _classify_message(str(error))


def _classify_message(message: str) -> FailureClass:
    """Return why a worker process ended, by a message that Ray itself has written."""
    if "running low on memory" in message:
        return "out_of_memory"
    # A worker that was killed for one trial may have got the next one meanwhile.
    lost = r"never ran|node (was|has|died)|receives a SIGTERM|killed by `ray\.kill`"
    return "lost" if re.search(lost, message) else "failed"


def _last_sentence(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("\t")]
    return lines[-1] if lines else text
