from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.chips.layouts import ChipFile, list_chips, read_map
from tests.wrong_values import only_our_errors


def test_map_of_arcgis_is_read(tmp_path: Path) -> None:
    lines = [
        "images\\2.tif images2\\2.tif \r\n",
        "images\\1.tif  images2\\1.tif \r\n",
        "images\\2.tif images2\\2.tif \r\n",
        "\r\n",
    ]
    (tmp_path / "map.txt").write_bytes("".join(lines).encode())
    assert read_map(tmp_path / "map.txt") == [
        ("images/2.tif", "images2/2.tif"),
        ("images/1.tif", "images2/1.tif"),
    ]


def test_real_map_is_read(shared_data: Path) -> None:
    pairs = read_map(shared_data / "esri_export_tiles" / "map.txt")
    assert len(pairs) == 12
    assert pairs[2] == ("images/000000000002.tif", "images2/000000000002.tif")


PARTS = ["images", "images2", "..", ".", "", "1.tif", "2.tif", "link", "elsewhere", "chips", "C:"]
STARTS = ["", "/", "CHIPS/", "ELSEWHERE/", "../", "../elsewhere/", "images/", "images2/"]
Entry = st.builds(
    lambda start, parts, slash: start + slash.join(parts),
    st.sampled_from(STARTS),
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=5),
    st.sampled_from("/\\"),
)


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a chip folder beside another one, to which links in its sides lead."""
    above = tmp_path_factory.mktemp("map")
    for name in ("chips", "elsewhere"):
        for side in ("images", "images2"):
            (above / name / side).mkdir(parents=True)
            for number in (1, 2):
                (above / name / side / f"{number}.tif").touch()
    for side in ("images", "images2"):
        (above / "chips" / side / "link").symlink_to(above / "elsewhere" / side)
    return above / "chips"


@given(st.lists(st.tuples(Entry, Entry), min_size=1, max_size=4))
def test_no_entry_leads_out_of_the_folder(linked: Path, rows: list[tuple[str, str]]) -> None:
    text = "".join(f"{source} {target}\n" for source, target in rows)
    text = text.replace("CHIPS", str(linked)).replace("ELSEWHERE", str(linked.parent / "elsewhere"))
    (linked / "map.txt").write_text(text, encoding="utf-8")
    with only_our_errors():
        for pair in list_chips(linked).pairs:
            for chip, side in ((pair.source, "images"), (pair.target, "images2")):
                assert isinstance(chip, ChipFile)
                assert Path(chip.path).parent == linked / side
                assert Path(chip.path).resolve().parent == linked.resolve() / side
