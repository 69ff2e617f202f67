"""Does double Q-learning help to land on the moon?

LunarLander-v3 (Gymnasium, Box2D) by deep Q-learning. One network that both selects and evaluates
the next action overestimates it; with double Q-learning the target network evaluates what the
network selects (van Hasselt et al., 2016). All other hyperparameters keep values that work, over
several seeds; more `--trials` search them, too. The task counts as solved at a mean return of
200.
"""

from searchspaces import Published, SearchSpace, Trial, Values, get_defaults
from trainables.tasks import dqn


def suggest(trial: Trial) -> Values:
    """Search exploration, returns, replay and optimization."""
    return {
        "double": trial.suggest_categorical("double", [False, True]),
        "n_step": trial.suggest_categorical("n_step", [1, 3, 5]),
        "gamma": trial.suggest_categorical("gamma", [0.98, 0.99, 0.995]),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 3e-3, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256]),
        "train_every": trial.suggest_categorical("train_every", [8, 16, 32, 64]),
        "updates": trial.suggest_categorical("updates", [4, 8, 16]),
        "target_every": trial.suggest_int("target_every", 64, 2048, log=True),
        "exploration": trial.suggest_float("exploration", 0.1, 0.5),
        "final_epsilon": trial.suggest_float("final_epsilon", 0.01, 0.1),
        "width": trial.suggest_categorical("width", [64, 128, 256]),
    }


ZOO = "LunarLander-v2, 100,000 steps, one run"
FIXED = get_defaults(dqn.LunarLanderConfig, *dqn.SEARCHED)

SPACE = SearchSpace(
    **dqn.task("LunarLander-v3", dqn.LunarLanderConfig),
    suggest=suggest,
    reports=20,
    min_reports=5,
    compare=("double",),
    arms=({**FIXED, "double": False}, {**FIXED, "double": True}),
    published=(
        Published("counts as solved (Gymnasium)", 200.0, "mean return"),
        Published("DQN, RL Baselines3 Zoo", 154.4, "mean return", ZOO, {"double": False}),
    ),
)
