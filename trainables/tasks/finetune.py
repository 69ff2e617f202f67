"""Training that is looked at every so many batches: a fine-tuned network is done in few epochs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.data import augment
from trainables.data.images import ImageData, Split
from trainables.fit import fit, predict
from trainables.optim import build_optimizer, constant
from trainables.ranking import Metrics
from trainables.run import Loop, Run
from trainables.vision.classification import EVALUATION_BATCH, Normalise


def finetune(
    run: Run,
    network: nn.Module,
    data: ImageData,
    *,
    seed: int,
    learning_rate: float,
    batch_size: int,
    every: int,
    moments: tuple[Tensor, Tensor] | None = None,
) -> Loop:
    """Train with Adam through one shuffled epoch after another, `every` batches per report.

    A report may end in the middle of an epoch; the next goes on there. `moments` are the mean and
    deviation that the network expects (None: train's own). Reports loss and accuracy on train (of
    its batches) and on validation; predictions on validation and test are kept.
    """
    device = run.device
    on_gpu = device.type == "cuda"
    mean, std = moments or augment.compute_mean_std(data.train.pixels, data.train.rows)
    data = data.to(device)
    train, validation = data.train, data.validation.head(run.share)
    model = nn.Sequential(Normalise(mean, std), network)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    updates = build_optimizer(
        "adam", model, learning_rate=learning_rate, weight_decay=0.0, momentum=0.0
    )
    owed = run.resume(model=model, optimizer=updates)
    steps = max(1, round(every * run.share))
    reports = iter(owed)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        first = next(reports) * steps
        # All at once: a copy to the device per batch would have the host wait for it.
        places = torch.stack(list(stream(len(train), batch_size, seed, first, steps)))
        for chosen in train.rows[places.to(device)]:
            yield train.pixels.index_select(0, chosen), train.labels[chosen]

    def measure(batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        pixels, labels = batch
        with torch.autocast("cuda", torch.bfloat16, enabled=on_gpu):
            logits = model(pixels).float()
        accuracy = (logits.argmax(1) == labels).float().mean()
        return {"loss": F.cross_entropy(logits, labels), "accuracy": accuracy}

    def outputs(split: Split) -> Tensor:
        chunks = split.rows.split(EVALUATION_BATCH)
        return predict(model, (split.pixels.index_select(0, r) for r in chunks), autocast=on_gpu)

    def evaluate() -> Metrics:
        logits, labels = outputs(validation), validation.labels[validation.rows]
        entropy = F.cross_entropy(logits, labels).double()
        accuracy = (logits.argmax(1) == labels).double().mean()
        both = torch.stack([entropy, accuracy]).tolist()
        return {"validation_loss": both[0], "validation_accuracy": both[1]}

    run.keep_predictions(
        validation=lambda: outputs(validation).softmax(1).cpu().numpy(),
        test=lambda: outputs(data.test).softmax(1).cpu().numpy(),
    )
    yield from fit(
        run,
        model,
        updates,
        epochs=1,
        steps=steps,
        batches=batches,
        measure=measure,
        evaluate=evaluate,
        learning_rate=learning_rate,
        schedule=constant,
    )


def stream(count: int, batch_size: int, seed: int, first: int, number: int) -> Iterator[Tensor]:
    """Give `number` batches of places below `count`, from the `first`-th of an endless stream on.

    Every epoch is shuffled by a seed of its own, so the stream can be entered anywhere. What is
    left of an epoch after its last whole batch is left out.
    """
    batch_size = min(batch_size, count)
    each = count // batch_size
    shuffled, of = torch.empty(0, dtype=torch.int64), -1
    for place in range(first, first + number):
        epoch, within = divmod(place, each)
        if epoch != of:
            draw = np.random.default_rng([seed % 2**32, epoch])
            shuffled, of = torch.from_numpy(draw.permutation(count)), epoch
        yield shuffled[within * batch_size : (within + 1) * batch_size]
