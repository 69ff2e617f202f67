"""Read the results of a search from MLflow and write its report."""
