"""`reports evaluate` of an agent: episodes, their table and a GIF."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reports.__main__ import main
from searchspaces.loading import load_space
from trainables.rl.environments import FIRST_UNSEEN, play_episodes
from trainables.run import Run

SHORT = {
    "cartpole_dqn": {"steps": 512, "warm_up": 64, "width": 16, "batch_size": 16, "episodes": 2},
    "cartpole_ppo": {"steps": 512, "episodes": 2},
}


def train_agent(space: str, folder: Path) -> None:
    """Train an agent for one short report, and write its folder as train --out does."""
    found = load_space(space)
    run = Run(reports=1, metric=found.metric, mode=found.mode, folder=folder)
    for metrics in found.train(found.config(**SHORT[space]), run):
        run.record(metrics)
    run.finish()
    content = {"space": space, "teacher": None, "config": SHORT[space]}
    (folder / "config.json").write_text(json.dumps(content))


@pytest.mark.parametrize("space", SHORT)
def test_a_saved_agent_plays_unseen_episodes(
    space: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "agent", tmp_path / "out"
    train_agent(space, folder)
    words = ["evaluate", str(folder), "--out", str(out)]
    assert main([*words, "--episodes", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    found_space = load_space(space)
    assert found_space.restore is not None
    agent = found_space.restore(found_space.config(**SHORT[space]), folder / "best")
    seeds = range(FIRST_UNSEEN, FIRST_UNSEEN + 4)
    returns, lengths = play_episodes("CartPole-v1", agent, seeds)
    assert found["scores"]["mean return"]["value"] == pytest.approx(np.mean(returns))
    assert found["scores"]["worst return"] == {"value": min(returns), "interval": None, "n": 4}
    table = (out / "agent-episodes.md").read_text().splitlines()
    rows = [
        f"| {i} | {s} | {r:.1f} | {n} |"
        for i, (s, r, n) in enumerate(zip(seeds, returns, lengths, strict=True), 1)
    ]
    assert table == ["| episode | seed | return | steps |", table[1], *rows]
    with Image.open(out / "agent-episode.gif") as shown:
        assert shown.n_frames > 1


def test_an_agent_has_no_examples_and_needs_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_agent("cartpole_dqn", tmp_path / "agent")
    words = ["evaluate", str(tmp_path / "agent"), "--episodes", "1"]
    assert main([*words, "--split", "test"]) == 2
    assert "plays episodes of CartPole-v1 and has no examples" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main([*words, "--out", str(tmp_path / "file")]) == 2
    assert f"--out {tmp_path / 'file'} cannot be written" in capsys.readouterr().err
