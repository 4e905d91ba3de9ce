"""Saves the model with its preprocessing, once it is found to agree with the training path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras

from shared.durable import publish
from shared.errors import ModelError, TargetError
from shared.layout import Side
from trainer.features.spec import FeatureSpec
from trainer.features.transform import make_encoder
from trainer.rundir import MODEL_NAME, TEMPORARY_NAME, discard_results
from trainer.serving.export import copy_to_serve, export_model
from trainer.serving.parity import check_parity, read_compared
from trainer.shards.dataset import Dataset


@dataclass(frozen=True)
class Saver:
    """What is saved, and where."""

    core: keras.Model
    spec: FeatureSpec
    dataset: Dataset
    out: Path
    model: str | None

    def save(self, *, discard: Callable[[Path], None] = discard_results) -> None:
        """Write `model.keras`, whole or not at all.

        Args:
            discard: removes what an earlier model left in `out`, once the new one is proved.

        Raises:
            ModelError: the model cannot be saved, or computes something else once it is.
            ContractError: the shard on whose records that is tried cannot be read.
            TargetError: the file cannot be written.
        """
        temporary = self.out / TEMPORARY_NAME
        encoder = make_encoder(self.spec)
        records = read_compared(self.dataset.shards[Side.TRAIN][0], encoder)
        try:
            temporary.unlink(missing_ok=True)  # Keras would write through a link
            try:
                core = copy_to_serve(self.core)
                export_model(core, self.spec).save(temporary)
            except (NotImplementedError, TypeError, ValueError) as error:
                raise ModelError(
                    "the model cannot be saved",
                    found=str(error).strip(),
                    hint="give its custom classes a get_config",
                ) from None
            check_parity(temporary, core, encoder, records, self.model)
            # From here until it has the new one, the run is unfinished.
            discard(self.out)
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
