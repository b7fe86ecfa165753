"""Folders that no export writes load right, or end in one sentence, and soon."""

from __future__ import annotations

import json
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
from shapely.geometry import box

from geotranslate import export_chips, prepare_data
from geotranslate.errors import (
    GeotranslateError,
    InvalidInputError,
    OutputExistsError,
    RasterFileError,
)
from geotranslate.raster.pipeline import translate_raster
from geotranslate.raster.seams.measurement import measure_seams
from tests.children import Child
from tests.chips.hostile import (
    BUILDERS,
    DEVICE,
    FIFO,
    prepare_all,
    with_bands,
    write_chip,
    write_pairs,
)
from tests.wrong_values import assert_one_sentence, only_our_errors

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")

LIMIT = 5
"""Seconds of work."""
THREE = ["1", "2", "3"]
USED: dict[str, list[str]] = {
    **dict.fromkeys(["good", "map_of_this_folder", "map_of_another_machine"], THREE),
    **dict.fromkeys(["map_up_and_down", "map_slow_pattern", "map_empty", "map_of_blanks"], THREE),
    **dict.fromkeys(["map_is_folder", "pipe_beside", "pipe_notes", "device_beside"], THREE),
    **dict.fromkeys(["socket_beside", "pipe_as_footprints", "pipe_as_memory"], THREE),
    **dict.fromkeys(["device_as_memory", "deep_memory", "memory_is_folder"], THREE),
    **dict.fromkeys(["footprints_are_folder", "links_to_chips", "folder_named_as_chip"], THREE),
    **dict.fromkeys(["deep_folders", "looping_folders", "deep_pipes"], THREE),
    **dict.fromkeys(["unreadable_chip", "unreadable_side"] if os.geteuid() == 0 else [], THREE),
    "map_names_folder": ["1", "2"],
    "lonely_name_that_is_no_text": ["1", "2"],
    "names_that_differ_in_case": [*THREE, "A", "a"],
    "long_names": [*THREE, "a" * 251],
    "odd_names": sorted(
        [*THREE, "a b", "a\nb", "ä", "\u202e", "'; rm", "%s{}", "-rf", "~", "*", "[1]", "1:2", "\t"]
    ),
}
SAID = {
    "map_above": "names ../elsewhere/images/1.tif, which lies outside the folder",
    "map_absolute": "elsewhere/images/1.tif, which lies outside the folder",
    "map_of_passwords": "lies outside the folder",
    "map_of_links_out": "lies outside the folder",
    "map_endless_line": "map.txt cannot be read",
    "map_of_nulls": "map.txt cannot be read",
    "map_is_pipe": f"map.txt is a {FIFO}",
    "map_is_device": f"map.txt is a {DEVICE}",
    "map_names_pipe": f"images/4.tif is a {FIFO}",
    "pipe_as_metadata": f"1.tif.aux.xml is a {FIFO}",
    "looping_link": "images/4.tif is a link that cannot be followed",
    "looping_side": "images2 is a link that cannot be followed",
    "dead_link": "images/4.tif cannot be opened",
    "mosaic_of_pipe": f"pipe is a {FIFO}",
    "names_that_are_no_text": r"\udcff.tif cannot be used",
    "many_bands": "declares 65535 bands, which cannot be in a file of",
    "many_bands_in_a_large_file": "has 65535 bands, and at most 4096",
    "doubling_folders": "sub-folders",
    "side_is_pipe": "(found images, other, images2)",
    "nothing_but_pipes": f"images/1.tif: a {FIFO} and no file",
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Return of every folder the kind of error, what it said, the pairs and seconds of work."""
    folder = tmp_path_factory.mktemp("hostile")
    with Child(folder / "printed.txt", prepare_all, folder / "folders") as child:
        lines = child.output().splitlines()
    # Others say what went wrong.
    answers = [line for line in lines if line.startswith("[")]
    sys.stderr.write("\n".join(line for line in lines if line not in answers))
    return {name: outcome for name, *outcome in map(json.loads, answers)}


@pytest.mark.parametrize("name", BUILDERS)
def test_folder_loads_right_or_ends_in_a_sentence(outcomes: Any, name: str) -> None:
    assert name in outcomes, "no answer, here or in a folder before it"
    kind, text, pairs, worked = outcomes[name]
    assert worked < LIMIT
    if name in USED:
        assert (kind, pairs) == (None, USED[name]), text
    else:
        assert kind == "ours", text
        assert_one_sentence(text)
        assert SAID.get(name, "") in text


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Return a function that makes a named pipe; whoever reads from it waits some seconds."""
    writers = []

    def make(name: str) -> Path:
        os.mkfifo(tmp_path / name)
        writers.append(os.open(tmp_path / name, os.O_RDWR))
        return tmp_path / name

    timer = threading.Timer(20, lambda: [os.close(writer) for writer in writers])
    timer.start()
    yield make
    if timer.is_alive():
        timer.cancel()
        timer.function()


def doors(raster: Path, odd: Path) -> dict[str, Callable[[], object]]:
    """Return the calls that take an odd thing where a raster or a folder is expected."""
    out = raster.parent / "out.tif"
    quiet: dict[str, Any] = {"progress": False}
    return {
        "folder": lambda: prepare_data(odd),
        "one of several folders": lambda: prepare_data([odd, raster.parent]),
        "source": lambda: prepare_data(odd, raster, chip_size=8),
        "target": lambda: prepare_data(raster, odd, chip_size=8),
        "unpaired": lambda: prepare_data(raster, odd, chip_size=8, paired=False),
        "exported": lambda: export_chips(odd, raster, out.with_suffix(""), tile_size=8, **quiet),
        "exported to": lambda: export_chips(raster, odd, out.with_suffix(""), tile_size=8, **quiet),
        "translated": lambda: translate_raster(odd, out, lambda b: b, bands_out=1, **quiet),
        "measured": lambda: measure_seams(odd),
    }


@pytest.mark.parametrize("door", [*doors(Path(), Path())])
def test_pipes_are_refused_at_every_door(
    tmp_path: Path, pipe: Callable[[str], Path], door: str
) -> None:
    write_chip(tmp_path / "a.tif")
    odd = pipe("odd.tif")
    with pytest.raises(GeotranslateError, match=r"named pipe|is not a folder"):
        doors(tmp_path / "a.tif", odd)[door]()
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix) == ["a.tif", "odd.tif"]


@pytest.mark.slow_after(10)
@pytest.mark.parametrize("bands", [4097, 65_535])
@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("door", [door for door in doors(Path(), Path()) if "folder" not in door])
def test_more_bands_than_a_file_holds_are_refused_at_every_door(
    tmp_path: Path, door: str, bands: int, size: str
) -> None:
    write_chip(tmp_path / "a.tif")
    with_bands(tmp_path / "odd.tif", bands, interleave="band")
    if size == "large":
        with (tmp_path / "odd.tif").open("ab") as file:
            file.write(bytes(200_000))
    with pytest.raises((InvalidInputError, RasterFileError), match=rf"(has|declares) {bands} band"):
        doors(tmp_path / "a.tif", tmp_path / "odd.tif")[door]()


def test_split_and_area_are_no_pipes(tmp_path: Path, pipe: Callable[[str], Path]) -> None:
    write_pairs(tmp_path / "chips")
    layer = pipe("layer.gpkg")
    raster = tmp_path / "chips/images/1.tif"
    with pytest.raises(RasterFileError, match="named pipe"):
        prepare_data(tmp_path / "chips", split=layer)
    with pytest.raises(RasterFileError, match="named pipe"):
        export_chips(raster, raster, tmp_path / "out", tile_size=8, aoi=layer, progress=False)
    with pytest.raises(RasterFileError, match="named pipe"):
        export_chips(raster, layer, tmp_path / "out", tile_size=8, progress=False)


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_footprints_that_are_no_file_are_said(
    tmp_path: Path, pipe: Callable[[str], Path], kind: str
) -> None:
    write_pairs(tmp_path / "chips")
    if kind == "folder":
        (tmp_path / "chips/chips.gpkg").mkdir()
    else:
        pipe("chips/chips.gpkg")
    with pytest.raises(RasterFileError, match=r"chips\.gpkg cannot be read: it is no file\."):
        prepare_data(tmp_path / "chips", split="folder")


def test_append_to_footprints_that_are_no_file_is_refused(tmp_path: Path) -> None:
    write_chip(tmp_path / "a.tif")
    options: dict[str, Any] = {"tile_size": 8, "progress": False}
    sides = [tmp_path / "a.tif"] * 2
    export_chips(*sides, tmp_path / "chips", **options)
    (tmp_path / "chips/chips.gpkg").unlink()
    (tmp_path / "chips/chips.gpkg").mkdir()
    with pytest.raises(RasterFileError, match="it is no file"):
        export_chips(*sides, tmp_path / "chips", append=True, **options)
    export_chips(*sides, tmp_path / "chips", overwrite=True, **options)
    assert len(gpd.read_file(tmp_path / "chips/chips.gpkg")) == 4


def test_a_pipe_is_not_replaced_by_what_is_remembered(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    os.mkfifo(tmp_path / ".geotranslate-chips.sqlite")
    prepare_data(tmp_path)
    assert stat.S_ISFIFO(os.stat(tmp_path / ".geotranslate-chips.sqlite").st_mode)


def test_pipes_where_outputs_go_are_kept_or_replaced(
    tmp_path: Path, pipe: Callable[[str], Path]
) -> None:
    write_chip(tmp_path / "a.tif")
    out = pipe("out.tif")
    options: dict[str, Any] = {"bands_out": 1, "progress": False}
    with pytest.raises(OutputExistsError):
        translate_raster(tmp_path / "a.tif", out, lambda b: b, **options)
    with pytest.raises(RasterFileError, match="is a file"):
        export_chips(*[tmp_path / "a.tif"] * 2, out, tile_size=8, overwrite=True, progress=False)
    translate_raster(tmp_path / "a.tif", out, lambda b: b, overwrite=True, **options)
    assert out.is_file()


def test_outputs_whose_names_are_no_text_are_refused(tmp_path: Path) -> None:
    write_chip(tmp_path / "a.tif")
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.tif"))
    with pytest.raises(InvalidInputError, match=r"udcff\.tif', which is not UTF-8"):
        translate_raster(tmp_path / "a.tif", odd, lambda b: b, bands_out=1, progress=False)
    with pytest.raises(InvalidInputError, match=r"udcff\.tif', which is not UTF-8"):
        export_chips(*[tmp_path / "a.tif"] * 2, odd, tile_size=8, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_names_that_are_no_text_are_said_by_doors_for_rasters(tmp_path: Path) -> None:
    write_chip(tmp_path / "a.tif")
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.tif"))
    (tmp_path / "a.tif").rename(odd)
    write_chip(tmp_path / "a.tif")
    for door, call in doors(tmp_path / "a.tif", odd).items():
        if "folder" not in door:
            with pytest.raises(InvalidInputError, match=r"udcff\.tif cannot be used: it has"):
                call()
    with only_our_errors():
        gpd.GeoDataFrame(geometry=[box(0, 0, 1, 1)]).to_file(tmp_path / "l.gpkg")
        odd_layer = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.gpkg"))
        (tmp_path / "l.gpkg").rename(odd_layer)
        prepare_data(tmp_path / "a.tif", tmp_path / "a.tif", chip_size=8, split=odd_layer)
