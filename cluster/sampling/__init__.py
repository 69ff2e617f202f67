"""Which configuration is tried next: Optuna's study, samplers, parameters and initial trials."""

SAMPLERS = ("tpe", "random", "qmc", "grid", "gp", "cmaes")
