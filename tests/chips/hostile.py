"""Chip folders that no export writes, and a function that prepares each of them within a time."""

from __future__ import annotations

import faulthandler
import json
import os
import socket
import struct
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

NO_ANSWER = 100
"""Seconds, also on a machine that is busy with other things."""
BUILDERS: dict[str, Callable[[Path], None]] = {}
GOOD = ("images/1.tif", "images/2.tif", "images/3.tif")
FIFO, SOCKET, DEVICE = "named pipe", "socket", "device"

Build = Callable[[Path], None]


def hostile(build: Build) -> Build:
    """Add a function that spoils a folder of three pairs, `1` to `3`."""
    BUILDERS[build.__name__] = build
    return build


def write_chip(path: Path, seed: int = 0, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(seed).integers(0, 256, (1, 16, 16), "uint8")
    place = Affine(1, 0, 5e5 + seed * 16, 0, -1, 5e6)
    profile = {"driver": "GTiff", "count": 1, "height": 16, "width": 16, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile, crs="EPSG:32633", transform=place, **options) as chip:
        chip.write(data)


def write_pairs(folder: Path) -> None:
    for number in (1, 2, 3):
        for side in ("images", "images2"):
            write_chip(folder / side / f"{number}.tif", number)


def write_map(folder: Path, *lines: str) -> None:
    (folder / "map.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def with_bands(path: Path, bands: int, **options: object) -> None:
    """Write a chip whose header declares more bands than it has."""
    write_chip(path, **options)
    content = bytearray(path.read_bytes())
    start = struct.unpack_from("<I", content, 4)[0]
    for i in range(struct.unpack_from("<H", content, start)[0]):
        at = start + 2 + 12 * i
        if struct.unpack_from("<H", content, at)[0] == 277:
            struct.pack_into("<H", content, at + 8, bands)
    path.write_bytes(content)


@hostile
def good(folder: Path) -> None:
    write_map(folder, *(f"images/{n}.tif images2/{n}.tif" for n in (1, 2, 3)))


@hostile
def map_above(folder: Path) -> None:
    write_chip(folder.parent / "elsewhere/images/1.tif")
    write_map(folder, "../elsewhere/images/1.tif images2/1.tif", "images/2.tif images2/2.tif")


@hostile
def map_absolute(folder: Path) -> None:
    there = folder.parent / "elsewhere/images/1.tif"
    write_chip(there)
    write_map(folder, f"{there} images2/1.tif", "images/2.tif images2/2.tif")


@hostile
def map_of_this_folder(folder: Path) -> None:
    write_map(folder, *(f"{folder}/images/{n}.tif {folder}/images2/{n}.tif" for n in (1, 2, 3)))


@hostile
def map_of_another_machine(folder: Path) -> None:
    write_map(folder, *(f"D:\\x\\images\\{n}.tif D:\\x\\images2\\{n}.tif" for n in (1, 2, 3)))


@hostile
def map_up_and_down(folder: Path) -> None:
    write_map(folder, *(f"images/../images/{n}.tif images2/./{n}.tif" for n in (1, 2, 3)))


@hostile
def map_of_passwords(folder: Path) -> None:
    write_map(folder, "/etc/passwd /etc/hosts")


@hostile
def map_of_links_out(folder: Path) -> None:
    write_map(folder, "images/../../../../etc/1.tif images2/1.tif")


@hostile
def map_endless_line(folder: Path) -> None:
    (folder / "map.txt").write_text("images/1.tif " * 2_000_000)


@hostile
def map_slow_pattern(folder: Path) -> None:
    write_map(folder, *["a.tif " * 2500 + "x"] * 20)


@hostile
def map_of_nulls(folder: Path) -> None:
    (folder / "map.txt").write_bytes(b"\0" * 10_000)


@hostile
def map_utf16(folder: Path) -> None:
    (folder / "map.txt").write_text("images/1.tif images2/1.tif\n", encoding="utf-16")


@hostile
def map_utf16_without_mark(folder: Path) -> None:
    (folder / "map.txt").write_text("images/1.tif images2/1.tif\n", encoding="utf-16-le")


@hostile
def map_latin(folder: Path) -> None:
    (folder / "map.txt").write_bytes("images/Größe.tif images2/1.tif\n".encode("latin-1"))


@hostile
def map_empty(folder: Path) -> None:
    write_map(folder)


@hostile
def map_of_blanks(folder: Path) -> None:
    write_map(folder, *["   \t "] * 1000)


@hostile
def map_ambiguous(folder: Path) -> None:
    write_map(folder, "images/1.tif images2/2.tif", "images/1.tif images2/3.tif")


@hostile
def map_crossed(folder: Path) -> None:
    write_map(folder, "images/1.tif images2/2.tif", "images/2.tif images2/1.tif")


@hostile
def map_of_missing_chips(folder: Path) -> None:
    write_map(folder, *(f"images/{n}.tif images2/{n}.tif" for n in range(100, 5000)))


@hostile
def map_is_folder(folder: Path) -> None:
    (folder / "map.txt").mkdir()


@hostile
def map_is_pipe(folder: Path) -> None:
    os.mkfifo(folder / "map.txt")


@hostile
def map_is_device(folder: Path) -> None:
    (folder / "map.txt").symlink_to("/dev/zero")


@hostile
def map_names_pipe(folder: Path) -> None:
    os.mkfifo(folder / "images/4.tif")
    write_chip(folder / "images2/4.tif")
    write_map(folder, *(f"images/{n}.tif images2/{n}.tif" for n in (1, 2, 4)))


@hostile
def pipe_beside(folder: Path) -> None:
    os.mkfifo(folder / "images/4.tif")
    write_chip(folder / "images2/4.tif")


@hostile
def pipe_notes(folder: Path) -> None:
    os.mkfifo(folder / "images/notes")
    os.mkfifo(folder / "notes.txt")


@hostile
def device_beside(folder: Path) -> None:
    (folder / "images/4.tif").symlink_to("/dev/zero")
    write_chip(folder / "images2/4.tif")


@hostile
def socket_beside(folder: Path) -> None:
    here = Path.cwd()
    os.chdir(folder / "images")  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("4.tif")
    os.chdir(here)


@hostile
def pipe_as_metadata(folder: Path) -> None:
    os.mkfifo(folder / "images/1.tif.aux.xml")


@hostile
def pipe_as_mask(folder: Path) -> None:
    os.mkfifo(folder / "images/1.tif.msk")


@hostile
def pipe_as_overviews(folder: Path) -> None:
    os.mkfifo(folder / "images/1.tif.ovr")


@hostile
def pipe_as_footprints(folder: Path) -> None:
    os.mkfifo(folder / "chips.gpkg")


@hostile
def pipe_as_memory(folder: Path) -> None:
    os.mkfifo(folder / ".geotranslate-chips.sqlite")


@hostile
def device_as_memory(folder: Path) -> None:
    (folder / ".geotranslate-chips.sqlite").symlink_to("/dev/zero")


@hostile
def deep_memory(folder: Path) -> None:
    (folder / ".geotranslate-chips.sqlite").write_text("[" * 100_000)


@hostile
def memory_is_folder(folder: Path) -> None:
    (folder / ".geotranslate-chips.sqlite").mkdir()


@hostile
def footprints_are_folder(folder: Path) -> None:
    (folder / "chips.gpkg").mkdir()


@hostile
def looping_link(folder: Path) -> None:
    (folder / "images/4.tif").symlink_to("4.tif")


@hostile
def looping_side(folder: Path) -> None:
    (folder / "images2").rename(folder / "other")
    (folder / "images2").symlink_to("images2")


@hostile
def dead_link(folder: Path) -> None:
    for side in ("images", "images2"):
        (folder / side / "4.tif").symlink_to("gone.tif")


@hostile
def links_to_chips(folder: Path) -> None:
    (folder / "images").rename(folder.parent / "real")
    (folder / "images").mkdir()
    for number in (1, 2, 3):
        (folder / f"images/{number}.tif").symlink_to(folder.parent / f"real/{number}.tif")


@hostile
def empty_file(folder: Path) -> None:
    for side in ("images", "images2"):
        (folder / side / "4.tif").touch()


@hostile
def text_named_tif(folder: Path) -> None:
    for side in ("images", "images2"):
        (folder / side / "4.tif").write_text("no picture\n" * 100)


@hostile
def cut_off(folder: Path) -> None:
    chip = folder / "images/1.tif"
    chip.write_bytes(chip.read_bytes()[:200])


@hostile
def page_named_png(folder: Path) -> None:
    for side in ("images", "images2"):
        (folder / side / "4.png").write_text("<html>404</html>")


@hostile
def mosaic_of_pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    _write_mosaic(folder, "../pipe")


@hostile
def mosaic_of_itself(folder: Path) -> None:
    _write_mosaic(folder, "4.vrt")


def _write_mosaic(folder: Path, source: str) -> None:
    text = (
        '<VRTDataset rasterXSize="16" rasterYSize="16"><VRTRasterBand dataType="Byte" band="1">'
        f'<SimpleSource><SourceFilename relativeToVRT="1">{source}</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    for side in ("images", "images2"):
        (folder / side / "4.vrt").write_text(text)


@hostile
def names_that_differ_in_case(folder: Path) -> None:
    for side in ("images", "images2"):
        write_chip(folder / side / "A.tif", 4)
        write_chip(folder / side / "a.tif", 5)


@hostile
def endings_that_differ_in_case(folder: Path) -> None:
    write_chip(folder / "images/1.TIF", 4)


@hostile
def sides_that_differ_in_case(folder: Path) -> None:
    (folder / "Images").mkdir()


@hostile
def folder_named_as_chip(folder: Path) -> None:
    for side in ("images", "images2"):
        write_chip(folder / side / "4.tif/4.tif", 4)


@hostile
def map_names_folder(folder: Path) -> None:
    folder_named_as_chip(folder)
    write_map(folder, *(f"images/{n}.tif images2/{n}.tif" for n in (1, 2, 4)))


@hostile
def long_names(folder: Path) -> None:
    for side in ("images", "images2"):
        write_chip(folder / side / f"{'a' * 251}.tif", 4)


@hostile
def odd_names(folder: Path) -> None:
    names = ["a b", "a\nb", "ä", "\u202e", "'; rm", "%s{}", "-rf", "~", "*", "[1]", "1:2", "\t"]
    for number, name in enumerate(names):
        for side in ("images", "images2"):
            write_chip(folder / side / f"{name}.tif", 4 + number)


@hostile
def names_that_are_no_text(folder: Path) -> None:
    for side in ("images", "images2"):
        os.rename(folder / side / "3.tif", os.fsencode(folder / side) + b"/\xff.tif")


@hostile
def lonely_name_that_is_no_text(folder: Path) -> None:
    os.rename(folder / "images/3.tif", os.fsencode(folder / "images") + b"/\xff.tif")


@hostile
def many_bands(folder: Path) -> None:
    for side in ("images", "images2"):
        with_bands(folder / side / "4.tif", 65_535)


@hostile
def many_separate_bands(folder: Path) -> None:
    for side in ("images", "images2"):
        with_bands(folder / side / "4.tif", 65_535, interleave="band", compress="deflate")


@hostile
def four_thousand_bands(folder: Path) -> None:
    for side in ("images", "images2"):
        with_bands(folder / side / "4.tif", 4000)
        with (folder / side / "4.tif").open("ab") as file:
            file.write(bytes(100_000))


@hostile
def many_bands_in_a_large_file(folder: Path) -> None:
    for side in ("images", "images2"):
        with_bands(folder / side / "4.tif", 65_535, interleave="band")
        with (folder / side / "4.tif").open("ab") as file:
            file.write(bytes(10**6))


def _move_deep(folder: Path) -> Path:
    """Make it a folder of pairs in sub-folders; return that of the source."""
    (folder / "Images").mkdir()
    (folder / "images").rename(folder / "Images/train_a")
    (folder / "images2").rename(folder / "Images/train_b")
    return folder / "Images/train_a"


@hostile
def deep_folders(folder: Path) -> None:
    below = _move_deep(folder)
    for _ in range(400):
        below /= "down"
        below.mkdir()


@hostile
def looping_folders(folder: Path) -> None:
    side = _move_deep(folder)
    for name in ("a", "b", "c"):
        (side / name).symlink_to(".")


@hostile
def doubling_folders(folder: Path) -> None:
    side = _move_deep(folder)
    for depth in range(30):
        (folder / f"Images/{depth}").mkdir()
        for name in ("a", "b"):
            (folder / f"Images/{depth}/{name}").symlink_to(f"../{depth + 1}")
    (folder / "Images/30").mkdir()
    (side / "x").symlink_to("../0")


@hostile
def deep_pipes(folder: Path) -> None:
    side = _move_deep(folder)
    (side / "sub").mkdir()
    os.mkfifo(side / "sub/4.tif")


@hostile
def side_is_pipe(folder: Path) -> None:
    (folder / "images2").rename(folder / "other")
    os.mkfifo(folder / "images2")


@hostile
def pictures_with_pipe(folder: Path) -> None:
    (folder / "images").rename(folder / "train")
    (folder / "images2").rename(folder / "val")
    os.mkfifo(folder / "train/0.tif")


@hostile
def nothing_but_pipes(folder: Path) -> None:
    for name in GOOD:
        (folder / name).unlink()
        os.mkfifo(folder / name)


@hostile
def unreadable_chip(folder: Path) -> None:
    (folder / "images/1.tif").chmod(0)


@hostile
def unreadable_side(folder: Path) -> None:
    (folder / "images").chmod(0)


def prepare_all(folder: Path) -> None:
    """Prepare every folder, in a time, and print what came of it.

    That is a line of JSON for every folder: its name, the kind of error or None, what it said, the
    names of the pairs, and the seconds of work. The process ends at a folder that gives no answer.
    """
    from geotranslate import prepare_data
    from geotranslate.errors import GeotranslateError

    warnings.simplefilter("ignore")
    for name, build in BUILDERS.items():
        there = folder / name / "chips"
        write_pairs(there)
        build(there)
        kind, text, pairs = None, "", []
        faulthandler.dump_traceback_later(NO_ANSWER, exit=True)
        start = time.process_time()
        try:
            data = prepare_data(there)
            pairs = [pair.name for pair in data.folder.pairs]
        except GeotranslateError as error:
            kind, text = "ours", str(error)
        except Exception as error:
            kind, text = type(error).__name__, str(error)
        faulthandler.cancel_dump_traceback_later()
        worked = time.process_time() - start
        sys.stdout.write(json.dumps([name, kind, text, pairs, worked]) + "\n")
        sys.stdout.flush()
