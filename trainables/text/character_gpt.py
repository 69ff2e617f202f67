"""A GPT with its alphabet: it reads, predicts and writes text, one character at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from trainables.errors import UserError
from trainables.fit import predict
from trainables.models.gpt import GPT
from trainables.predictor import Predictor
from trainables.text.generation import sample_tokens

EVALUATION_BATCH = 256  # windows
NAMES = {" ": "space", "\n": "new line", "\t": "tab"}


class CharacterGPT(nn.Module):
    """A GPT with the alphabet that it knows; a character's token is its index in it."""

    def __init__(
        self, codes: Tensor, *, block: int, layers: int, heads: int, width: int, dropout: float
    ) -> None:
        super().__init__()
        self.codes: Tensor
        self.register_buffer("codes", codes)
        self.alphabet = "".join(map(chr, codes.tolist()))
        self.block = block
        self.gpt = GPT(
            len(codes), block=block, layers=layers, heads=heads, width=width, dropout=dropout
        )

    def forward(self, tokens: Tensor) -> Tensor:
        return self.gpt(tokens)  # type: ignore[no-any-return]

    def encode(self, text: str) -> Tensor:
        """Encode a text as tokens (n,); raises UserError for unknown characters."""
        tokens = {character: token for token, character in enumerate(self.alphabet)}
        if unknown := sorted(set(text) - set(tokens)):
            raise UserError(
                f"the model does not know {' '.join(map(repr, unknown))}\nit knows: "
                + " ".join(character for character in self.alphabet if character.isprintable())
            )
        return torch.tensor([tokens[character] for character in text], dtype=torch.long)

    def write(
        self,
        prompt: str,
        length: int = 500,
        temperature: float = 0.8,
        top_k: int = 0,
        seed: int = 0,
    ) -> str:
        """Continue a prompt by `length` characters; returns the prompt with them."""
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


def compute_logits(model: CharacterGPT, tokens: Tensor, autocast: bool = False) -> Tensor:
    """Predict tokens (n,) in consecutive windows of `block`: logits (n - 1, characters)."""
    inputs = tokens[:-1]
    full = len(inputs) // model.block * model.block
    windows = [*inputs[:full].view(-1, model.block).split(EVALUATION_BATCH)]
    windows += [inputs[full:][None]] if full < len(inputs) else []
    logits = [predict(model, [batch], autocast=autocast).flatten(0, 1) for batch in windows]
    return torch.cat(logits)


def make_predictor(model: CharacterGPT) -> Predictor:
    """Return a Predictor: texts (n,) -> (n, characters) probabilities of the next character.

    Its `write` continues a prompt.
    """

    def predict_probabilities(texts: np.ndarray) -> np.ndarray:
        tokens = [model.encode(str(text))[-model.block :] for text in texts]
        probabilities = np.empty((len(tokens), len(model.alphabet)), np.float32)
        lengths = np.array([len(row) for row in tokens])
        if 0 in lengths:
            raise UserError("a text is empty: a prediction needs at least one character")
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            inputs = torch.stack([tokens[row] for row in rows])
            logits = [predict(model, [part])[:, -1] for part in inputs.split(EVALUATION_BATCH)]
            probabilities[rows] = torch.cat(logits).softmax(1).numpy()
        return probabilities

    example = np.array([model.alphabet[:1]], dtype=object)
    classes = name_characters(model.alphabet)
    return Predictor(predict_probabilities, example, classes, write=model.write)


def name_characters(characters: str) -> tuple[str, ...]:
    """Return a name per character: itself, or a word for white space."""
    return tuple(NAMES.get(character, character) for character in characters)


def write_samples(path: Path, model: CharacterGPT) -> None:
    """Write a Markdown file with texts that the model writes at three temperatures."""
    prompt = "\n" if "\n" in model.alphabet else model.alphabet[0]
    parts = [
        f"At temperature {temperature}:\n\n```text\n"
        + model.write(prompt, temperature=temperature).strip()
        + "\n```\n"
        for temperature in (0.5, 0.8, 1.0)
    ]
    path.write_text("\n".join(parts), encoding="utf-8")
