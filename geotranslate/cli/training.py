"""A training with the settings of the command line."""

from __future__ import annotations

import os
from pathlib import Path

from fastai.callback.core import Callback

from geotranslate import translators
from geotranslate.cli.settings import FILE, Settings
from geotranslate.data import is_main_process, prepare_data
from geotranslate.errors import RasterFileError
from geotranslate.metrics import Metrics
from geotranslate.training.run_folder import tolerate_write_errors, whole_file


class SettingsFile(Callback):
    """Write the settings into the folder of a training, which is locked by then.

    Args:
        path: The file.
        text: Its text.
    """

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text = path, text

    def before_fit(self) -> None:
        """Write the file."""
        if is_main_process():
            with tolerate_write_errors("the settings are not kept"), whole_file(self.path) as file:
                file.write_text(self.text, encoding="utf-8")


def run_training(settings: Settings) -> Metrics:
    """Train, measure and save a model; return its metrics, empty without validation chips.

    Raises:
        GeotranslateError: As `prepare_data`, the translator and its `fit`.
    """
    home = Path(settings.output).absolute().parent
    if not os.path.isdir(home):
        raise RasterFileError(
            f"The folder {home}, in which the model shall be saved, does not exist; create it "
            "first."
        )
    data = prepare_data(settings.path, settings.target, **settings.data)
    model = getattr(translators, settings.translator)(data, **settings.model)
    text = settings.to_toml()
    keeps = settings.fit.get("checkpoint") is not False
    folder = Path(settings.fit.get("folder", "training"))
    model.fit(**settings.fit, callbacks=[SettingsFile(folder / FILE, text)] if keeps else [])
    if not is_main_process():
        return Metrics()
    metrics = model.compute_metrics() if len(data.valid_ds) else Metrics()
    saved = model.save(settings.output)
    with whole_file(saved / FILE) as file:
        file.write_text(text, encoding="utf-8")
    return metrics
