"""Ensembles of the best trials: selection on validation, evaluation on test."""
