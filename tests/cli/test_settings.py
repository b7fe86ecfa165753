from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geotranslate.cli.sections import TRANSLATORS
from geotranslate.cli.settings import Settings, tomllib

TEXT = st.text(st.characters(codec="utf-8"), min_size=1)


def made(file: Path | None = None, **options: Any) -> Settings:
    return Settings.merged(file, {"path": "chips", "output": "model", **options})


@given(
    path=TEXT | st.lists(TEXT, min_size=1),
    lr=st.floats(1e-12, 1) | st.tuples(st.floats(1e-9, 1), st.floats(1e-9, 1)),
    split=TEXT,
    epochs=st.integers(1),
    ema=st.booleans(),
)
@settings(max_examples=50)
def test_settings_are_read_back_from_their_file(
    path: Any, lr: Any, split: str, epochs: int, ema: bool
) -> None:
    given = made(path=path, lr=lr, split=split, epochs=epochs % 2**60, compile=ema)
    read = tomllib.loads(given.to_toml())
    assert (read["path"], read["data"]["split"]) == (path, split)
    assert read["fit"]["lr"] == (list(lr) if isinstance(lr, tuple) else lr)
    assert read["fit"]["epochs"] == epochs % 2**60
    assert read["fit"]["compile"] is ema


@pytest.mark.parametrize("translator", TRANSLATORS)
def test_file_of_a_training_gives_the_same_settings(translator: str, tmp_path: Path) -> None:
    file = tmp_path / "train.toml"
    file.write_text(made(translator=translator, ngf=8, epochs=3, resume=True).to_toml())
    again = Settings.merged(file, {})
    assert again.to_toml() == file.read_text()
    assert (again.translator, again.model["ngf"], again.fit["epochs"]) == (translator, 8, 3)
    assert "resume" not in again.fit
    over = Settings.merged(file, {"epochs": 5, "output": "other", "resume": True})
    assert (over.fit["epochs"], over.fit["resume"], over.output) == (5, True, "other")
    assert over.model == again.model


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("[fit]\nepoch = 3", {}, "'epoch' is no option of [fit]; give one of epochs"),
        ("[fits]\nepochs = 3", {}, "has an entry 'fits'; give one of fit"),
        ("fit = 3", {}, "has fit as a value; give a table of options"),
        ("fit", {}, "cannot be read as TOML"),
        ("translator = 'Pix3Pix'", {}, "translator is 'Pix3Pix'; give one of Pix2Pix"),
        ("", {"gen_blocks": 3}, "gen_blocks is an option of CycleGAN, but translator is Pix2Pix"),
        ("", {"path": None}, "Give PATH, the chips, or a --config that has path."),
        ("", {"output": None}, "Give --output, the model's folder"),
    ],
)
def test_wrong_settings_are_said(
    text: str, options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    file = tmp_path / "train.toml"
    file.write_text(text)
    with pytest.raises(click.UsageError) as error:
        made(file, **options)
    assert said in error.value.message
