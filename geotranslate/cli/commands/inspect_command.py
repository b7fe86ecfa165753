"""The command that shows what training data consist of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from geotranslate.cli.console import sentences, show
from geotranslate.cli.options import DerivedCommand, given
from geotranslate.cli.sections import DATA, as_json


@click.command(cls=DerivedCommand, sections=[DATA], short_help="Check and describe training data.")
@click.argument("path")
@click.argument("target", required=False)
@click.option("--plot", type=click.Path(path_type=Path), help="PNG with a map of the split.")
@as_json
def inspect(
    path: str, target: str | None, plot: Path | None, as_json: bool, **options: Any
) -> None:
    """Check the chips in PATH, or the rasters PATH and TARGET, as `train` would, and describe them.

    Chips that cannot be used are listed with the reasons. Nothing is trained.
    """
    with sentences():
        from geotranslate.data import prepare_data

        data = prepare_data(path, target, **given(DATA, options))
        summary = data.summary()
        if plot is not None:
            _draw(data, plot)
    values: dict[str, Any] = {}
    for name, value in summary.lines:
        values.setdefault(name, []).append(value)
    show(
        summary,
        {
            name: found if name == "left out" or found[1:] else found[0]
            for name, found in values.items()
        }
        | {"train": len(data.train_ds), "validation": len(data.valid_ds)},
        as_json=as_json,
    )


def _draw(data: Any, file: Path) -> None:
    from geotranslate.training.run_folder import whole_file

    drawn = data.plot_split()
    axes = drawn[0] if isinstance(drawn, list) else drawn
    with whole_file(file) as partial:
        axes.figure.savefig(partial, dpi=100, format="png")
