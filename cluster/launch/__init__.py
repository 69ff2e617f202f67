"""A search on another machine's Ray cluster: the launcher here, the job on the head there."""
