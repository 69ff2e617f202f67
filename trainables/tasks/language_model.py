"""A language model of characters: trained on windows of one text, scored on the text after it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables import checkpoint
from trainables.data.dante import Text
from trainables.errors import UserError
from trainables.fit import fit, predict
from trainables.models.gpt import GPT
from trainables.optim import add_warmup, build_optimizer, cosine
from trainables.predictor import GroundTruth, Predictor
from trainables.ranking import Metrics
from trainables.run import Loop, Run
from trainables.text.generation import sample_tokens

EVALUATION_BATCH = 256  # windows
NAMES = {" ": "space", "\n": "new line", "\t": "tab"}


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: the fields that a space's Config must have.

    Sizes of GPT; `block` is the characters it sees at most. The learning rate is the peak value,
    `warmup` the share of the training in which it rises; `steps` are per report.
    """

    seed: int
    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup: float
    clip: float
    block: int
    layers: int
    heads: int
    width: int
    dropout: float


class Reader(nn.Module):
    """A GPT with the alphabet that it reads; characters are numbered by their place in it."""

    def __init__(self, codes: Tensor, recipe: Recipe) -> None:
        super().__init__()
        self.codes: Tensor
        self.register_buffer("codes", codes)
        self.alphabet = "".join(map(chr, codes.tolist()))
        self.block = recipe.block
        self.gpt = GPT(
            len(codes),
            block=recipe.block,
            layers=recipe.layers,
            heads=recipe.heads,
            width=recipe.width,
            dropout=recipe.dropout,
        )

    def forward(self, tokens: Tensor) -> Tensor:
        return self.gpt(tokens)  # type: ignore[no-any-return]

    def encode(self, text: str) -> Tensor:
        """Give a text as numbers (n,); raises UserError for characters never read."""
        places = {character: place for place, character in enumerate(self.alphabet)}
        if unknown := sorted(set(text) - set(places)):
            raise UserError(
                f"the model does not know {' '.join(map(repr, unknown))}\nit has read: "
                + " ".join(character for character in self.alphabet if character.isprintable())
            )
        return torch.tensor([places[character] for character in text], dtype=torch.long)

    def write(
        self,
        prompt: str,
        length: int = 500,
        temperature: float = 0.8,
        top_k: int = 0,
        seed: int = 0,
    ) -> str:
        """Go on after a prompt for so many characters; gives both."""
        tokens = self.encode(prompt or self.alphabet[0]).to(self.codes.device)
        was_training = self.training
        self.eval()
        tokens = sample_tokens(
            self,
            tokens,
            length,
            block=self.block,
            temperature=temperature,
            top_k=top_k,
            seed=seed,
        )
        self.train(was_training)
        text = "".join(self.alphabet[token] for token in tokens.tolist())
        return text if prompt else text[1:]


def alphabet(text: Text) -> Tensor:
    """Give the code points of all characters of a text, ascending."""
    return torch.tensor(sorted(map(ord, set(text.full_text))))


def read(config: Any, run: Run, text: Text) -> Loop:
    """Train a model on a text; reports loss in nats and in bits per character.

    Validation and test are read in windows of `block` characters, one after the other, in which
    every character but the part's first is predicted once. The probabilities of these are kept;
    `samples.md` shows what the model writes.
    """
    recipe = recipe_of(config)
    device = run.device
    on_gpu = device.type == "cuda"
    model = Reader(alphabet(text), recipe).to(device)
    train = model.encode(text.train).to(device)
    validation, test = (model.encode(part).to(device) for part in (text.validation, text.test))
    if min(map(len, (train, validation, test))) < recipe.block + 2:
        raise UserError(
            f"block={recipe.block} is too long for parts of {len(train):,}, {len(validation):,} "
            f"and {len(test):,} characters"
        )
    updates = build_optimizer(
        "adamw",
        model,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        momentum=0.0,
    )
    draws = torch.Generator().manual_seed(recipe.seed)
    run.resume(model=model, optimizer=updates, generator_states=draws)
    steps = max(1, round(run.share * recipe.steps))
    window = torch.arange(recipe.block + 1, device=device)

    def batches() -> Iterator[Tensor]:
        for _ in range(steps):
            begins = torch.randint(
                len(train) - recipe.block, (recipe.batch_size, 1), generator=draws
            )
            yield train[begins.to(device) + window]

    def measure(windows: Tensor) -> dict[str, Tensor]:
        with torch.autocast("cuda", torch.bfloat16, enabled=on_gpu):
            logits = model(windows[:, :-1])
        return {"loss": F.cross_entropy(logits.float().flatten(0, 1), windows[:, 1:].flatten())}

    def evaluate() -> Metrics:
        part = validation[: max(recipe.block + 2, round(run.share * len(validation)))]
        logits = logits_of(model, part, on_gpu)
        loss = float(F.cross_entropy(logits, part[1:]))
        right = float((logits.argmax(1) == part[1:]).double().mean())
        return {
            "validation_loss": loss,
            "validation_bits": loss / math.log(2),
            "validation_accuracy": right,
        }

    def probabilities(part: Tensor) -> np.ndarray:
        return logits_of(model, part, on_gpu).softmax(1).cpu().numpy()

    run.keep_predictions(
        validation=lambda: probabilities(validation), test=lambda: probabilities(test)
    )
    run.show("samples.md", lambda path: _exhibit(path, model))
    yield from fit(
        run,
        model,
        updates,
        epochs=1,
        steps=steps,
        batches=batches,
        measure=measure,
        evaluate=evaluate,
        learning_rate=recipe.learning_rate,
        schedule=add_warmup(cosine, recipe.warmup),
        clip=recipe.clip,
    )


def recipe_of(config: Any) -> Recipe:
    """Take from a Config what it says of the model and its training."""
    return Recipe(**{field.name: getattr(config, field.name) for field in fields(Recipe)})


def logits_of(model: Reader, part: Tensor, autocast: bool = False) -> Tensor:
    """Read a part (n,) in windows one after the other: logits (n - 1, characters) of the next."""
    seen = part[:-1]
    full = len(seen) // model.block * model.block
    windows = [*seen[:full].view(-1, model.block).split(EVALUATION_BATCH)]
    windows += [seen[full:][None]] if full < len(seen) else []
    found = [predict(model, [batch], autocast=autocast).flatten(0, 1) for batch in windows]
    return torch.cat(found)


def restored(config: Any, folder: Path) -> Predictor:
    """Fill a model from a checkpoint: takes texts (n,), gives the probabilities of what follows.

    Its `write` goes on after a prompt.
    """
    found = checkpoint.read(folder)
    if found is None:
        raise UserError(f"no complete checkpoint in {folder}")
    model = Reader(found[1]["parts"]["model"]["codes"], recipe_of(config))
    checkpoint.load_module(model, folder)

    def probabilities(texts: np.ndarray) -> np.ndarray:
        tokens = [model.encode(str(text))[-model.block :] for text in texts]
        chances = np.empty((len(tokens), len(model.alphabet)), np.float32)
        lengths = np.array([len(row) for row in tokens])
        if 0 in lengths:
            raise UserError("what follows an empty text cannot be told; give one character")
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            together = torch.stack([tokens[row] for row in rows])
            logits = [predict(model, [part])[:, -1] for part in together.split(EVALUATION_BATCH)]
            chances[rows] = torch.cat(logits).softmax(1).numpy()
        return chances

    example = np.array([model.alphabet[:1]], dtype=object)
    return Predictor(probabilities, example, _names(model.alphabet), write=model.write)


def truth(config: Any, text: Text) -> GroundTruth:
    """Give a report the characters that are to be predicted, and the texts before them."""
    codes = alphabet(text).numpy()
    splits = {"validation": text.validation, "test": text.test}
    block = recipe_of(config).block

    def inputs(name: str) -> np.ndarray:
        part = splits[name]
        before = [part[at // block * block : at + 1] for at in range(len(part) - 1)]
        return np.array(before, dtype=object)

    return GroundTruth(
        fingerprint=text.fingerprint,
        classes=_names("".join(map(chr, codes))),
        targets={
            name: np.searchsorted(codes, [ord(character) for character in part[1:]])
            for name, part in splits.items()
        },
        inputs=inputs,
    )


def _names(characters: str) -> tuple[str, ...]:
    return tuple(NAMES.get(character, character) for character in characters)


def _exhibit(path: Path, model: Reader) -> None:
    prompt = "\n" if "\n" in model.alphabet else model.alphabet[0]
    parts = [
        f"At temperature {temperature}:\n\n```text\n"
        + model.write(prompt, temperature=temperature).strip()
        + "\n```\n"
        for temperature in (0.5, 0.8, 1.0)
    ]
    path.write_text("\n".join(parts), encoding="utf-8")
