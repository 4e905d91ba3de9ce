"""Saves the model with its preprocessing, once it is found to agree with the training path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import pyarrow as pa

from shared.durable import publish
from shared.errors import ModelError, TargetError
from shared.layout import Side
from trainer.dataset import Dataset
from trainer.encode import Encoder
from trainer.export import export_model
from trainer.features import FeatureSpec
from trainer.parity import check_parity
from trainer.read import read_records
from trainer.rundir import MODEL_NAME, RUN_NAME, TEMPORARY_NAME


@dataclass(frozen=True)
class Saver:
    """What is saved, and where."""

    core: keras.Model
    spec: FeatureSpec
    dataset: Dataset
    out: Path

    def save(self) -> None:
        """Write `model.keras`, whole or not at all.

        Raises:
            ModelError: the model cannot be saved, or computes something else once it is.
            TargetError: the file cannot be written.
        """
        temporary = self.out / TEMPORARY_NAME
        records = self._records()
        try:
            temporary.unlink(missing_ok=True)  # Keras would write through a link
            try:
                export_model(self.core, self.spec).save(temporary)
            except (NotImplementedError, TypeError) as error:
                raise ModelError(
                    "the model cannot be saved",
                    found=str(error).strip(),
                    hint="give its custom classes a get_config",
                ) from None
            check_parity(temporary, self.core, Encoder(self.spec), records)
            # That of an earlier model: from here until it has a new one, the run is unfinished.
            (self.out / RUN_NAME).unlink(missing_ok=True)
            publish(temporary, self.out / MODEL_NAME)
        except OSError as error:
            raise TargetError(
                self.out / MODEL_NAME,
                expected="to write the model",
                found=error.strerror or str(error),
                hint="see to it, then run the same command again",
            ) from None
        finally:
            temporary.unlink(missing_ok=True)

    def _records(self) -> pa.Table:
        first = Path(self.dataset.shards[Side.TRAIN][0].path)
        return read_records(first.read_bytes(), Encoder(self.spec).types)
