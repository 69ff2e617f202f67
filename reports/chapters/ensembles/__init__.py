"""Ensembles of the top trials: selection on validation, evaluation on test."""
