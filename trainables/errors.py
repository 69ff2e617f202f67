"""The one error that is meant for the user: a few lines that name the value and the way out."""


class UserError(Exception):
    """Shown as it is, without a traceback; the command then ends with exit code 2."""
