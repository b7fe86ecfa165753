from __future__ import annotations

import re
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from geotranslate.errors import GeotranslateWarning, InvalidInputError, said, warn
from tests.wrong_values import assert_one_sentence

PACKAGE = Path(__file__).parents[1] / "geotranslate"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("it broke"), "it broke"),
        (InvalidInputError("x is 5; give 4."), "x is 5; give 4"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (ValueError(" and so on ... "), "and so on"),
        (EOFError(), "EOFError"),
        (ValueError("."), "ValueError"),
    ],
    ids=str,
)
def test_errors_are_nested_without_their_full_stop(error: Exception, text: str) -> None:
    assert said(error) == text
    assert_one_sentence(f"The model cannot be loaded: {said(error)}.")


def test_no_sentence_nests_another_with_its_full_stop() -> None:
    nested = re.compile(r"\{(str\()?error\)?(!\w)?\}[.;,)]")
    found = {
        f"{file.name}: {line.strip()}"
        for file in PACKAGE.rglob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if nested.search(line)
    }
    assert not found


def test_a_warning_points_at_the_line_outside_the_package() -> None:
    # User code calls the package, which calls another one (fastai), which calls the package.
    package: dict[str, Any] = {"warn": warn}
    other: dict[str, Any] = {}
    calls = "def call(action):\n    action()\n"
    issues = "def issue():\n    warn('so')\n"
    exec(compile(calls + issues, str(PACKAGE / "inner.py"), "exec"), package)
    exec(compile(calls, "learner.py", "exec"), other)
    names = {"fit": package["call"], "rest": partial(other["call"], package["issue"])}
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        exec(compile("\n\nfit(rest)", "user.py", "exec"), names)
    assert [(str(w.message), w.filename, w.lineno, w.category) for w in found] == [
        ("so", "user.py", 3, GeotranslateWarning)
    ]


@pytest.mark.parametrize("length", [0, 10, 1000, 1001, 10**6])
def test_long_texts_of_errors_are_shortened(length: int) -> None:
    text = "begins" + "x" * length + "ends"
    found = said(ValueError(text))
    assert found == text if length < 900 else len(found) <= 1000
    assert found.startswith("begins")
    assert found.endswith("ends")
