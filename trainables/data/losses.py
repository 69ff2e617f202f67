"""Examples that cannot be used: counted, named, and accepted only up to a fraction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trainables.errors import UserError

ACCEPTED = 0.01  # fraction that may be lost if the user has not accepted more
SHOWN = 5  # named in the message


@dataclass(frozen=True)
class Losses:
    """How many of `total` examples cannot be used, and the first of them with the reasons."""

    total: int
    lost: int
    first: tuple[str, ...]


def count_losses(total: int, lost: Sequence[str]) -> Losses:
    """Return the losses among `total` examples; `lost` names each of them with its reason."""
    return Losses(total, len(lost), tuple(lost[:SHOWN]))


def check_losses(source: str, losses: Losses, accepted: float, is_set: bool = True) -> None:
    """Raise UserError if a larger fraction of the examples is lost than is accepted.

    `is_set` says that the user of this command sets that fraction.
    """
    if losses.lost <= accepted * losses.total:
        return
    share = losses.lost / losses.total
    more = losses.lost - len(losses.first)
    raise UserError(
        f"{source}: {losses.lost:,} of {losses.total:,} examples cannot be used ({share:.1%}, "
        f"more than {accepted:.3g} of all)\n"
        + "".join(f"  {line}\n" for line in losses.first)
        + (f"  and {more:,} more\n" if more else "")
        + "fix or remove them"
        + f", or accept the loss: --set accept_losses={math.ceil(100 * share) / 100:g}" * is_set
    )
