"""Play episodes with a trained agent: their returns, a table of them, and a GIF of the first."""

from pathlib import Path

from reports.numbers.statistics import Interval, mean_interval
from reports.trained import models
from reports.write.tables import Table, to_markdown
from trainables.errors import UserError


def play(agent: models.Predictor, episodes: int) -> tuple[dict[str, Interval], Table]:
    """Return the scores of greedy episodes, and a row per episode: seed, return and steps.

    Their seeds are those of the unseen episodes of a search, which neither trains on them nor
    selects by them. The interval of the mean is Student's t over episodes; the worst has none.
    """
    seeds = range(models.FIRST_UNSEEN, models.FIRST_UNSEEN + episodes)
    found = models.play_episodes(agent.environment, agent.predict, seeds)
    worst = float(found.returns.min())
    rows = tuple(
        (f"{number}", f"{seed}", f"{value:.1f}", f"{length}")
        for number, (seed, value, length) in enumerate(zip(seeds, *found, strict=True), 1)
    )
    scores = {
        "mean return": mean_interval(found.returns.tolist()),
        "worst return": Interval(worst, float("nan"), float("nan"), episodes),
        "mean length": mean_interval(found.lengths.tolist()),
    }
    return scores, Table(("episode", "seed", "return", "steps"), rows, "rrrr")


def write_episodes(agent: models.Predictor, table: Table, folder: Path, name: str) -> list[Path]:
    """Write `NAME-episode.gif`, the first episode, and `NAME-episodes.md`; return their paths.

    Raises UserError where they cannot be written.
    """
    gif, listed = folder / f"{name}-episode.gif", folder / f"{name}-episodes.md"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        models.render_episode(gif, agent.environment, agent.predict, models.FIRST_UNSEEN)
        listed.write_text(to_markdown(table) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"--out {folder} cannot be written: {error.strerror}\nname another folder"
        ) from error
    return [gif, listed]
