"""The code of an exported model: MLflow runs this file where the model is loaded.

It has no pickled state. Stored with it are the code of the spaces, `members.json`, one checkpoint
per member, and the files of the pretrained encoders that members need.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel

from reports.numbers.calibration import apply_temperature


class ServedModel(PythonModel):
    """A weighted average of its members' probabilities, scaled by a temperature."""

    def load_context(self, context: Any) -> None:
        """Restore every member from its checkpoint."""
        from reports.trained.models import restore_model

        folder = Path(context.artifacts["members"]).resolve()
        self.description = json.loads((folder / "members.json").read_text(encoding="utf-8"))
        own = folder / "space.py"
        space = str(own) if own.exists() else self.description["space"]
        self.members = []
        for member in self.description["members"]:
            files = {name: str(folder / place) for name, place in member["files"].items()}
            params = {**member["params"], **files}
            self.members.append((member, restore_model(space, params, folder / member["folder"])))

    def predict(
        self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return per input the label, its confidence and the probability of every class.

        For a model that answers with texts, return the texts alone, as `label`.
        """
        example = self.members[0][1].example
        inputs = np.asarray(model_input).astype(example.dtype)
        outputs = [predictor(inputs) for _, predictor in self.members]
        if outputs[0].ndim == 1:  # texts cannot be averaged
            return pd.DataFrame({"label": outputs[0]})
        average = sum(
            member["weight"] * apply_temperature(output, member["temperature"])
            for (member, _), output in zip(self.members, outputs, strict=True)
        )
        scaled_average = apply_temperature(np.asarray(average), self.description["temperature"])
        classes = self.members[0][1].classes or [*map(str, range(scaled_average.shape[1]))]
        table = pd.DataFrame(scaled_average, columns=[f"p_{name}" for name in classes])
        table.insert(0, "label", [classes[i] for i in scaled_average.argmax(1)])
        table.insert(1, "confidence", scaled_average.max(1))
        return table


mlflow.models.set_model(ServedModel())
