"""Non-local blocks compared with a loop; shapes of encoder, classifier and decoder."""

import pytest
import torch

from trainables.models.pyramid import (
    Narrowing,
    NonLocal,
    build_classifier,
    build_decoder,
    build_encoder,
)


def test_a_non_local_block_agrees_with_a_loop_over_positions() -> None:
    torch.manual_seed(0)
    block = NonLocal(6)
    torch.nn.init.normal_(block.out.weight)
    images = torch.randn(2, 6, 3, 4)
    query, key, value = (f(images) for f in (block.query, block.key, block.value))
    mixed = torch.zeros_like(value)
    places = [(row, column) for row in range(3) for column in range(4)]
    for n in range(2):
        for i in places:
            affinity = torch.stack([(query[n, :, *i] * key[n, :, *j]).sum() for j in places])
            shares = affinity.softmax(0)
            mixed[n, :, *i] = sum(s * value[n, :, *j] for s, j in zip(shares, places, strict=True))
    assert torch.allclose(block(images), images + block.out(mixed), atol=1e-5)


def test_blocks_agree_with_torchvisions_vgg() -> None:
    from torchvision.models import vgg  # isort: skip

    torch.manual_seed(0)
    theirs = vgg.make_layers([64, 64, "M", 128, 128, "M"])
    ours = build_encoder(filters=64, blocks=2, dropout=0.0, batch_norm=False)
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 16, 16)
    assert torch.allclose(ours(images), theirs(images), atol=1e-5)


def test_a_new_non_local_block_is_the_identity() -> None:
    images = torch.randn(2, 6, 3, 4)
    assert torch.equal(NonLocal(6)(images), images)


@pytest.mark.parametrize("narrowing", ["pool", "stride"])
@pytest.mark.parametrize("non_local", [False, True])
def test_each_block_doubles_the_channels_and_halves_the_side(
    narrowing: Narrowing, non_local: bool
) -> None:
    body = build_encoder(filters=4, blocks=3, narrowing=narrowing, non_local=non_local)
    code = body(torch.randn(2, 3, 32, 32))
    assert code.shape == (2, 16, 4, 4)
    assert build_classifier(body, [8], 67)(torch.randn(2, 3, 32, 32)).shape == (2, 67)
    images = build_decoder(filters=4, blocks=3)(code)
    assert images.shape == (2, 3, 32, 32)
    assert 0 <= images.min() <= images.max() <= 1
