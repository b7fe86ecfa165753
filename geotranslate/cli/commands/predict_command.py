"""The command that translates scenes with a saved model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from geotranslate.cli.console import sentences, show
from geotranslate.cli.options import DerivedCommand, given
from geotranslate.cli.sections import LOAD, PREDICT, as_json

PICTURE_OPTIONS = ("direction", "overwrite", "resolution")
FACTS = ("tiles", "skipped", "lost", "mismatch", "mismatch_p99", "warnings")


@click.command(
    cls=DerivedCommand, sections=[PREDICT, LOAD], short_help="Translate scenes with a saved model."
)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("scenes", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File to write; for several scenes the folder of the files. Beside the scenes by default. "
    "A name that ends in .png or .jpg makes a picture of one scene that fits in memory.",
)
@click.option("--assemble", is_flag=True, help="Put the translated parts together; no model runs.")
@as_json
def predict(
    model: Path,
    scenes: tuple[str, ...],
    output: Path | None,
    assemble: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Translate SCENES (files, a folder or a glob pattern) with the saved MODEL.

    MODEL is a folder, or an ONNX file of export-model, which needs no torch.

    Among several, translations of earlier calls, such as a_translated.tif beside a.tif, are left
    out.

    On several machines that share a disk, run it with --part 1/8 to --part 8/8 and then once with
    --assemble, all else the same.
    """
    with sentences("Finished parts are kept; the same command with --resume goes on with them."):
        path = _scenes(scenes)
        if assemble:
            written = _assemble(path, output, overwrite=bool(options["overwrite"]))
        else:
            chosen = given(PREDICT, options)
            picture = output if isinstance(path, str) and _is_picture(output) else None
            if picture is not None:
                chosen = _of_picture(chosen, picture)
            translator = _loaded(model, given(LOAD, options))
            if picture is not None:
                translator.predict(path, output=picture, **chosen)
                written = [picture]
            else:
                done = translator.predict_raster(path, output, **chosen)
                written = done if isinstance(done, list) else [done]
    facts = [_facts(raster) for raster in written] if as_json else None
    show("\n".join(map(str, written)), facts, as_json=as_json)


def _loaded(model: Path, options: dict[str, Any]) -> Any:
    """Load a saved model, or an ONNX file, which needs no torch.

    Raises:
        InvalidInputError: An option is for saved models only.
    """
    if model.suffix.lower() != ".onnx" or model.is_dir():
        from geotranslate.translators.registry import load_model

        return load_model(model, **options)
    from geotranslate.errors import InvalidInputError
    from geotranslate.interop.onnx.onnxpredictor import load_onnx

    for name in options:
        raise InvalidInputError(
            f"--{name.replace('_', '-')} is an option for saved models, and {model} is an ONNX "
            "file, which runs on the CPU; leave it out."
        )
    return load_onnx(model)


def _is_picture(output: Path | None) -> bool:
    """Tell whether an output is a PNG or JPEG by its ending."""
    from geotranslate.prediction.pictures import PICTURES

    return output is not None and output.suffix.lower() in PICTURES


def _of_picture(chosen: dict[str, Any], output: Path) -> dict[str, Any]:
    """Return the options that pictures have.

    Raises:
        InvalidInputError: One is for rasters only.
    """
    from geotranslate.errors import InvalidInputError

    for name in chosen.keys() - {*PICTURE_OPTIONS, "progress"}:
        raise InvalidInputError(
            f"--{name.replace('_', '-')} is an option for rasters, and {output} is a picture, "
            "which is translated in one pass; leave it out, or give a name that ends in .tif."
        )
    return {name: chosen[name] for name in PICTURE_OPTIONS if name in chosen}


def _facts(raster: Any) -> dict[str, Any]:
    """Return the facts about a written raster; only its path if its parts were assembled."""
    if isinstance(raster, Path):
        return {"path": str(raster)}
    facts = {name: getattr(raster, name) for name in FACTS}
    facts["drift"] = None if raster.drift is None else str(raster.drift)
    return {"path": str(raster), **facts, "seconds": asdict(raster.seconds)}


def _scenes(scenes: tuple[str, ...]) -> str | list[str]:
    if len(scenes) == 1:
        return scenes[0]
    from geotranslate.prediction.scenefiles import without_translations

    # Most shells expand a pattern, whose files would include the translations of an earlier call.
    return without_translations(scenes)


def _assemble(path: str | list[str], output: Path | None, *, overwrite: bool) -> list[Path]:
    from geotranslate.chips.stacking import as_raster
    from geotranslate.prediction.scenefiles import outputs_in, scene_name, several
    from geotranslate.raster.pipeline import assemble_parts
    from geotranslate.raster.writing import default_output

    scenes = several(path)
    if scenes is None:
        outputs = [output or default_output(scene_name(as_raster(path)))]
    else:
        outputs = outputs_in(scenes, output)
    for file in outputs:
        assemble_parts(file, overwrite=overwrite)
    return outputs
