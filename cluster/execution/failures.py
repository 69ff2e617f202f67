"""Why an attempt at a trial failed: decided by the type of the error, where it was raised.

A worker turns what a task raises into an `AttemptError`, which any process can unpickle; what
ended the worker itself is one of Ray's own errors. Neither is ever recognised by the text of a
traceback, which shows code and may contain any word.
"""

from __future__ import annotations

import errno
import re
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import ray
import torch

from cluster.ledger.trial_log import Failure, FailureClass
from cluster.storage.replication import StorageTimeoutError
from trainables.errors import PreemptedError

CUDA_OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation


class StorageUnreachableError(Exception):
    """A machine cannot use the storage of the search, and waiting would not help."""


class AttemptError(Exception):
    """Carries a failure from a worker to the driver, whatever was raised there."""

    def __init__(self, failure: dict[str, Any]) -> None:
        super().__init__(failure)
        self.failure = Failure(**failure)

    def __str__(self) -> str:
        return self.failure.traceback


def describe_error(error: BaseException) -> AttemptError:
    """Return the error that carries `error` to the driver, classified by its type."""
    lines = traceback.format_exception(error)
    message = "".join(traceback.format_exception_only(error)).strip().splitlines()
    failure = Failure(classify(error), message[0], "".join(lines).strip())
    return AttemptError(asdict(failure))


def classify(error: BaseException) -> FailureClass:
    """Return the class of an error that was raised in a worker, by its type or its cause's."""
    for cause in _causes(error):
        if isinstance(cause, PreemptedError):
            return "preempted"
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
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return "storage_full"
    return "failed"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__


def read_failure(error: BaseException) -> Failure:
    """Return the failure behind the error that Ray gives for an attempt."""
    if isinstance(error, ray.exceptions.RayTaskError):
        cause = error.cause
        if isinstance(cause, AttemptError):
            return cause.failure
        return Failure("failed", str(cause).partition("\n")[0], str(error))
    text = str(error)
    lines = [line for line in text.splitlines() if line.strip()]
    message = next((line for line in reversed(lines) if not line.startswith("\t")), text)
    return Failure(_classify_lost_worker(error), message, text)


def _classify_lost_worker(error: BaseException) -> FailureClass:
    """Return why a worker process ended, by Ray's error and, where it has no field, its message.

    The message is Ray's own: the constructor of the actor runs no code of a task.
    """
    if isinstance(error, ray.exceptions.ActorUnavailableError | ray.exceptions.NodeDiedError):
        return "lost"
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return "out_of_memory"
    if not isinstance(error, ray.exceptions.RayActorError) or error.actor_init_failed:
        return "failed"
    if error.preempted:
        return "preempted"
    words = str(error)
    if re.search(r"running low on memory", words):
        return "out_of_memory"
    lost = r"never ran|node (was|has|died)|receives a SIGTERM"
    return "lost" if re.search(lost, words) else "failed"
