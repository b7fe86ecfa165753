"""Any value for any option of a translator's methods gives an answer, or a sentence and nothing."""

from __future__ import annotations

import inspect
import itertools
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib import pyplot

from geotranslate import CycleGAN, Pix2Pix, Pix2PixHD, measure_seams, prepare_data
from geotranslate.cli import main
from geotranslate.errors import GeotranslateWarning, InvalidInputError
from geotranslate.translators.base import Translator
from tests.conftest import WriteRaster, values
from tests.full_disk import files_in
from tests.wrong_values import WRONG, assert_one_sentence, only_our_errors

CASES = {
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    "deadline": None,
}
SMALL: dict[str, Any] = {"ngf": 2, "ndf": 2}
BASE: dict[str, dict[str, Any]] = {
    "fit": {"epochs": 1, "folder": "run", "progress": False},
    "predict": {"image": "scene.tif"},
    "predict_raster": {"path": "scene.tif", "output": "out.tif", "progress": False},
    "compute_metrics": {},
    "show_results": {"rows": 1},
    "towards": {"direction": "AtoB"},
}
OPTIONS = [
    (method, argument)
    for method in BASE
    for argument in inspect.signature(getattr(Translator, method)).parameters
    if argument != "self"
] + [("measure_seams", "output"), ("measure_seams", "target")]


@pytest.fixture
def models(
    write_chips: Callable[..., Path], write_raster: WriteRaster, monkeypatch: pytest.MonkeyPatch
) -> list[Translator]:
    """Return a model of each class in a folder with a scene; its learner trains nothing."""
    data = prepare_data(write_chips(count=4, size=64), batch_size=1)
    write_raster("scene.tif", values((3, 24, 40), "uint8"))
    torch.manual_seed(0)
    found: list[Translator] = [
        Pix2Pix(data, **SMALL),
        CycleGAN(data, gen_blocks=1, **SMALL),
        Pix2PixHD(data, n_dscr=1, n_layers=1, n_blocks_global=1, n_downsample_global=1, **SMALL),
    ]
    for model in found:
        monkeypatch.setattr(model.learn, "fit", lambda *args, **options: None)
    found[0].predict_raster("scene.tif", "made.tif", progress=False)
    return found


@settings(max_examples=50, **CASES)
@given(model=st.integers(0, 2), option=st.sampled_from(OPTIONS), value=WRONG)
def test_any_value_gives_an_answer_or_a_sentence(
    models: list[Translator], model: int, option: tuple[str, str], value: Any
) -> None:
    check(models[model], *option, value)


@pytest.mark.slow
@settings(max_examples=1000, **CASES)
@given(model=st.integers(0, 2), option=st.sampled_from(OPTIONS), value=WRONG)
def test_many_values_give_an_answer_or_a_sentence(
    models: list[Translator], model: int, option: tuple[str, str], value: Any
) -> None:
    check(models[model], *option, value)


def check(model: Translator, method: str, argument: str, value: Any) -> None:
    if argument == "path" and value == ".":
        return  # a folder in which one scene is translated, and the other one is not like the chips
    before = files_in(Path())
    answered = False
    with only_our_errors(), ours_are_no_errors():
        if method == "measure_seams":
            measure_seams(**{"output": "made.tif", argument: value})
        else:
            getattr(model, method)(**BASE[method] | {argument: value})
        answered = True
    pyplot.close("all")
    if answered:
        tidy(before)
    assert files_in(Path()) == before


@contextmanager
def ours_are_no_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeotranslateWarning)
        yield


def tidy(before: Any) -> None:
    known = {Path(name).parts[0] for name in before}
    for item in Path().iterdir():
        if item.name not in known:
            shutil.rmtree(item) if item.is_dir() else item.unlink()


REFUSED: list[tuple[str, str, Any]] = [
    ("predict", "image", np.zeros((3, 0, 0))),
    ("predict", "image", np.full((3, 32, 32), None, object)),
    ("predict", "image", np.ones((3, 32, 32), complex)),
    ("predict_raster", "path", ["scene.tif", None]),
    ("predict_raster", "output", 5),
    ("predict_raster", "output", ""),
    ("predict_raster", "overwrite", "no"),
    ("predict_raster", "resume", "x"),
    ("predict_raster", "executor", 5),
    ("predict_raster", "bbox", {None: None, "": None}),
    ("predict_raster", "nodata", {None: None, "": None}),
    ("predict_raster", "padding", {None: None, "": None}),
    ("predict_raster", "blend", {None: None, "": None}),
    ("predict_raster", "tta", np.zeros(3)),
    ("predict_raster", "resolution", "coarse"),
    ("predict", "resolution", -0.5),
    ("predict_raster", "norm_stats", np.zeros(3)),
    ("predict_raster", "tile_size", np.zeros(3)),
    ("predict_raster", "batch_size", 10**30),
    ("compute_metrics", "palette", 5),
    ("compute_metrics", "palette", [[None]]),
    ("compute_metrics", "metrics", 5),
    ("compute_metrics", "metrics", [[]]),
    ("fit", "resume", "x"),
    ("fit", "folder", ""),
    ("fit", "callbacks", 5),
    ("fit", "callbacks", np.array(None)),
    ("fit", "precision", []),
    ("fit", "precision", np.zeros(3)),
    ("fit", "schedule", np.zeros(3)),
    ("fit", "monitor", np.zeros(3)),
    ("fit", "checkpoint", np.zeros(3)),
    ("fit", "compile", "no"),
    ("fit", "tensorboard", "no"),
    ("fit", "progress", 0),
    ("show_results", "rgb_bands", np.array(None)),
]


def test_what_no_option_is_gets_a_sentence_that_names_it(models: list[Translator]) -> None:
    before = files_in(Path())
    wrong = []
    for model, (method, argument, value) in itertools.product(models, REFUSED):
        given = BASE[method] | {argument: value}
        named = "array" if argument == "image" else "raster" if argument == "path" else argument
        try:
            getattr(model, method)(**given)
            wrong.append((model.name, given, "passed"))
        except InvalidInputError as error:
            if named not in str(error):
                wrong.append((model.name, given, str(error)))
        except Exception as error:
            wrong.append((model.name, given, repr(error)))
    assert not wrong, wrong
    assert files_in(Path()) == before


def test_hostile_options_of_the_command_line_are_sentences(
    models: list[Translator], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geotranslate.translators.registry.load_model", lambda path: models[0])
    before = files_in(Path())
    for options in (
        "--batch-size -1",
        "--batch-size 99999999999999999999999",
        "--tile-size 0",
        "--tile-size 99999999999",
        "--overlap -1",
        "--overlap 99999999999",
        "--padding 99999999999",
        "--max-memory 0",
        "--part 0/0",
        "--part x",
        "--part 1/0",
        "--part 2/1",
        "--nodata inf",
        "--nodata x",
        "--bbox nan nan nan nan",
        "--bbox 0 0 1",
        "--dtype complex64",
        "--aoi nowhere.gpkg",
        "--aoi .",
        "-o .",
        "-o /",
        "-o nowhere/o.tif",
        "-o o.gif",
        "-o o.png --tile-size 64",
        "-o nowhere/o.png",
        "-o scene.tif --overwrite",
        "--tta x",
        "--direction BtoA",
        "--assemble",
        "--norm-stats smooth --tta std",
        "--unknown",
        "nowhere.tif scene.tif",
    ):
        done = CliRunner().invoke(main, ["predict", "model", "scene.tif", *options.split()])
        assert done.exit_code in (1, 2), (options, done.output)
        assert isinstance(done.exception, SystemExit), (options, done.exception)
        assert "Error: " in done.output, options
        if done.exit_code == 1:
            assert_one_sentence(done.output.rstrip().splitlines()[-1])
    assert files_in(Path()) == before
