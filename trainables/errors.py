"""Errors that are no faults of the code: what the user must hear, and what befalls a worker."""


class UserError(Exception):
    """Shown as it is, without a traceback; the command then ends with exit code 2."""


class PreemptedError(Exception):
    """A worker ended because its machine is taken away; its trial goes on elsewhere."""
