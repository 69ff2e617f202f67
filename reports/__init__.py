"""Reads results from MLflow only, and writes reports one can believe."""
