"""Train one configuration without Ray: `python -m trainables.train --space NAME`."""

from __future__ import annotations

import sys

from searchspaces.train_one import main
from trainables.terminal import escape_output

__all__ = ["main"]

if __name__ == "__main__":
    escape_output()
    sys.exit(main())
