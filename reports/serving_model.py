"""The model that an export registers: MLflow runs this file where the model is loaded.

It holds no state of its own. Beside it lie the code of the spaces, `members.json`, a checkpoint
per member and what pretrained encoders these need; nothing is unpickled.
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
    """A weighted average of the probabilities of its members, sharpened by a temperature."""

    def load_context(self, context: Any) -> None:
        """Restore every member from its checkpoint."""
        from reports.trained.models import restore_model

        folder = Path(context.artifacts["members"]).resolve()
        self.description = json.loads((folder / "members.json").read_text(encoding="utf-8"))
        own = folder / "space.py"
        space = str(own) if own.exists() else self.description["space"]
        self.members = []
        for member in self.description["members"]:
            beside = {name: str(folder / place) for name, place in member["files"].items()}
            params = {**member["params"], **beside}
            self.members.append((member, restore_model(space, params, folder / member["folder"])))

    def predict(
        self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Give per input the label, its confidence and the probability of every class.

        A model that answers with texts gives these alone.
        """
        example = self.members[0][1].example
        inputs = np.asarray(model_input).astype(example.dtype)
        if not self.members[0][1].classes:  # answers: there is nothing to average
            return pd.DataFrame({"label": self.members[0][1](inputs)})
        average = sum(
            member["weight"] * apply_temperature(predictor(inputs), member["temperature"])
            for member, predictor in self.members
        )
        sharpened = apply_temperature(np.asarray(average), self.description["temperature"])
        classes = self.members[0][1].classes
        table = pd.DataFrame(sharpened, columns=[f"p_{name}" for name in classes])
        table.insert(0, "label", [classes[i] for i in sharpened.argmax(1)])
        table.insert(1, "confidence", sharpened.max(1))
        return table


mlflow.models.set_model(ServedModel())
