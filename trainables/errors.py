"""Exceptions that do not mean a bug: errors of the user, and preemption of a worker."""


class UserError(Exception):
    """An error of the user: printed without a traceback, and the command exits with code 2."""


class PreemptedError(Exception):
    """A worker stopped because its machine is preempted; the trial continues on another one."""
