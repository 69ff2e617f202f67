"""What the user asked for, typed; None where the space or an earlier search decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cluster.storage.location import Location

ResumeMode = Literal["resume", "fresh", None]


@dataclass(frozen=True)
class Options:
    """What the user asked for; None where the space or an earlier search decides."""

    trials: int | None = None
    reports: int | None = None
    seeds: int | None = None
    seed: int | None = None
    sampler: str | None = None
    scheduler: str | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    tracking_uri: str | None = None
    resume_mode: ResumeMode = None
    budget: float | None = None
    concurrency: int | None = None
    gpus: float | Literal["auto"] | None = None
    address: str | None = None
    control: int | None = None
    teacher: str | None = None
    remote: Location | None = None
