"""Which configuration is tried next: Optuna's study, samplers, parameters and initial trials."""
