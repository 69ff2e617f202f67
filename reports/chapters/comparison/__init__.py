"""Comparison of the values of the compared hyperparameters: table, figure and tests."""
