"""MLflow: the one writer, which replays the ledger into a tracking server."""
