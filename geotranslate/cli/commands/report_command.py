"""The command that shows a model and its scenes in one HTML file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from geotranslate.cli.commands.evaluate_raster_command import ClassColor
from geotranslate.cli.console import open_page, sentences, show
from geotranslate.cli.options import DerivedCommand, given
from geotranslate.cli.sections import DATA, REPORT, as_json


class SceneWithReference(click.ParamType):  # type: ignore[type-arg]
    """A scene, and its reference after an equals sign."""

    name = "scene"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str | None]:
        """Return the scene and its reference, None for a scene alone."""
        text = str(value)
        # The name of a file may hold an equals sign too.
        if os.path.exists(text) or "=" not in text:
            return text, None
        scene, _, reference = text.rpartition("=")
        if not scene or not reference:
            self.fail(f"{value!r} is not a scene and its reference, such as a.tif=b.tif.")
        return scene, reference


@click.command(
    cls=DerivedCommand,
    sections=[REPORT, DATA],
    short_help="Show a saved model and its scenes in one HTML file.",
)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("path")
@click.option(
    "--scene",
    "scenes",
    type=SceneWithReference(),
    multiple=True,
    metavar="SCENE[=TRUTH]",
    help="Scene to translate, with its reference if there is one; once for each scene.",
)
@click.option(
    "--color",
    "colors",
    type=ClassColor(),
    multiple=True,
    metavar="CLASS:R,G,B",
    help="Color of a class, for models whose targets show classes in colors; once for each class.",
)
@click.option("--data", "chips", help="Chips or raster of the training, to show their split.")
@click.option("--target", help="Raster of the training's targets, if --data is a raster.")
@click.option("--back", is_flag=True, help="Translate from target to source (CycleGAN).")
@click.option("--open", "opened", is_flag=True, help="Open the file in the browser.")
@as_json
def report(
    model: Path,
    path: str,
    scenes: tuple[tuple[str, str | None], ...],
    colors: tuple[tuple[int, tuple[float, ...]], ...],
    chips: str | None,
    target: str | None,
    back: bool,
    opened: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Show the saved MODEL and its translations of scenes in the HTML file PATH.

    The file needs no network. With --data, and the options of the training, it shows the split and
    validation pairs too.
    """
    with sentences():
        from geotranslate.data import prepare_data
        from geotranslate.translators.registry import load_model

        if chips is None:
            translator = load_model(model, device=options["device"])
        else:
            data = prepare_data(chips, target, **given(DATA, options))
            translator = load_model(model, data=data)
        written = translator.report(
            path,
            list(scenes),
            direction="BtoA" if back else "AtoB",
            palette=dict(colors) or None,
            **given(REPORT, options),
        )
        if opened:
            open_page(written)
    show(written, {"path": str(written)}, as_json=as_json)
