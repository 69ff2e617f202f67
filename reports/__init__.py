"""Read the results of a search from MLflow and write its report."""

import trainables as trainables  # first, since it checks that no folder hides a package
