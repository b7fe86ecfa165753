"""The command that translates scenes with a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from geotranslate.cli.console import sentences


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("scenes", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File to write; for several scenes the folder of the files. Beside the scenes by default.",
)
@click.option(
    "--direction",
    type=click.Choice(["AtoB", "BtoA"]),
    help="From source to target, as by default, or back, by models that were trained to.",
)
@click.option("--aoi", help="Vector file with the area of interest, in any CRS.")
@click.option("--bbox", nargs=4, type=float, help="Left, bottom, right and top in the scene's CRS.")
@click.option("--tile-size", type=int, help="Side of the tiles, px; by default it is chosen.")
@click.option("--overlap", type=int, help="Pixels that neighboring tiles share.")
@click.option("--padding", type=int, help="Pixels at the edge of cropped tiles to throw away.")
@click.option("--blend", type=click.Choice(["auto", "hann", "crop"]), default="auto")
@click.option("--batch-size", type=int, help="Tiles at once; what the machine takes by default.")
@click.option("--precision", type=click.Choice(["auto", "float32", "bfloat16"]), default="auto")
@click.option(
    "--norm-stats",
    type=click.Choice(["auto", "running", "tile", "scene", "smooth"]),
    default="auto",
    help="Statistics that normalize: of training, each tile, the scene, or between tiles.",
)
@click.option("--dtype", help="Output dtype; the training targets' by default.")
@click.option("--nodata", type=float, help="Nodata value; the training targets' by default.")
@click.option(
    "--driver",
    type=click.Choice(["COG", "GTiff"], case_sensitive=False),
    default="COG",
    show_default=True,
    help="Cloud optimized GeoTIFF or a tiled one; both end in .tif.",
)
@click.option("--tta", type=click.Choice(["mean", "std"]), help="Average eight turned tiles.")
@click.option(
    "--resolution",
    default="auto",
    show_default=True,
    help="Pixel size to translate at: auto, training, source, or a number of meters.",
)
@click.option("--overwrite", is_flag=True, help="Replace existing outputs.")
@click.option("--resume", is_flag=True, help="Go on with what an interrupted run has left.")
@click.option("--part", help="Translate only this part, for example 2/8.")
@click.option("--assemble", is_flag=True, help="Put the translated parts together; no model runs.")
@click.option("--max-memory", type=int, help="Bytes for rows that wait to be written.")
@click.option("--no-progress", is_flag=True, help="Show no progress bar.")
def predict(
    model: Path,
    scenes: tuple[str, ...],
    output: Path | None,
    assemble: bool,
    no_progress: bool,
    tta: str | None,
    resolution: str,
    **options: Any,
) -> None:
    """Translate SCENES (files, a folder or a glob pattern) with the saved MODEL.

    Among several, translations of earlier calls, such as a_translated.tif beside a.tif, are left
    out.

    On several machines that share a disk, run it with --part 1/8 to --part 8/8 and then once with
    --assemble, all else the same.
    """
    with sentences():
        path = _scenes(scenes)
        if assemble:
            _assemble(path, output, overwrite=options["overwrite"])
            return
        from geotranslate.translators.registry import load_model

        tile_size = options.pop("tile_size")
        written = load_model(model).predict_raster(
            path,
            output,
            tile_size="auto" if tile_size is None else tile_size,
            tta="std" if tta == "std" else tta is not None,
            progress=not no_progress,
            resolution=_number_or_name(resolution),
            **options,
        )
        for raster in written if isinstance(written, list) else [written]:
            click.echo(raster)


def _number_or_name(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _scenes(scenes: tuple[str, ...]) -> str | list[str]:
    if len(scenes) == 1:
        return scenes[0]
    from geotranslate.prediction.scenefiles import without_translations

    # Most shells expand a pattern, whose files would include the translations of an earlier call.
    return without_translations(scenes)


def _assemble(path: str | list[str], output: Path | None, *, overwrite: bool) -> None:
    from geotranslate.prediction.scenefiles import outputs_in, several
    from geotranslate.raster.pipeline import assemble_parts
    from geotranslate.raster.writing import default_output

    scenes = several(path)
    if scenes is None:
        outputs = [output or default_output(str(path))]
    else:
        outputs = outputs_in(scenes, output)
    for file in outputs:
        assemble_parts(file, overwrite=overwrite)
        click.echo(file)
