"""Read what reports need from the tracking server, and guard the sealed test set."""
