"""Token ids equal those of the tokenizer, and batches contain every text."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainables.data.ag_news import AG_NEWS
from trainables.data.text import load
from trainables.run import Run
from trainables.text import encoders
from trainables.text.encoders import Encoder
from trainables.text.tokenization import MAX_TOKENS, load_tokens, pad, shuffle_batches, tokenize


def test_stored_tokens_equal_those_of_the_tokenizer(tmp_path: Path) -> None:
    data = load(AG_NEWS, folder=None, cache=tmp_path, kind="placeholder")
    tiny = Encoder("tiny", None)
    for _ in range(2):  # made, then found again
        found = load_tokens(Run(reports=1, cache=tmp_path), data, tiny)["test"]
        given = encoders.load_tokenizer(tiny)(data.test.texts.tolist())["input_ids"]
        assert [found[row].tolist() for row in range(len(found))] == given


def test_long_texts_are_truncated_and_keep_the_end_token() -> None:
    tokenizer = encoders.load_tokenizer(Encoder("tiny", None))
    numbers = tokenize(tokenizer, ["a " * 400])[0]
    assert len(numbers) == MAX_TOKENS
    assert numbers[-1] == tokenizer.sep_token_id


def test_padding_is_on_the_right() -> None:
    ids, mask = pad([[5, 6, 7], [8]], padding=9)
    assert ids.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_an_epoch_has_every_text_once_with_little_padding() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 800)
    batches = shuffle_batches(lengths, 8, seed=3, epoch=1)
    assert sorted(np.concatenate(batches)) == list(range(800))
    kept = sum(lengths[rows].sum() for rows in batches)
    assert kept / sum(8 * lengths[rows].max() for rows in batches) > 0.9
    means = np.array([lengths[rows].mean() for rows in batches])
    assert abs(np.corrcoef(means[1:], means[:-1])[0, 1]) < 0.3, "batches come in random order"


def test_batches_depend_on_seed_and_epoch() -> None:
    lengths = np.arange(100) % 7

    def order(seed: int, epoch: int) -> list[int]:
        return list(np.concatenate(shuffle_batches(lengths, 4, seed, epoch)))

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)
    assert order(-1, 2) != order(1, 2)
