from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from geotranslate.files import BLOCK, replaced_when_whole, sha256_of


@pytest.mark.parametrize("size", [0, 1, BLOCK, BLOCK + 1])
def test_digest_is_that_of_all_bytes(tmp_path: Path, size: int) -> None:
    content = bytes(size - 1) + b"x" if size else b""
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_a_file_is_replaced_when_its_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with replaced_when_whole(path, tmp_path / "partial") as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_the_former_file_stays_where_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with (
        pytest.raises(OSError, match="full"),
        replaced_when_whole(path, tmp_path / "partial") as partial,
    ):
        partial.write_text("ne")
        raise OSError("full")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
