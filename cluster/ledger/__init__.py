"""The one source of truth for what became of every trial: a search's folder."""
