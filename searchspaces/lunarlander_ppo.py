"""How far must a policy look ahead to land on the moon?

LunarLander-v3 (Gymnasium, Box2D) by PPO: a reward t steps later is discounted by `gamma` to the
power of t, and a landing takes some 300 steps. All other hyperparameters keep values that work,
over several seeds; more `--trials` search them, too. The task counts as solved at a mean return of
200.
"""

from searchspaces import Published, SearchSpace, Trial, Values, get_defaults
from trainables.tasks import ppo


def suggest(trial: Trial) -> Values:
    """Search rollouts, advantages and optimization."""
    return {
        "gamma": trial.suggest_categorical("gamma", [0.99, 0.995, 0.999]),
        "gae_lambda": trial.suggest_float("gae_lambda", 0.9, 1.0),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 3e-3, log=True),
        "schedule": trial.suggest_categorical("schedule", ["linear", "constant"]),
        "rollout": trial.suggest_categorical("rollout", [128, 256, 512, 1024]),
        "epochs": trial.suggest_int("epochs", 3, 10),
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256, 512]),
        "clip_range": trial.suggest_float("clip_range", 0.1, 0.3),
        "entropy": trial.suggest_float("entropy", 1e-4, 1e-1, log=True),
        "width": trial.suggest_categorical("width", [32, 64, 128]),
    }


ZOO = "LunarLander-v2, 1 million steps, one run"
FIXED = get_defaults(ppo.LunarLanderConfig, *ppo.SEARCHED)

SPACE = SearchSpace(
    **ppo.task("LunarLander-v3", ppo.LunarLanderConfig),
    suggest=suggest,
    reports=20,
    min_reports=4,
    compare=("gamma",),
    arms=tuple({**FIXED, "gamma": value} for value in (0.999, 0.99)),
    published=(
        Published("counts as solved (Gymnasium)", 200.0, "mean return"),
        Published("PPO, RL Baselines3 Zoo", 242.1, "mean return", ZOO, {"gamma": 0.999}),
    ),
)
