"""Exceptions that do not mean a bug, and the exit codes of commands."""

import errno

BAD_INPUT, INCOMPLETE, INTERRUPTED = 2, 3, 130
"""Exit codes after an error of the user, where something could not be read or is written later,
and after Ctrl-C or SIGTERM."""


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error says that a disk or a quota is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


class UserError(Exception):
    """An error of the user: printed without a traceback, and the command exits with code 2."""


class AbsentError(UserError):
    """MLflow has no search of this `name`; without a name, there is no database."""

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class UnreadableError(UserError):
    """Something that is on record exists no more, or cannot be read: reports exit with code 3."""


class TaskError(UserError):
    """A task breaks its contract, such as a report without the searched metric.

    A trial that raises it fails without a retry, which would fail, too.
    """


class DamagedFileError(UserError):
    """A file that Tunery has written is missing, truncated, or has other content than before."""


class TrialStopped(BaseException):
    """Ends a task that is a plain function, at its report: the trial was stopped.

    Not an Exception, so that a task which catches those is ended, too.
    """


class PreemptedError(Exception):
    """A worker stopped because its machine is preempted; the trial continues on another one."""
