"""Search quality at equal cost, replayed on learning curves of real trainings."""
