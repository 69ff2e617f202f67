"""Exceptions that do not mean a bug, and the exit codes of commands."""

BAD_INPUT, INTERRUPTED = 2, 130
"""Exit codes after an error of the user, and after Ctrl-C or SIGTERM."""


class UserError(Exception):
    """An error of the user: printed without a traceback, and the command exits with code 2."""


class PreemptedError(Exception):
    """A worker stopped because its machine is preempted; the trial continues on another one."""
