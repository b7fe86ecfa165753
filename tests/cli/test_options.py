from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from geotranslate.cli import main
from geotranslate.cli.options import Value, _read
from geotranslate.cli.sections import TRANSLATORS
from geotranslate.cli.signatures import Values

NUMBER = Values(kinds=frozenset({float}))
WHOLE = Values(kinds=frozenset({int}))
RATES = NUMBER | Values(items=NUMBER)
PATIENCE = Values(kinds=frozenset({bool, int}))
BANDS = Values(items=Values(kinds=frozenset({int, str})))
AUTO = Values(("auto", "GTiff")) | WHOLE


@pytest.mark.parametrize(
    ("text", "values", "value"),
    [
        ("2e-4", RATES, 2e-4),
        ("2e-4, 1e-4", RATES, (2e-4, 1e-4)),
        ("true", PATIENCE, True),
        ("No", PATIENCE, False),
        ("5", PATIENCE, 5),
        ("1,2,NIR", BANDS, (1, 2, "NIR")),
        ("3", BANDS, (3,)),
        ("gtiff", AUTO, "GTiff"),
        ("512", AUTO, 512),
        ("a,b.tif", Values(kinds=frozenset({str})), "a,b.tif"),
    ],
)
def test_texts_are_values(text: str, values: Values, value: Any) -> None:
    assert _read(text, values) == value
    assert type(_read(text, values)) is type(value)


@given(st.integers() | st.booleans() | st.floats(allow_nan=False))
@settings(max_examples=50)
def test_values_are_read_from_their_text(value: int | float) -> None:
    kinds = Values(kinds=frozenset({type(value)}))
    assert _read(str(value), kinds) == value


@pytest.mark.parametrize(
    ("text", "values", "said"),
    [
        ("x", WHOLE, "'x' is not a whole number."),
        ("x", AUTO, "'x' is not one of 'auto', 'GTiff', a whole number."),
        (
            "1,x",
            RATES,
            "'1,x' is not one of a number, a list with commas of which each is a number.",
        ),
    ],
)
def test_other_texts_are_refused(text: str, values: Values, said: str) -> None:
    with pytest.raises(click.BadParameter) as error:
        Value(values).convert(text, None, None)
    assert error.value.message == said


def test_help_has_sections_and_names_the_translators_of_an_option() -> None:
    text = CliRunner().invoke(main, ["train", "--help"]).output
    for title in ("Options:", "Data (prepare_data):", "Model (its class):", "Training (fit):"):
        assert f"\n{title}\n" in text
    words = " ".join(text.split())
    assert (
        "--gen-blocks INT Residual blocks of each generator. (CycleGAN only) [default: 9]" in words
    )
    assert "--callbacks" not in text


def test_words_are_completed() -> None:
    from click.shell_completion import ShellComplete

    complete = ShellComplete(main, {}, "geotranslate", "_GEOTRANSLATE_COMPLETE")
    found = [item.value for item in complete.get_completions(["train", "--norm"], "in")]
    assert found == ["instance"]
    assert "--norm" in [item.value for item in complete.get_completions(["train"], "--no")]
    translators = [item.value for item in complete.get_completions(["train", "--translator"], "")]
    assert {name.lower() for name in translators} == {name.lower() for name in TRANSLATORS}
