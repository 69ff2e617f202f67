"""State is restored exactly or not at all, and without pickle."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from trainables import checkpoint
from trainables.errors import DamagedFileError, TaskError, UserError


def _there_and_back(folder: Path, tree: Any) -> Any:
    checkpoint.write(folder, {"report": 1}, tree)
    found = checkpoint.read(folder)
    assert found is not None
    return found[1]


def _same(left: Any, right: Any) -> bool:
    assert type(left) is type(right), f"{left!r} became {right!r}"
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right)
    if isinstance(left, dict):
        return list(left) == list(right) and all(_same(left[k], right[k]) for k in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)


def test_nested_state_is_restored_with_its_types(tmp_path: Path) -> None:
    tree = {
        "empty": {},
        "by number": {0: torch.ones(2), 1: torch.zeros(3)},
        "pair": (1, (2.5, None), ["a", True]),
        "nothing in it": torch.zeros(0, 4),
        "one": torch.tensor(3),
        "half": torch.ones(3, dtype=torch.bfloat16),
        "flags": torch.tensor([True, False]),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "array": np.arange(6, dtype=np.uint32).reshape(2, 3),
        "large": 2**62,
    }
    assert _same(tree, _there_and_back(tmp_path, tree))


def test_numpy_scalars_are_restored_as_python_numbers(tmp_path: Path) -> None:
    found = _there_and_back(tmp_path, {"score": np.float64(0.5), "count": np.int64(3)})
    assert _same({"score": 0.5, "count": 3}, found)


def test_similar_names_do_not_collide(tmp_path: Path) -> None:
    tree = {"a": {"b": torch.zeros(2)}, "a.b": torch.ones(2), "0": torch.ones(1), 0: torch.ones(2)}
    assert _same(tree, _there_and_back(tmp_path, tree))


def test_unsupported_types_are_rejected_by_name(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"parts\.model in a checkpoint: object"):
        checkpoint.write(tmp_path, {"report": 1}, {"parts": {"model": object()}})
    for array in (np.array([object()]), np.array(["a"]), np.datetime64("2026-01-01")):
        with pytest.raises(TaskError, match=r"cannot save parts\.model"):
            checkpoint.write(tmp_path, {"report": 1}, {"parts": {"model": array}})
    with pytest.raises(TaskError, match=r"parts\.model .* its key \(1, 2\) is not"):
        checkpoint.write(tmp_path, {"report": 1}, {"parts": {"model": {(1, 2): 3}}})
    assert checkpoint.read(tmp_path) is None


@pytest.mark.parametrize(
    ("tensor", "why"),
    [
        (torch.eye(2).to_sparse(), "with the layout torch.sparse_coo is not a dense tensor"),
        (torch.eye(2).to_sparse_csc(), "with the layout torch.sparse_csc is not a dense tensor"),
        (torch.empty(2, device="meta"), "on the device meta, which has no values, is not"),
        (torch.zeros(2, dtype=torch.complex128), "safetensors has no torch.complex128"),
        (np.zeros(2, complex), "safetensors has no torch.complex128"),
        (np.zeros(2, np.longdouble), "float128, which PyTorch lacks, is not"),
    ],
)
def test_tensors_that_cannot_be_saved_are_rejected_by_name(
    tmp_path: Path, tensor: Any, why: str
) -> None:
    with pytest.raises(TaskError, match=rf"cannot save parts\.table in a checkpoint: .*{why}"):
        checkpoint.write(tmp_path, {"report": 1}, {"parts": {"table": tensor}})


def test_an_array_of_the_other_byte_order_keeps_its_values(tmp_path: Path) -> None:
    array = np.arange(3, dtype=np.dtype("i4").newbyteorder())
    assert _there_and_back(tmp_path, {"array": array})["array"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_channels_last_is_restored(tmp_path: Path, layout: torch.memory_format) -> None:
    weight = torch.randn(4, 3, 5, 5).to(memory_format=layout)
    found = _there_and_back(tmp_path, {"weight": weight})["weight"]
    assert torch.equal(found, weight)
    assert found.stride() == weight.stride()


def test_tied_tensors_and_views_are_restored(tmp_path: Path) -> None:
    whole = torch.randn(4, 6)
    tree = {
        "whole": whole,
        "tied": whole,
        "flat": whole.view(-1),
        "turned": whole.T,
        "row": whole[1],
        "spread": whole[:1].expand(3, 6),
    }
    assert _same(tree, _there_and_back(tmp_path, tree))


def test_tied_tensors_are_stored_once(tmp_path: Path) -> None:
    whole = torch.randn(1000)
    checkpoint.write(tmp_path, {"report": 1}, {"a": whole, "b": whole})
    (file,) = tmp_path.glob("*.safetensors")
    assert file.stat().st_size < 1.5 * whole.nbytes


class _Tied(nn.Module):
    """A language model's embedding and head share a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 3)
        self.head = nn.Linear(3, 7, bias=False)
        self.head.weight = self.embedding.weight


def test_a_model_with_a_tied_weight_is_restored(tmp_path: Path) -> None:
    one, other = _Tied(), _Tied()
    tree = _there_and_back(tmp_path, checkpoint.capture({"model": one}))
    checkpoint.restore(tree, {"model": other})
    assert torch.equal(one.embedding.weight, other.head.weight)
    assert other.embedding.weight is other.head.weight


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_a_restored_optimizer_continues_identically(tmp_path: Path, name: str) -> None:
    def made() -> tuple[nn.Linear, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        more = {"momentum": 0.9} if name == "SGD" else {}
        return model, getattr(torch.optim, name)(model.parameters(), lr=0.1, **more)

    def step(model: nn.Linear, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        model(torch.ones(4, 3)).square().sum().backward()
        optimizer.step()

    model, optimizer = made()
    step(model, optimizer)
    tree = _there_and_back(tmp_path, checkpoint.capture({"model": model, "optimizer": optimizer}))
    again, its_optimizer = made()
    checkpoint.restore(tree, {"model": again, "optimizer": its_optimizer})
    for pair in ((model, optimizer), (again, its_optimizer)):
        step(*pair)
    assert torch.equal(model.weight, again.weight)


RANDOM: dict[str, Callable[[], float]] = {
    "python": random.random,
    "python gauss": lambda: random.gauss(0, 1),  # keeps its second number for later
    "numpy": lambda: float(np.random.rand()),
    "numpy normal": lambda: float(np.random.randn()),
    "torch": lambda: float(torch.rand(())),
    "torch normal": lambda: float(torch.randn(())),
}


@pytest.mark.parametrize("draw", RANDOM.values(), ids=RANDOM.keys())
def test_global_random_states_are_restored(tmp_path: Path, draw: Callable[[], float]) -> None:
    draw()
    tree = _there_and_back(tmp_path, checkpoint.capture({}))
    expected = [draw() for _ in range(3)]
    checkpoint.restore(tree, {})
    assert [draw() for _ in range(3)] == expected


def test_a_generator_is_a_part(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(3)
    torch.rand(5, generator=generator)
    tree = _there_and_back(tmp_path, checkpoint.capture({"order": generator}))
    expected = torch.rand(5, generator=generator)
    other = torch.Generator()
    checkpoint.restore(tree, {"order": other})
    assert torch.equal(torch.rand(5, generator=other), expected)


class _Drawing(nn.Linear):
    """Loading it costs a random number."""

    def load_state_dict(self, *given: Any, **named: Any) -> Any:
        torch.rand(1)
        return super().load_state_dict(*given, **named)


def test_random_states_are_restored_last(tmp_path: Path) -> None:
    part = _Drawing(2, 2)
    tree = _there_and_back(tmp_path, checkpoint.capture({"part": part}))
    expected = torch.rand(3)
    checkpoint.restore(tree, {"part": part})
    assert torch.equal(torch.rand(3), expected)


def test_other_parts_than_saved_are_rejected() -> None:
    tree = checkpoint.capture({"model": nn.Linear(1, 1), "order": torch.Generator()})
    with pytest.raises(TaskError, match=r"\['model', 'order'\], Run.resume got \['model'\]"):
        checkpoint.restore(tree, {"model": nn.Linear(1, 1)})


def test_inference_state_holds_the_modules_only() -> None:
    model = nn.Linear(1, 1)
    parts = {"model": model, "optimizer": torch.optim.SGD(model.parameters())}
    tree = checkpoint.select_inference_state(checkpoint.capture(parts), parts)
    assert tree["parts"].keys() == {"model"}
    generator = {"order": torch.Generator()}
    assert checkpoint.select_inference_state(checkpoint.capture(generator), generator)[
        "parts"
    ].keys() == {"order"}
    other = nn.Linear(1, 1)
    checkpoint.restore(tree, {"model": other, "optimizer": None}, strict=False)
    assert torch.equal(model.weight, other.weight)


def test_load_module_restores_weights_in_eval_mode(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    with pytest.raises(UserError, match=str(tmp_path)):
        checkpoint.load_module(model, tmp_path)
    checkpoint.write(tmp_path, {"report": 1}, checkpoint.capture({"model": model}))
    other = checkpoint.load_module(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)), tmp_path)
    assert not other.training
    assert torch.equal(other(torch.ones(1, 2)), model[0](torch.ones(1, 2)))


def _write(folder: Path, report: float) -> None:
    """Write the state of a report; half a report is put down in the middle of the next."""
    manifest = {"report": int(report), "step": report}
    checkpoint.write(folder, manifest, {"weight": torch.full((50,), report)})


def _report(folder: Path) -> float | None:
    """Read which report a folder holds, having made sure that its state is that report's."""
    found = checkpoint.read(folder)
    if found is None:
        return None
    manifest, tree = found
    assert torch.equal(tree["weight"], torch.full((50,), manifest["step"]))
    return float(manifest["step"])


class Killed(BaseException):
    """The process ended here."""


@pytest.mark.parametrize("second", [2, 1.5])
@pytest.mark.parametrize("last", range(6))
def test_a_kill_between_two_files_keeps_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int, second: float
) -> None:
    _write(tmp_path, 1)
    done: list[str] = []

    def ending(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def acted(*given: Any, **named: Any) -> Any:
            if len(done) == last:
                raise Killed
            done.append(name)
            return act(*given, **named)

        return acted

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", ending("save", checkpoint.save_file))
        for name in ("replace", "write_text", "unlink"):
            patch.setattr(Path, name, ending(name, getattr(Path, name)))
        if last < 5:
            with pytest.raises(Killed):
                _write(tmp_path, second)
        else:
            _write(tmp_path, second)
            assert done == ["save", "replace", "write_text", "replace", "unlink"]
    assert _report(tmp_path) == (1 if last < 4 else second)
    _write(tmp_path, 1.75)
    assert _report(tmp_path) == 1.75
    _write(tmp_path, 3)
    assert _report(tmp_path) == 3
    assert {p.name for p in tmp_path.iterdir()} == {"manifest.json", "state-3.safetensors"}


@pytest.mark.parametrize("kept", [0, 4, 50, 250])
def test_a_kill_while_writing_tensors_keeps_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    _write(tmp_path, 1)
    save = checkpoint.save_file

    def half(tensors: dict[str, torch.Tensor], path: Path) -> None:
        save(tensors, path)
        path.write_bytes(path.read_bytes()[:kept])
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", half)
        with pytest.raises(Killed):
            _write(tmp_path, 2)
    assert _report(tmp_path) == 1


@pytest.mark.parametrize("name", ["state-1.safetensors", "manifest.json"])
@pytest.mark.parametrize("share", [None, 0.0, 0.1, 0.9])
def test_a_truncated_checkpoint_is_named_and_can_be_written_again(
    tmp_path: Path, name: str, share: float | None
) -> None:
    _write(tmp_path, 1)
    path = tmp_path / name
    if share is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    if (share, name) == (None, "manifest.json"):  # there is no checkpoint
        assert checkpoint.read(tmp_path) is None
        assert not checkpoint.copy(tmp_path, tmp_path / "copy")
    else:
        for read in (checkpoint.read, lambda path: checkpoint.copy(path, path / "copy")):
            with pytest.raises(DamagedFileError, match=re.escape(f"{tmp_path} is damaged: ")):
                read(tmp_path)
    assert not (tmp_path / "copy").exists()
    _write(tmp_path, 2)
    assert _report(tmp_path) == 2


@pytest.mark.parametrize("name", ["state-1.safetensors", "manifest.json"])
def test_any_flipped_bit_of_a_checkpoint_is_noticed(tmp_path: Path, name: str) -> None:
    _write(tmp_path, 1)
    path = tmp_path / name
    content = path.read_bytes()
    assert len(content) > 100
    for place in range(0, len(content), 3):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            found = checkpoint.read(tmp_path)
        except DamagedFileError:
            continue
        # A flip in the name of a checksum hides the checksum, and changes nothing else.
        assert found is not None
        assert found[0]["report"] == 1 and torch.equal(found[1]["weight"], torch.full((50,), 1.0))


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        ("{}", "it lacks 'file'"),
        ("[1]", "list instead of a JSON object"),
        ('{"file": "state-1.safetensors"}', "it lacks 'tree'"),
        ('{"file": "state-1.safetensors", "tree": {"dict": 3}}', "not iterable"),
        ('{"file": "state-1.safetensors", "tree": {"tensor": "other"}}', "it lacks 'other'"),
        ('{"file": 3, "tree": {}}', "No such file"),
        *(
            (f'{{"file": "state-1.safetensors", "files": {files}, "tree": {{}}}}', why)
            for files, why in (
                ('{"folder": "", "sums": [1]}', "checksums of its files are a list"),
                ('{"folder": "", "sums": null}', "checksums of its files are a NoneType"),
                ("[]", "list indices"),
            )
        ),
    ],
)
def test_a_manifest_of_other_content_is_damaged(tmp_path: Path, manifest: str, why: str) -> None:
    _write(tmp_path, 1)
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(DamagedFileError, match=f"is damaged: .*{why}"):
        checkpoint.read(tmp_path)


def test_a_checkpoint_of_an_older_version_has_no_checksums(tmp_path: Path) -> None:
    _write(tmp_path, 1)
    path = tmp_path / "manifest.json"
    manifest = json.loads(path.read_text())
    assert {"checksum", "#crc32"} <= manifest.keys()
    del manifest["checksum"], manifest["#crc32"]
    path.write_text(json.dumps(manifest))
    assert _report(tmp_path) == 1


def test_a_reader_finds_the_new_state_when_the_old_one_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path, 1)
    load, seen = checkpoint.load_file, []

    def overtaken(path: Path) -> dict[str, torch.Tensor]:
        if not seen:
            seen.append(path)
            _write(tmp_path, 2)  # after the reader has read the manifest
        return load(path)

    monkeypatch.setattr(checkpoint, "load_file", overtaken)
    assert _report(tmp_path) == 2


def test_a_copy_is_independent(tmp_path: Path) -> None:
    _write(tmp_path / "a", 1)
    assert checkpoint.copy(tmp_path / "a", tmp_path / "b")
    _write(tmp_path / "a", 2)
    assert (_report(tmp_path / "a"), _report(tmp_path / "b")) == (2, 1)
    assert not checkpoint.copy(tmp_path / "none", tmp_path / "c")


def test_nothing_is_pickled(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    tree = checkpoint.capture({"model": model, "optimizer": optimizer})
    checkpoint.write(tmp_path, {"report": 1}, tree)
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".safetensors"]
    json.loads((tmp_path / "manifest.json").read_text())
    (state,) = tmp_path.glob("*.safetensors")
    head = state.read_bytes()
    assert isinstance(json.loads(head[8 : 8 + int.from_bytes(head[:8], "little")]), dict)


def test_predictions_are_a_table(tmp_path: Path) -> None:
    rows = np.array([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]])
    checkpoint.write_predictions(tmp_path / "test.parquet", rows)
    table = pq.read_table(tmp_path / "test.parquet")
    assert table.column_names == ["id", "p0", "p1"]
    assert table["id"].to_pylist() == [0, 1, 2]
    assert table["p1"].to_pylist() == [0.75, 0.0, 0.5]
    checkpoint.write_predictions(tmp_path / "test.parquet", np.array(["12", "-3"]))
    table = pq.read_table(tmp_path / "test.parquet")
    assert table.to_pydict() == {"id": [0, 1], "answer": ["12", "-3"]}
    assert [p.name for p in tmp_path.iterdir()] == ["test.parquet"]
