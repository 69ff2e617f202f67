"""Where trials run: Ray's workers, the resources they get, and the failures of their attempts."""
