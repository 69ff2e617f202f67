"""How much faster are batch functions on one resident tensor than a DataLoader of single images?

No training, only what feeds it: shuffle, gather a batch, shift by up to 2 pixels, normalise. Our
side is what `train_classifier` does, in one thread. The rival is torchvision's: PIL images decoded
in memory beforehand, `RandomCrop` with reflected padding (the same shifts), `ToTensor` and
`Normalize`, in this process or in two worker processes beside it, which are kept and warmed up.
Each takes its turn in every round, whole epochs at a time.

    TUNERY_DATA=... python -m tests.benchmarks.pipeline     (short: --rounds 1 --seconds 1)
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from tests.benchmarks.report import MET, MISSED, heading, real_data, spread, verdict
from trainables.data import augment
from trainables.data.images import Split
from trainables.data.load import load_svhn
from trainables.run import Run
from trainables.vision import torchvision_operators  # noqa: F401 - must come before torchvision

# isort: split
from torchvision import transforms

REQUIRED = 10.0
SHIFT = 2
Epoch = Callable[[], Iterator[tuple[Tensor, Tensor]]]


def resident(train: Split, batch_size: int) -> Epoch:
    """Return epochs as `train_classifier` has them: augmented, then normalised by the model."""
    mean, std = augment.compute_mean_std(train.pixels, train.rows)
    order, draws = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)
    whole = len(train) // batch_size * batch_size

    def epoch() -> Iterator[tuple[Tensor, Tensor]]:
        shuffled = train.rows[torch.randperm(len(train), generator=order)]
        for rows in shuffled[:whole].split(batch_size):
            pixels = augment.random_shift(train.pixels.index_select(0, rows), SHIFT, draws)
            normal = augment.normalize(pixels, mean, std, memory_format=torch.channels_last)
            yield normal, train.labels[rows]

    return epoch


class Decoded:
    """The same images as PIL images in memory, transformed one by one."""

    def __init__(self, train: Split) -> None:
        mean, std = augment.compute_mean_std(train.pixels, train.rows)
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=SHIFT, padding_mode="reflect"),
                transforms.ToTensor(),
                transforms.Normalize(mean.tolist(), std.tolist()),
            ]
        )
        pixels = train.pixels[train.rows].permute(0, 2, 3, 1).contiguous().numpy()
        self.images = [Image.fromarray(image) for image in pixels]
        self.labels = train.labels[train.rows].tolist()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


def loader(decoded: Decoded, batch_size: int, workers: int) -> Epoch:
    """Return epochs of a DataLoader."""
    batches: DataLoader[Any] = DataLoader(
        decoded,  # type: ignore[arg-type]
        batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    return lambda: iter(batches)


def rate(epoch: Epoch, seconds: float) -> float:
    """Return images per second over whole epochs of at least this duration."""
    count, started = 0, time.perf_counter()
    while (took := time.perf_counter() - started) < seconds:
        for pixels, _ in epoch():
            count += len(pixels)
    return count / took


def main() -> int:
    """Run the command line; gives the exit code."""
    p = argparse.ArgumentParser(prog="python -m tests.benchmarks.pipeline")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=5.0, help="of each side in each round")
    p.add_argument("--batch-size", type=int, default=64)
    options = p.parse_args()
    data = real_data("svhn")
    torch.set_num_threads(1)
    heading(f"tensor pipeline against DataLoader, batches of {options.batch_size}, one thread")
    train = load_svhn(Run(reports=1, data=data)).train
    decoded = Decoded(train)
    sides = {
        "resident tensor": resident(train, options.batch_size),
        "DataLoader, 0 workers": loader(decoded, options.batch_size, 0),
        "DataLoader, 2 workers": loader(decoded, options.batch_size, 2),
    }
    for epoch in sides.values():
        rate(epoch, 0.1)  # one epoch each to warm up: pages, threads, worker processes
    rates: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(options.rounds):
        for side, epoch in sides.items():
            rates[side].append(rate(epoch, options.seconds))
    print(f"{len(train)} images of SVHN, images per second, median (range)")
    for side, values in rates.items():
        print(f"  {side:22s} {spread(values, 0)}")
    ours, *rivals = rates
    met = [
        verdict(
            f"{ours} / {rival}",
            [a / b for a, b in zip(rates[ours], rates[rival], strict=True)],
            least=REQUIRED,
        )
        for rival in rivals
    ]
    return MET if all(met) else MISSED


if __name__ == "__main__":
    sys.exit(main())
