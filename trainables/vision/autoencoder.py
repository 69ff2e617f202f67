"""Autoencoders of images: an encoder is trained without labels, to reconstruct its input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables import checkpoint
from trainables.data import augment
from trainables.data.images import ImageData
from trainables.errors import UserError
from trainables.fit import fit
from trainables.optim import build_optimizer, constant
from trainables.pretraining import train_once
from trainables.run import Loop, Run, seed_everything
from trainables.vision.classification import Normalize


def train_autoencoder(
    run: Run,
    encoder: nn.Module,
    decoder: nn.Module,
    data: ImageData,
    *,
    seed: int,
    learning_rate: float,
    batch_size: int,
) -> Loop:
    """Train encoder and decoder with Adam to reconstruct pixels; a report is an epoch of train.

    Reports the mean squared error of pixels in [0, 1], on train only: no image of validation or
    test influences a classifier's initial weights. The decoder's outputs are in [0, 1].
    """
    device = run.device
    on_gpu = device.type == "cuda"
    train = data.train.to(device)
    mean, std = augment.compute_mean_std(data.train.pixels, data.train.rows)
    model = nn.Sequential(Normalize(mean, std), encoder, decoder)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(
        "adam", model, learning_rate=learning_rate, weight_decay=0.0, momentum=0.0
    )
    order = torch.Generator().manual_seed(seed)
    run.resume(model=model, optimizer=optimizer, order=order)
    batch_size = min(batch_size, len(train))
    steps = len(train) // batch_size

    def batches() -> Iterator[Tensor]:
        shuffled = train.rows[torch.randperm(len(train), generator=order).to(device)]
        for rows in shuffled[: steps * batch_size].split(batch_size):
            yield train.pixels.index_select(0, rows)

    def measure(pixels: Tensor) -> dict[str, Tensor]:
        with torch.autocast("cuda", torch.bfloat16, enabled=on_gpu):
            images = model(pixels)
        return {"loss": F.mse_loss(images.float(), pixels.float() / 255)}

    yield from fit(
        run,
        model,
        optimizer,
        epochs=1,
        steps=steps,
        batches=batches,
        measure=measure,
        evaluate=dict,
        learning_rate=learning_rate,
        schedule=constant,
    )


def load_pretrained_encoder(
    run: Run,
    build: Callable[[], tuple[nn.Sequential, nn.Sequential]],
    data: ImageData,
    *,
    epochs: int,
    shape: Mapping[str, object],
    seed: int,
    learning_rate: float,
    batch_size: int,
) -> nn.Sequential:
    """Return an encoder that is trained once per machine for these settings.

    `build` makes encoder and decoder; `shape` is what their architecture depends on. In a probe
    the encoder is untrained.
    """
    settings = {"seed": seed, "learning_rate": learning_rate, "batch_size": batch_size}

    def train(autoencoder_run: Run) -> Loop:
        seed_everything(seed)
        encoder, decoder = build()
        yield from train_autoencoder(
            autoencoder_run,
            encoder,
            decoder,
            data,
            seed=seed,
            learning_rate=learning_rate,
            batch_size=batch_size,
        )

    folder = train_once(
        "autoencoder",
        {**settings, "shape": dict(shape), "data": data.fingerprint},
        run,
        train,
        reports=epochs,
        metric="train_loss",
        mode="min",
    )
    encoder, decoder = build()
    if folder is not None:
        channels = data.train.pixels.shape[1]
        identity = Normalize(torch.zeros(channels), torch.ones(channels))
        checkpoint.load_module(nn.Sequential(identity, encoder, decoder), folder)
    return encoder.train()


def load_encoder(encoder: nn.Module, network: nn.Module, origin: str) -> None:
    """Copy the weights of the part of a trained network that has the encoder's architecture.

    Raises UserError, which calls the network `origin`, if there is none.
    """

    def get_shapes(module: nn.Module) -> dict[str, torch.Size]:
        state = module.state_dict()
        return {name: value.shape for name, value in state.items() if isinstance(value, Tensor)}

    expected = get_shapes(encoder)
    for part in network.modules():
        if get_shapes(part) == expected:
            encoder.load_state_dict(part.state_dict())
            return
    sizes = ", ".join("x".join(map(str, size)) for size in list(expected.values())[:3] if size)
    raise UserError(
        f"{origin} has no encoder with the expected weights, which begin with {sizes}\n"
        "its blocks, depth and filters must be those of this space"
    )
