"""The command that compares a raster with a reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from geotranslate.cli.console import sentences, show
from geotranslate.cli.options import DerivedCommand, given
from geotranslate.cli.sections import EVALUATE, as_json
from geotranslate.errors import RasterFileError, said
from geotranslate.files import replaced_when_whole


class ClassColor(click.ParamType):  # type: ignore[type-arg]
    """A class and its color, such as 2:180,60,40."""

    name = "class_color"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, tuple[float, ...]]:
        """Return the number of the class and its values in all bands."""
        number, _, color = str(value).partition(":")
        try:
            return int(number), tuple(map(float, color.split(",")))
        except ValueError:
            self.fail(f"{value!r} is not a class and its color, such as 2:180,60,40.", param, ctx)


@click.command(
    cls=DerivedCommand,
    sections=[EVALUATE],
    short_help="Compare a translated scene with a reference.",
)
@click.argument("prediction")
@click.argument("reference")
@click.option(
    "--color",
    "colors",
    type=ClassColor(),
    multiple=True,
    metavar="CLASS:R,G,B",
    help="Color of a class, for maps that show classes in colors; once for each class.",
)
@click.option("--plot", type=click.Path(path_type=Path), help="PNG with prediction over reference.")
@as_json
def evaluate_raster(
    prediction: str,
    reference: str,
    colors: tuple[tuple[int, tuple[float, ...]], ...],
    plot: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare the raster PREDICTION with the raster REFERENCE, over pixels valid in both.

    To measure a model on chips, use `evaluate`.
    """
    with sentences():
        from geotranslate.evaluation import evaluate_raster

        palette = dict(colors) or None
        found = evaluate_raster(prediction, reference, palette=palette, **given(EVALUATE, options))
        if plot is not None:
            _draw(found, plot)
    show(found, found.to_dict(), as_json=as_json)


def _draw(found: Any, file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    try:
        with replaced_when_whole(file, file.with_name(f".{file.name}.partial")) as partial:
            found.plot().figure_.savefig(partial, dpi=100, format="png")
    except OSError as error:
        raise RasterFileError(
            f"The plot {file} cannot be written: {said(error)}; give another name."
        ) from error
