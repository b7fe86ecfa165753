from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

import geotranslate
from geotranslate.cli import main


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def test_help_does_not_import_torch() -> None:
    loaded = run(
        "import sys, click.testing, geotranslate.cli as cli;"
        "r = click.testing.CliRunner().invoke(cli.main, ['demo', '--help']);"
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


def test_public_names_can_all_be_had() -> None:
    for name in geotranslate.__all__:
        assert getattr(geotranslate, name).__name__ == name
    assert dir(geotranslate) == sorted(geotranslate.__all__)


def test_errors_are_sentences_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("")
    result = CliRunner().invoke(main, ["demo", str(tmp_path)])
    assert result.exit_code == 1
    assert "is not empty; give another one or pass overwrite (--overwrite)" in result.output
    assert "Traceback" not in result.output
