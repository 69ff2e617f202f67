"""`fit`: supervised epochs as a generator. What differs between tasks comes in as closures.

A task that would need a new argument here writes its own loop instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from trainables.optim import Schedule, set_learning_rate
from trainables.run import Loop, Metrics

Batch = TypeVar("Batch")


def fit(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    owed: range,
    epochs: int,
    steps: int,
    batches: Callable[[], Iterator[Batch]],
    measure: Callable[[Batch], Mapping[str, Tensor]],
    evaluate: Callable[[], Metrics],
    learning_rate: float,
    schedule: Schedule,
    clip: float = 0.0,
    tick: Callable[[float], None] | None = None,
) -> Loop:
    """Train for the reports still owed, each of `epochs` epochs of `steps` batches.

    `measure` gives the batch means of what is worth knowing, `loss` among them; their averages
    are reported with the prefix `train_`, beside what `evaluate` gives. `clip` is the largest
    gradient norm (0: unclipped). `tick` hears the share of the report that is done. The host
    waits for the device once per report.
    """
    per_report = epochs * steps
    total = per_report * owed.stop
    for report in owed:
        model.train()
        sums: dict[str, Tensor] = {}
        step = 0
        for _ in range(epochs):
            for batch in batches():
                set_learning_rate(
                    optimizer, learning_rate * schedule((report * per_report + step) / total)
                )
                optimizer.zero_grad(set_to_none=True)
                measured = measure(batch)
                measured["loss"].backward()
                if clip > 0:
                    nn.utils.clip_grad_norm_(model.parameters(), clip)
                optimizer.step()
                for name, value in measured.items():
                    value = value.detach().float()
                    sums[name] = sums[name] + value if name in sums else value
                step += 1
                if tick is not None:
                    tick(step / per_report)
        model.eval()
        evaluated = evaluate()
        averages = torch.stack(list(sums.values())).div(max(step, 1)).tolist()
        trained = {f"train_{name}": value for name, value in zip(sums, averages, strict=True)}
        yield {**trained, **evaluated}


def predict(
    model: nn.Module, batches: Sequence[Tensor] | Iterator[Tensor], *, autocast: bool = False
) -> Tensor:
    """Run a model over batches without gradients; gives all outputs, float32, on its device."""
    was_training = model.training
    model.eval()
    with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=autocast):
        outputs = torch.cat([model(batch).float() for batch in batches])
    model.train(was_training)
    return outputs
