"""The batches of reports that end within an epoch."""

import torch

from trainables.tasks.finetune import draw_batches


def test_batches_do_not_depend_on_earlier_batches() -> None:
    whole = list(draw_batches(10, 3, 5, 0, 8))
    parts = [batch for first in (0, 2, 4, 6) for batch in draw_batches(10, 3, 5, first, 2)]
    assert all(torch.equal(one, other) for one, other in zip(whole, parts, strict=True))


def test_an_epoch_has_no_example_twice_and_the_next_has_another_order() -> None:
    batches = list(draw_batches(10, 3, 5, 0, 6))
    epochs = [torch.cat(batches[:3]).tolist(), torch.cat(batches[3:]).tolist()]
    assert all(len(set(epoch)) == 9 and set(epoch) <= set(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert epochs[0] != torch.cat(list(draw_batches(10, 3, 6, 0, 3))).tolist()


def test_a_batch_is_at_most_as_large_as_the_data() -> None:
    assert [sorted(batch.tolist()) for batch in draw_batches(4, 9, 0, 0, 2)] == [[0, 1, 2, 3]] * 2
