"""`fit`: supervised epochs as a generator. What differs between tasks comes in as closures.

A task that would need a new argument here writes its own loop instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor, nn

from trainables.optim import Schedule, set_learning_rate
from trainables.ranking import Metrics
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
    """Train for the reports that the run still owes, each of `epochs` epochs of `steps` batches.

    `measure` gives the batch means of what is worth knowing, `loss` among them; their averages
    are reported with the prefix `train_`, beside what `evaluate` gives. `clip` is the largest
    gradient norm (0: unclipped). The host waits for the device once per report.

    A run that is leaving is put down between two batches, and goes on there: `batches` draws from
    nothing but the run's own generators, so an epoch that is begun again has the same ones.
    """
    per_report = epochs * steps
    total = per_report * run.reports
    for report in run.remaining:
        model.train()
        left = run.pop_partial()
        step: int = left.get("step", 0)
        sums: dict[str, Tensor] = {n: s.to(run.device) for n, s in left.get("sums", {}).items()}
        skipped = step % steps
        for _ in range(step // steps, epochs):
            begun = run.generator_states()
            for batch in islice(batches(), skipped, None):
                if run.preempted():
                    run.save_and_preempt({"step": step, "sums": sums}, begun)
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
