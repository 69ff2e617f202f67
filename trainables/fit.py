"""Supervised training as a generator; what differs between tasks is passed as functions.

A task that would need another argument of `fit` writes its own loop instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor, nn

from trainables.optim import Schedule, set_learning_rate
from trainables.ranking import Metrics, mark_divergence
from trainables.run import Loop, Run

Batch = TypeVar("Batch")


def fit(
    run: Run,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    epochs: int,
    steps: int,
    batches: Callable[[], Iterator[Batch]],
    measure: Callable[[Batch], Mapping[str, Tensor]],
    evaluate: Callable[[], Metrics],
    learning_rate: float,
    schedule: Schedule,
    clip: float = 0.0,
) -> Loop:
    """Train for the remaining reports of a run, each of `epochs` epochs of `steps` batches.

    `measure` returns the means of one batch, `loss` among them. A report holds their averages
    with the prefix `train_`, and the metrics that `evaluate` returns; where one of them is not
    finite, the searched metric is NaN, so that the trial has diverged. `clip` is the largest norm
    of the gradient (0: no clipping). The host waits for the device once per report.

    A preempted run is saved between two batches and continues there. For this, `batches` must
    draw from the run's own generators only, so that a restarted epoch has the same batches.
    """
    per_report = epochs * steps
    total = per_report * run.reports
    for report in run.remaining:
        model.train()
        partial = run.pop_partial()
        step: int = partial.get("step", 0)
        sums: dict[str, Tensor] = {
            name: value.to(run.device) for name, value in partial.get("sums", {}).items()
        }
        skipped = step % steps
        for _ in range(step // steps, epochs):
            states = run.generator_states()
            for batch in islice(batches(), skipped, None):
                if run.preempted():
                    run.save_and_preempt({"step": step, "sums": sums}, states)
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
                if run.on_progress is not None:
                    run.on_progress(step / per_report)
            skipped = 0
        model.eval()
        evaluation = evaluate()
        averages = torch.stack(list(sums.values())).div(max(step, 1)).tolist()
        training = {f"train_{name}": value for name, value in zip(sums, averages, strict=True)}
        yield mark_divergence({**training, **evaluation}, run.metric)


def predict(
    model: nn.Module, batches: Sequence[Tensor] | Iterator[Tensor], *, autocast: bool = False
) -> Tensor:
    """Return a model's outputs for all batches, float32, on its device, without gradients."""
    was_training = model.training
    model.eval()
    with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=autocast):
        outputs = torch.cat([model(batch).float() for batch in batches])
    model.train(was_training)
    return outputs
