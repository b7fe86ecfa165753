from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import geotranslate
from geotranslate.cli import main
from tests.children import HANGS


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def test_help_does_not_import_torch() -> None:
    loaded = run(
        "import sys, click.testing, geotranslate.cli as cli;"
        "click.testing.CliRunner().invoke(cli.main, ['demo', '--help']);"
        "r = click.testing.CliRunner().invoke(cli.main, ['predict', '--help']);"
        "print(r.exit_code, 'torch' in sys.modules, 'fastai' in sys.modules)"
    )
    assert loaded.split() == ["0", "False", "False"]


def test_chips_are_exported_without_torch() -> None:
    assert (
        run(
            "import sys, geotranslate; geotranslate.export_chips; print('torch' in sys.modules)"
        ).strip()
        == "False"
    )


@pytest.mark.slow
def test_import_is_quiet() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from geotranslate import Pix2Pix, prepare_data"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "FutureWarning" not in done.stderr


def test_version_is_that_of_the_package() -> None:
    assert geotranslate.__version__ in CliRunner().invoke(main, ["--version"]).output


def test_errors_are_sentences_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("")
    result = CliRunner().invoke(main, ["demo", str(tmp_path)])
    assert result.exit_code == 1
    assert "is not empty; give another one or pass overwrite (--overwrite)" in result.output
    assert "Traceback" not in result.output


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what the model that any path gives is asked to do."""
    calls: list[Any] = []

    class Model:
        def predict(self, path: Any, **options: Any) -> None:
            calls.append((path, options))

        def predict_raster(self, path: Any, output: Any, **options: Any) -> Any:
            calls.append((path, output, options))
            return ["one.tif", "two.tif"] if isinstance(path, list) else "one.tif"

    monkeypatch.setattr(
        "geotranslate.translators.registry.load_model", lambda path, **options: Model()
    )
    return calls


def test_prediction_takes_the_defaults_of_the_function(asked: list[Any]) -> None:
    result = CliRunner().invoke(main, ["predict", "model", "scene.tif"])
    assert (result.exit_code, result.output) == (0, "one.tif\n")
    ((path, output, options),) = asked
    assert (path, output) == ("scene.tif", None)
    assert options == {}


def test_picture_is_translated_in_one_pass(asked: list[Any]) -> None:
    given = ["predict", "model", "photo.jpg", "-o", "map.PNG", "--direction", "BtoA", "--overwrite"]
    result = CliRunner().invoke(main, [*given, "--no-progress"])
    assert (result.exit_code, result.output) == (0, "map.PNG\n")
    picture = {"output": Path("map.PNG"), "direction": "BtoA", "overwrite": True}
    assert asked == [("photo.jpg", picture)]
    result = CliRunner().invoke(main, [*given, "--tile-size", "64"])
    assert result.exit_code == 1
    assert "--tile-size is an option for rasters, and map.PNG is a picture" in result.output
    assert len(asked) == 1


def test_commands_of_the_whole_way_have_a_line_each() -> None:
    lines = CliRunner().invoke(main, ["--help"]).output.splitlines()
    assert "    geotranslate train chips -o model" in lines


def test_options_of_prediction_reach_the_function(asked: list[Any]) -> None:
    text = (
        "predict model a.tif b.tif -o out --direction BtoA --tile-size 512 --overlap 64 "
        "--padding 32 --blend crop --batch-size 2 --precision float32 --norm-stats tile "
        "--aoi area.gpkg --bbox -70 -5.5 1 2 --dtype int16 --nodata -1 --driver GTiff --overwrite "
        "--resume --tta std --part 1/2 --max-memory 1000000 --no-progress"
    )
    result = CliRunner().invoke(main, text.split())
    assert (result.exit_code, result.output) == (0, "one.tif\ntwo.tif\n")
    assert asked[0] == (
        ["a.tif", "b.tif"],
        Path("out"),
        {
            "direction": "BtoA",
            "tile_size": 512,
            "overlap": 64,
            "padding": 32,
            "blend": "crop",
            "batch_size": 2,
            "precision": "float32",
            "norm_stats": "tile",
            "aoi": "area.gpkg",
            "bbox": (-70, -5.5, 1, 2),
            "dtype": "int16",
            "nodata": -1,
            "driver": "GTiff",
            "overwrite": True,
            "resume": True,
            "tta": "std",
            "part": "1/2",
            "max_memory": 1_000_000,
            "progress": False,
        },
    )


def test_translations_that_a_shell_expands_are_left_out(
    asked: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["s0.tif", "s0_translated.tif", "s1.tif", "s2_translated.tif"]
    for name in names:
        (tmp_path / name).write_text("")
    for given in (names, [str(tmp_path / name) for name in names]):
        CliRunner().invoke(main, ["predict", "model", *given])
        assert asked.pop()[0] == [given[0], *given[2:]]
    # More than one was given, so that the output stays a folder.
    CliRunner().invoke(main, ["predict", "model", *names[:2]])
    assert asked.pop()[0] == ["s0.tif"]


def test_direction_that_is_none_is_said(asked: list[Any]) -> None:
    result = CliRunner().invoke(main, ["predict", "model", "a.tif", "--direction", "CtoD"])
    assert result.exit_code == 2
    assert "'CtoD' is not one of" in result.output
    assert not asked


@pytest.mark.parametrize("name", ["gtiff", "GTIFF", "GTiff"])
def test_driver_may_be_named_in_any_case(asked: list[Any], name: str) -> None:
    assert CliRunner().invoke(main, ["predict", "model", "a.tif", "--driver", name]).exit_code == 0
    assert asked[0][2]["driver"] == "GTiff"


def test_driver_that_is_none_is_said(asked: list[Any]) -> None:
    result = CliRunner().invoke(main, ["predict", "model", "a.tif", "--driver", "PNG"])
    assert result.exit_code == 2
    assert "'PNG' is not one of" in result.output
    assert not asked


def test_parts_are_assembled_without_a_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done: list[tuple[Path, bool]] = []
    monkeypatch.setattr(
        "geotranslate.raster.pipeline.assemble_parts",
        lambda output, overwrite: done.append((output, overwrite)),
    )
    command = ["predict", "nowhere", "scene.tif", "--part", "2/2", "--assemble"]
    assert CliRunner().invoke(main, [*command, "-o", "o.tif"]).output == "o.tif\n"
    assert CliRunner().invoke(main, [*command, "--overwrite"]).exit_code == 0
    several = [*command, "b.tif", "-o", str(tmp_path)]
    assert CliRunner().invoke(main, several).exit_code == 0
    assert done == [
        (Path("o.tif"), False),
        (Path("scene_translated.tif"), True),
        (tmp_path / "scene_translated.tif", False),
        (tmp_path / "b_translated.tif", False),
    ]


def test_parts_are_assembled_without_torch(tmp_path: Path) -> None:
    loaded = run(
        "import sys, click.testing, geotranslate.cli as cli;"
        f"c = ['predict', 'model', 'a.tif', '-o', {str(tmp_path / 'b.tif')!r}, '--assemble'];"
        "print(click.testing.CliRunner().invoke(cli.main, c).output, 'torch' in sys.modules)"
    )
    assert "There are no parts in" in loaded
    assert loaded.split()[-1] == "False"


def test_missing_model_is_a_sentence() -> None:
    result = CliRunner().invoke(main, ["predict", "nowhere", "scene.tif"])
    assert result.exit_code == 1
    assert "nowhere is not a model of geotranslate: card.json is missing" in result.output


COMMANDS = """
import os, sys
import click
from geotranslate.cli import main
from geotranslate.cli.console import sentences
from geotranslate.errors import RasterFileError

@main.command()
@click.option("--fail", is_flag=True)
def write(fail):
    # What a closed stream would write into, if the file had its number.
    with sentences(), open("out", "wb", buffering=0) as file:
        click.echo("note", err=True)
        os.write(2, b"from GDAL")
        assert os.path.getsize("out") == 0
        if fail:
            raise RasterFileError("The disk is gone.")
    click.echo("done.tif")

main()
"""


def shell(redirection: str, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run the command line under a shell; return its exit code, output and errors."""
    command = ["bash", "-c", f'set -o pipefail; "$@" {redirection}', "-", sys.executable]
    done = subprocess.run(
        [*command, "-c", COMMANDS, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("buffered", ["", "1"])
def test_full_device_is_a_sentence(buffered: str) -> None:
    for arguments in (["write"], ["--help"], ["demo", "new"]):
        code, _, said = shell(">/dev/full", *arguments, PYTHONUNBUFFERED=buffered)
        assert code == 1
        assert "Error: Standard output cannot be written: No space left on device. File" in said
        assert "Traceback" not in said
    for arguments in (["write"], ["write", "--fail"], ["write", "--part"]):
        assert shell("2>/dev/full", *arguments, PYTHONUNBUFFERED=buffered)[0] == 1
    assert not Path("new").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell that closes streams")
def test_closed_streams_are_none_of_our_files() -> None:
    for redirection, output, said in (
        (">&-", "", "note\nfrom GDAL"),
        ("2>&-", "done.tif\n", ""),
        ("<&- >&- 2>&-", "", ""),
    ):
        assert shell(redirection, "write") == (0, output, said)
    assert shell("2>&-", "write", "--fail") == (1, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes of a shell")
def test_pipe_that_nobody_reads_ends_without_a_word() -> None:
    assert shell("| (exec true)", "write") in [(code, "", "note\nfrom GDAL") for code in (0, 1)]
    code, output, said = shell("| head -1", "predict", "--help")
    assert (code in (0, 1), output.count("\n"), said) == (True, 1, "")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="needs names of any bytes")
def test_names_of_any_bytes_are_said(tmp_path: Path) -> None:
    name = os.fsdecode(b"b\xe4r")
    (tmp_path / f"{name}.tif").write_text("")
    for arguments in (["predict", "model", f"{name}.tif", "--assemble"], ["demo", name]):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 1
        assert "UTF-8" in result.output
    assert [file.name for file in tmp_path.iterdir()] == [f"{name}.tif"]


def test_folder_without_scenes_is_said(tmp_path: Path) -> None:
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / "notes.txt").write_text("")
    result = CliRunner().invoke(main, ["predict", "model", "scenes", "--assemble"])
    assert result.exit_code == 1
    assert "The folder scenes has no rasters to translate: no file in it ends in" in result.output
