"""Tables in memory-mapped Arrow files, so that the trials of a machine share the memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from trainables.errors import UserError


def write(path: Path, columns: Mapping[str, pa.Array]) -> None:
    """Write columns of equal length to a new file."""
    table = pa.table(dict(columns))
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def read_mapped(path: Path) -> dict[str, pa.Array]:
    """Memory-map a file of `write`; raises UserError if it is damaged."""
    try:
        with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as reader:
            table = reader.read_all()
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path} is damaged: {error}\ndelete {path.parent}") from error
    return {name: table[name].combine_chunks() for name in table.column_names}
