from __future__ import annotations

import ast
import configparser
import json
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

import geotranslate
from geotranslate.cli import main
from geotranslate.errors import GeotranslateError
from geotranslate.interop.qgis import write_plugin
from geotranslate.interop.qgis.plugin.evaluation_tables import as_csv, as_html

PLUGIN = "geotranslate_processing"


def test_the_zip_is_one_folder_that_qgis_knows_as_a_plugin(tmp_path: Path) -> None:
    file = write_plugin(tmp_path / "plugin.zip")
    with zipfile.ZipFile(file) as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {PLUGIN}
        assert not any("__pycache__" in name for name in archive.namelist())
        texts = {name.split("/", 1)[1]: archive.read(name).decode() for name in archive.namelist()}
    facts = configparser.ConfigParser()
    facts.read_string(texts["metadata.txt"])
    general = facts["general"]
    assert general["version"] == geotranslate.__version__
    assert general["hasProcessingProvider"] == "yes"
    assert ElementTree.fromstring(texts[general["icon"]]).tag.endswith("svg")
    assert texts["writer.txt"].strip() == sys.executable
    assert "def classFactory(" in texts["__init__.py"]


def test_the_plugin_is_python_3_7_and_imports_only_itself_qgis_and_the_standard_library(
    tmp_path: Path,
) -> None:
    with zipfile.ZipFile(write_plugin(tmp_path / "plugin.zip")) as archive:
        for name in archive.namelist():
            if name.endswith(".py"):
                tree = ast.parse(archive.read(name), feature_version=(3, 7))
                for node in ast.walk(tree):
                    if isinstance(node, ast.Import):
                        assert all(each.name in sys.stdlib_module_names for each in node.names)
                    elif isinstance(node, ast.ImportFrom) and not node.level:
                        first = (node.module or "").split(".")[0]
                        assert first in {"qgis", "processing", *sys.stdlib_module_names}


def test_the_same_zip_is_written_again(tmp_path: Path) -> None:
    first = write_plugin(tmp_path / "a.zip").read_bytes()
    result = CliRunner().invoke(main, ["qgis-plugin", str(tmp_path / "b.zip"), "--json"])
    assert json.loads(result.stdout) == {"path": str(tmp_path / "b.zip")}
    assert (tmp_path / "b.zip").read_bytes() == first


def test_wrong_names_are_said(tmp_path: Path) -> None:
    file = write_plugin(tmp_path / "a.zip")
    with pytest.raises(GeotranslateError, match=r"already exists; .* overwrite=True"):
        write_plugin(file)
    assert write_plugin(file, overwrite=True) == file
    with pytest.raises(GeotranslateError, match=r"give a name that ends in \.zip"):
        write_plugin(tmp_path / "plugin.rar")
    with pytest.raises(GeotranslateError, match="cannot be written"):
        write_plugin(tmp_path / "no" / "plugin.zip")
    with pytest.raises(GeotranslateError, match="path is 3"):
        write_plugin(3)  # type: ignore[arg-type]


def test_tables_of_measures() -> None:
    found = {
        "mae": 1.5,
        "psnr": None,
        "count": 7,
        "intervals": {"mae": [1, 2]},
        "per_band": {"<nir>": {"mae": 1.5}},
        "zones": [{"name": "a & b", "mae": 0.123456789}, {"name": "c", "mae": None}],
        "block_size": 64,
        "error": "e.tif",
    }
    assert as_csv(found) == "measure,value,low,high\nmae,1.5,1,2\npsnr,,,\ncount,7,,\n"
    page = as_html(found)
    assert "<tr><td>a &amp; b</td><td>0.12346</td></tr>" in page
    assert "<th>band</th><th>mae</th></tr><tr><td>&lt;nir&gt;</td>" in page
    assert page.count("<table>") == 3
