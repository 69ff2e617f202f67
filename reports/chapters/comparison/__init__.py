"""The comparison of the compared hyperparameters' values: table, figure and paired tests."""
