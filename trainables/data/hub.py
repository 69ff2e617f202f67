"""The Hugging Face hub: one short request that finds out whether it can be used."""

from __future__ import annotations

from typing import Literal


def find_hub_error(repository: str, kind: Literal["model", "dataset"]) -> str | None:
    """Return why the hub does not offer a repository, in one line; None if it does.

    The libraries that download retry for minutes before they give up; this takes 10 s at most.
    """
    from huggingface_hub import HfApi

    try:
        HfApi().repo_info(repository, repo_type=kind, timeout=10)
    except Exception as error:  # the library and its transports raise without a common base
        return first_line(error)
    return None


def first_line(error: Exception) -> str:
    """Return the class of an error and the first line of its message."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
