"""SVHN in small: random images in the files of the hub."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

SPLITS = {"train": 40, "test": 20, "extra": 30}


def write_svhn(folder: Path) -> Path:
    """Write train, test and extra digits to a folder and return it."""
    draw = np.random.default_rng(0)
    folder.mkdir()
    for split, count in SPLITS.items():
        rows = []
        for _ in range(count):
            png = io.BytesIO()
            Image.fromarray(draw.integers(0, 255, (32, 32, 3), np.uint8)).save(png, "PNG")
            rows.append({"bytes": png.getvalue(), "path": None})
        table = pa.table({"image": rows, "label": [i % 10 for i in range(count)]})
        pq.write_table(table, folder / f"{split}.parquet")
    return folder
