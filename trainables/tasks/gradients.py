"""The first batches of a training, looked at for the gradient that reaches one weight."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.data import augment
from trainables.data.images import ImageData
from trainables.optim import build_optimizer
from trainables.run import Loop, Run
from trainables.vision.classification import Normalise


def watch(
    run: Run,
    network: nn.Module,
    weight: Tensor,
    data: ImageData,
    *,
    seed: int,
    batches: int,
    batch_size: int,
    learning_rate: float,
) -> Loop:
    """Train with Adam and report `gradient`, the mean absolute gradient of one of its weights.

    A report covers `batches` batches, and tells their mean; beside it `train_loss` (nats) and
    `train_accuracy`. The network is built by the caller after `seed_everything`, and takes
    normalised images. The host waits for the device once per report.
    """
    mean, std = augment.compute_mean_std(data.train.pixels, data.train.rows)
    train = data.train.to(run.device)
    # A share of a report is as many batches of fewer images: the curve keeps its steps.
    batch_size = max(1, round(run.share * min(batch_size, len(train))))
    model = nn.Sequential(Normalise(mean, std), network)
    model = model.to(run.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    updates = build_optimizer(
        "adam", model, learning_rate=learning_rate, weight_decay=0.0, momentum=0.0
    )
    for report in run.resume(model=model, optimizer=updates):
        model.train()
        sums = torch.zeros(3, device=run.device)
        numbers = range(report * batches, (report + 1) * batches)
        chosen = torch.stack([drawn(len(train), batch_size, n, seed) for n in numbers])
        for index, rows in enumerate(train.rows[chosen.to(run.device)]):
            labels = train.labels[rows]
            logits = model(train.pixels.index_select(0, rows))
            loss = F.cross_entropy(logits, labels)
            updates.zero_grad(set_to_none=True)
            loss.backward()
            assert weight.grad is not None
            right = (logits.argmax(1) == labels).float().mean()
            sums += torch.stack([weight.grad.abs().mean(), loss.detach(), right])
            updates.step()
            if run.on_progress is not None:
                run.on_progress((index + 1) / batches)
        gradient, entropy, accuracy = sums.div(batches).tolist()
        yield {"gradient": gradient, "train_loss": entropy, "train_accuracy": accuracy}


def drawn(count: int, batch_size: int, number: int, seed: int) -> Tensor:
    """Give the places in `count` examples of a training's batch, by the batch's number.

    Epoch after epoch goes through them in another order. A function of number and seed alone: a
    resumed training has nothing to remember.
    """
    epoch, place = divmod(number, count // batch_size)
    order = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(count, generator=order)[place * batch_size :][:batch_size]
