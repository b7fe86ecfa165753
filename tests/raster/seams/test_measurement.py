from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.windows import Window, bounds

import geotranslate
from geotranslate import measure_seams
from geotranslate.errors import GridMismatchError, InvalidInputError, RasterFileError
from geotranslate.raster.pipeline import assemble_parts, translate_raster
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.seams.measurement import Seams, measure
from geotranslate.raster.tiling.axis import Axis
from geotranslate.raster.tiling.tile_plan import REPORT_TAG, TILING_TAG, WrittenAxis
from tests.conftest import NORTH_UP, WriteRaster
from tests.raster.tiling.test_axis import axes, joined

AXES = [
    (Axis(700, 32, 8), Axis(560, 32, 8)),
    (Axis(700, 32, 16, 8), Axis(560, 32, 16, 8)),
    (Axis(700, 32, 12, 4), Axis(560, 32, 12, 4)),
    (Axis(704, 32, 0), Axis(544, 32, 0)),
    (Axis(701, 40, 10, 0, 2), Axis(601, 30, 7)),
]
Array = NDArray[Any]


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def seams_of(error: Array, rows: Axis, cols: Axis, valid: Array | None = None) -> Seams:
    """Measure an error `(bands, rows, cols)` that was put together of tiles."""
    seen = np.isfinite(error).all(axis=0) & (True if valid is None else valid)

    def read(some: range, others: range) -> Any:
        at = slice(some.start, some.stop), slice(others.start, others.stop)
        return np.where(seen[at], error[:, at[0], at[1]], 0).astype(float), seen[at]

    return measure(read, WrittenAxis(rows, 0, rows.size), WrittenAxis(cols, 0, cols.size))


def plainly(error: Array, valid: Array, tile_edges: tuple[Array, Array]) -> float | None:
    """Return the seam index, pair by pair and border by border."""
    found = expected = 0.0
    for data, seen, edges in (
        (error, valid, tile_edges[0]),
        (error.swapaxes(1, 2), valid.T, tile_edges[1]),
    ):
        pairs: dict[tuple[int, bool], list[float]] = {}
        for at in range(1, data.shape[1]) if len(edges) else ():
            both = seen[at - 1] & seen[at]
            apart = np.abs(data[:, at] - data[:, at - 1]).sum(axis=0)[both]
            nearest = int(np.abs(edges - at).argmin())
            pairs.setdefault((nearest, at in edges), []).extend(apart.tolist())
        for number in range(len(edges)):
            across, others = pairs.get((number, True)), pairs.get((number, False))
            if across and others:
                found += sum(across)
                expected += len(across) * np.mean(others)
    return found / expected if expected else None


@given(axes())
def test_borders_are_where_other_tiles_make_a_pixel(axis: Axis) -> None:
    shares = np.stack(
        [
            joined(axis, np.outer(np.arange(len(axis)) == tile, np.ones(axis.tile)))
            for tile in range(len(axis))
        ]
    )[:, : axis.size]
    changes = ((shares[:, 1:] > 0) != (shares[:, :-1] > 0)).any(axis=0)
    assert WrittenAxis(axis, 0, axis.size).edges.tolist() == (np.flatnonzero(changes) + 1).tolist()


@given(axes(), st.data())
def test_part_of_an_axis_has_the_borders_and_cells_of_the_whole(
    axis: Axis, data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, axis.size - 1))
    last = data.draw(st.integers(first + 1, axis.size))
    whole, part = WrittenAxis(axis, 0, axis.size), WrittenAxis(axis, first, last)
    inside = [edge - first for edge in whole.edges if first < edge < last]
    assert part.edges.tolist() == inside
    stride = axis.stride
    inside = [cell - first for cell in whole.cells if first <= cell and cell + stride <= last]
    assert list(part.cells) == inside


@given(axes())
def test_cells_are_made_alike_of_their_tiles(axis: Axis) -> None:
    shares = np.stack(
        [
            joined(axis, np.outer(np.arange(len(axis)) == tile, np.ones(axis.tile)))
            for tile in range(len(axis))
        ]
    )
    cells = WrittenAxis(axis, 0, axis.size).cells
    # The tile before the first one is missing, so look at the others.
    made = [
        np.roll(shares[:, cell : cell + axis.stride], -number, axis=0)
        for number, cell in enumerate(cells)
    ][1:]
    assert all(np.allclose(one, made[0], atol=1e-6) for one in made)


@pytest.mark.parametrize(("rows", "cols"), AXES)
def test_noise_has_no_seams(rows: Axis, cols: Axis) -> None:
    found = seams_of(noise(2, rows.size, cols.size), rows, cols)
    assert found.seam_index == pytest.approx(1, abs=0.01)
    for ratios in found.spectrum.values():
        assert len(ratios) >= 7
        assert ratios == pytest.approx([1] * len(ratios), abs=0.1)
    assert found.tile_peak <= found.peak < 1.1
    chance = 1 / math.sqrt(len(rows) * len(cols))
    assert found.position_chance == pytest.approx(chance, rel=0.25)
    assert found.position_bias < chance / 2
    assert found.mismatch is None


@pytest.mark.parametrize(("rows", "cols"), AXES)
def test_scene_of_hills_has_no_seams(rows: Axis, cols: Axis) -> None:
    """Power that falls with the square of the frequency is no peak, nor is a slope."""
    frequency = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, (1024, 1024)), indexing="ij"))
    frequency[0, 0] = np.inf
    hills = np.fft.ifft2(np.fft.fft2(noise(1024, 1024)) / frequency**1.5).real
    slope = np.add.outer(np.arange(rows.size), 2.0 * np.arange(cols.size))
    error = hills[None, : rows.size, : cols.size] / hills.std() + slope / 100
    found = seams_of(error, rows, cols)
    assert found.seam_index == pytest.approx(1, abs=0.02)
    assert found.peak < 1.6
    assert 0.6 < found.tile_peak


def test_offset_of_a_tile_by_hand() -> None:
    line = np.array([0, 1, 0, 5, 6, 5.0])
    column = np.array([0, 2, 6, 8.0])
    one_tile, two_tiles = Axis(4, 4, 0), Axis(4, 2, 0)
    across = np.tile(line, (1, 4, 1))
    # Steps of 1 in a tile, and of 5 from tile to tile.
    assert seams_of(across, one_tile, Axis(6, 3, 0)).seam_index == 5
    # Downwards steps of 2, and of 4; 4 pairs across tile edges sideways and 6 downwards.
    both = across + column[:, None]
    expected = (4 * 5 + 6 * 4) / (4 * 1 + 6 * 2)
    assert seams_of(both, two_tiles, Axis(6, 3, 0)).seam_index == expected
    # Nothing differs within tiles.
    steps = np.tile(np.array([0, 0, 0, 5, 5, 5.0]), (1, 4, 1))
    assert seams_of(steps, one_tile, Axis(6, 3, 0)).seam_index == math.inf


@settings(max_examples=30)
@given(axes(), axes(), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_index_is_what_it_is_said_to_be(rows: Axis, cols: Axis, seed: int, share: float) -> None:
    error = noise(1, rows.size, cols.size, seed=seed)
    valid = np.random.default_rng(seed).random((rows.size, cols.size)) <= share
    tile_edges = WrittenAxis(rows, 0, rows.size).edges, WrittenAxis(cols, 0, cols.size).edges
    expected = plainly(error, valid, tile_edges)
    found = seams_of(error, rows, cols, valid).seam_index
    assert found == (None if expected is None else pytest.approx(expected))


def test_index_does_not_depend_on_pieces() -> None:
    """Larger than what is read at a time, both ways."""
    rows, cols = Axis(1100, 100, 20), Axis(1030, 100, 20)
    error = noise(2, 1100, 1030)
    valid = noise(1100, 1030, seed=1) > -1
    tile_edges = WrittenAxis(rows, 0, 1100).edges, WrittenAxis(cols, 0, 1030).edges
    expected = plainly(error, valid, tile_edges)
    assert seams_of(error, rows, cols, valid).seam_index == pytest.approx(expected)


@pytest.mark.parametrize(("rows", "cols"), AXES)
def test_what_repeats_in_every_tile_is_found(rows: Axis, cols: Axis) -> None:
    pattern = noise(2, rows.stride, cols.stride)
    pattern -= pattern.mean(axis=(1, 2), keepdims=True)
    at = np.ix_(np.arange(rows.size) % rows.stride, np.arange(cols.size) % cols.stride)
    error = pattern[:, at[0], at[1]]
    found = seams_of(error, rows, cols)
    assert found.position_bias == pytest.approx(math.sqrt((pattern**2).mean()))
    assert found.position_chance == pytest.approx(0, abs=1e-7)
    np.testing.assert_allclose(found.position_map, pattern.mean(axis=0), atol=1e-9)
    assert found.tile_peak > 1e6
    # Half as large as the noise, it is found as well, and each tile's own mean does not matter.
    heavy = noise(2, rows.size, cols.size, seed=1) * 2
    found = seams_of(error + heavy, rows, cols)
    assert found.position_bias == pytest.approx(1, rel=0.1)
    # A line of 8 tiles under a Hann window counts as 8 / 1.5 that agree.
    for ratios in found.spectrum.values():
        assert np.mean(ratios) == pytest.approx(1 + 8 / 1.5 / 4, rel=0.15)


def test_means_of_tiles_are_no_bias() -> None:
    rows, cols = Axis(320, 32, 0), Axis(320, 32, 0)
    error = np.kron(noise(1, 10, 10), np.ones((32, 32)))
    found = seams_of(error, rows, cols)
    assert found.position_bias == pytest.approx(0, abs=1e-9)
    assert found.seam_index == math.inf


@pytest.mark.parametrize("harmonic", [1, 3, 8])
def test_wave_is_found_in_its_direction_and_harmonic(harmonic: int) -> None:
    rows, cols = Axis(700, 32, 8), Axis(800, 32, 8)
    wave = np.sin(2 * np.pi * harmonic / 24 * np.arange(800) + 1)
    found = seams_of(noise(1, 700, 800) + wave, rows, cols)
    ratios = found.spectrum["cols"]
    assert int(np.argmax(ratios)) + 1 == harmonic
    # Under a Hann window of 192 px a sine holds a sixth of it times what noise of 1 holds.
    assert found.peak == ratios[harmonic - 1] == pytest.approx(1 + 192 / 6, rel=0.1)
    assert max(*ratios[: harmonic - 1], *ratios[harmonic:]) < 1.2
    assert max(found.spectrum["rows"]) < 1.2
    assert (found.tile_peak > 10) == (harmonic == 1)


def test_wave_of_another_length_is_no_peak() -> None:
    rows, cols = Axis(700, 32, 8), Axis(800, 32, 8)
    wave = 0.2 * np.sin(2 * np.pi / 37 * np.arange(800))
    assert seams_of(noise(1, 700, 800) + wave, rows, cols).peak < 1.2


@pytest.mark.parametrize(("rows", "cols"), AXES[:3])
def test_smooth_function_leaves_the_index(rows: Axis, cols: Axis) -> None:
    error = noise(1, rows.size, cols.size)
    error[:, :, cols.starts[3] + 8 :] += 3
    slope = np.add.outer(np.arange(rows.size), np.arange(cols.size)) / 50
    before, after = (seams_of(e, rows, cols).seam_index for e in (error, error + slope))
    assert before > 1.005
    assert after == pytest.approx(before, rel=1e-3)


@pytest.mark.parametrize("garbage", [1e30, np.nan, np.inf])
def test_what_stands_in_invalid_pixels_does_not_matter(garbage: float) -> None:
    rows, cols = AXES[0]
    error = noise(2, rows.size, cols.size).astype(np.float32)
    valid = np.ones((rows.size, cols.size), bool)
    valid[100:300, 50:400] = False
    valid &= noise(rows.size, cols.size, seed=1) > -1.5
    clean = seams_of(error, rows, cols, valid)
    spoilt = np.where(valid, error, np.float32(garbage))
    found = seams_of(spoilt, rows, cols, valid)
    assert found == clean
    np.testing.assert_array_equal(found.position_map, clean.position_map)
    if not np.isfinite(garbage):
        assert seams_of(spoilt, rows, cols) == clean
    assert clean.seam_index == pytest.approx(1, abs=0.02)
    assert clean.peak < 1.3


def test_turned_scene_has_the_measures_of_the_other_direction() -> None:
    rows, cols = Axis(700, 32, 8), Axis(801, 48, 12)
    error = noise(2, 700, 801)
    error[:, :, ::36] += 1
    found = seams_of(error, rows, cols)
    turned = seams_of(error.swapaxes(1, 2), cols, rows)
    assert turned.spectrum == {"rows": found.spectrum["cols"], "cols": found.spectrum["rows"]}
    assert turned.seam_index == pytest.approx(found.seam_index)
    assert turned.position_bias == pytest.approx(found.position_bias)
    np.testing.assert_allclose(turned.position_map, found.position_map.T)


def test_other_units_change_the_bias_alone() -> None:
    rows, cols = AXES[0]
    error = noise(1, rows.size, cols.size)
    found, larger = (seams_of(factor * error, rows, cols) for factor in (1, 1024))
    assert larger.seam_index == found.seam_index
    for direction, ratios in found.spectrum.items():
        assert larger.spectrum[direction] == pytest.approx(ratios)
    assert larger.position_bias == 1024 * found.position_bias
    assert larger.position_chance == 1024 * found.position_chance


def test_error_that_is_none_has_no_ratios() -> None:
    rows, cols = AXES[0]
    found = seams_of(np.zeros((1, rows.size, cols.size)), rows, cols)
    assert (found.seam_index, found.peak, found.tile_peak) == (None, None, None)
    assert found.position_bias == 0
    # Rounding in a constant error is no energy.
    constant = seams_of(np.full((1, rows.size, cols.size), 1 / 3), rows, cols)
    assert constant.seam_index is None
    assert constant.peak == pytest.approx(1)


@pytest.mark.parametrize("rows", [Axis(20, 32, 8), Axis(32, 32, 8), Axis(50, 32, 8)])
def test_few_tiles(rows: Axis) -> None:
    cols = Axis(32 + 3 * 24, 32, 8)
    found = seams_of(noise(1, rows.size, cols.size), rows, cols)
    assert found.spectrum["rows"] is None
    assert found.position_bias is None
    assert found.position_map is None
    alone = Axis(30, 32, 8)
    nothing = seams_of(noise(1, 30, 30), alone, alone)
    assert nothing == Seams()
    assert repr(nothing) == (
        "Seams(seam index: no tiles meet, or no error; peak of the spectrum: too few tiles, or no "
        "error; position bias: too few tiles)"
    )


def test_all_pixels_invalid() -> None:
    rows, cols = AXES[0]
    nothing = seams_of(np.full((1, rows.size, cols.size), np.nan), rows, cols)
    assert nothing == Seams()


def test_stride_of_few_pixels() -> None:
    """A frequency has no harmonics below Nyquist where tiles lie 2 pixels apart."""
    axis = Axis(60, 4, 2)
    assert seams_of(noise(1, 60, 60), axis, axis).peak is None
    axis = Axis(60, 6, 1)
    assert len(seams_of(noise(1, 60, 60), axis, axis).spectrum["rows"]) <= 2


def test_result_shows_itself() -> None:
    found = Seams(1.234, {"rows": (2.0, 3.0), "cols": None}, 0.5, 0.25, 0.1)
    assert (found.peak, found.tile_peak) == (3, 2)
    assert repr(found) == (
        "Seams(seam index: 1.23; peak of the spectrum: 3, 2 at the tiles' own frequency; "
        "position bias: 0.5, by chance 0.25; tile mismatch: 0.1)"
    )
    assert ">seam index</th><td style='text-align:left'>1.23</td>" in found._repr_html_()


MODES: list[dict[str, Any]] = [
    {"tile_size": 64, "blend": "hann", "overlap": 16},
    {"tile_size": 64, "blend": "hann", "overlap": 20, "padding": 4},
    {"tile_size": 64, "blend": "crop", "overlap": 32, "padding": 16},
]


def scene(write_raster: WriteRaster, height: int = 700, width: int = 400) -> tuple[Path, Array]:
    data = noise(2, height, width).astype(np.float32)
    data[:, 300:400, 100:200] = np.nan
    return write_raster("scene.tif", data), data


def translate(source: Path, output: str, **options: Any) -> Any:
    options = {"bands_out": 2, "progress": False, **MODES[0], **options}
    return translate_raster(source, output, options.pop("apply", lambda tiles: tiles), **options)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("mode", MODES)
def test_file_has_the_measures_of_the_array(write_raster: WriteRaster, mode: Any) -> None:
    source, data = scene(write_raster)
    result = translate(source, "out.tif", **mode)
    rows, cols = (
        Axis(size, 64, mode["overlap"], mode.get("padding", 0)) for size in data.shape[1:]
    )
    expected = seams_of(data, rows, cols)
    found = result.seams()
    assert found.mismatch == result.mismatch == 0
    assert Seams(**{**vars(found), "mismatch": None}) == expected
    np.testing.assert_array_equal(found.position_map, expected.position_map)
    target = (data + 3 * noise(*data.shape, seed=2)).astype(np.float32)
    target[:, :50] = np.nan
    expected = seams_of(data.astype(float) - target, rows, cols)
    found = measure_seams("out.tif", write_raster("target.tif", target))
    assert Seams(**{**vars(found), "mismatch": None}) == expected


def test_offset_of_every_tile_shows_and_blending_hides_its_edge(write_raster: WriteRaster) -> None:
    source, _ = scene(write_raster)
    chance = np.random.default_rng(0)

    def shifted(tiles: Array) -> Array:
        return tiles + 3 * chance.normal(size=(len(tiles), 1, 1, 1)).astype(np.float32)

    index = {}
    for mode in (MODES[0], MODES[2]):
        result = translate(source, "out.tif", apply=shifted, overwrite=True, **mode)
        index[mode["blend"]] = result.seams().seam_index
        assert result.seams().mismatch > 2
    assert index["hann"] == pytest.approx(1, abs=0.03)
    assert index["crop"] > 2


def test_identity_has_no_error(write_raster: WriteRaster) -> None:
    source, _ = scene(write_raster)
    found = translate(source, "out.tif").seams(source)
    assert (found.seam_index, found.peak, found.position_bias) == (None, None, 0)


@pytest.mark.parametrize("scale", [1, 2, 0.5])
def test_area_has_the_borders_of_the_scene(write_raster: WriteRaster, scale: float) -> None:
    source, _ = scene(write_raster)

    def scaled(tiles: Array) -> Array:
        if scale < 1:
            return tiles[:, :, ::2, ::2]
        return np.kron(tiles, np.ones((int(scale), int(scale)), np.float32))

    place = bounds(Window(90, 130, 300, 500), NORTH_UP)
    result = translate(source, "out.tif", apply=scaled, bbox=place, scale=scale)
    with rasterio.open(result) as dataset:
        written = dataset.read()
    top, left, height, width = (int(value * scale) for value in (130, 90, 500, 300))
    assert written.shape == (2, height, width)
    edges = tuple(
        WrittenAxis(
            Axis(int(size * scale), int(64 * scale), int(16 * scale)), first, first + length
        ).edges
        for size, first, length in ((700, top, height), (400, left, width))
    )
    expected = plainly(written, np.isfinite(written).all(axis=0), edges)
    assert result.seams().seam_index == pytest.approx(expected)


def test_file_says_how_its_tiles_lie_however_it_was_made(write_raster: WriteRaster) -> None:
    source, _ = scene(write_raster)
    options: dict[str, Any] = {"part_rows": 256, "tags": {TILING_TAG: "another one's"}}
    whole = translate(source, "whole.tif", **options)
    for share in ("1/2", "2/2"):
        translate(source, "shares.tif", part=share, **options)
    with pytest.raises(RasterFileError, match=r"shares\.tif cannot be opened as a raster"):
        measure_seams("shares.tif")
    shares = assemble_parts("shares.tif")

    calls = iter(range(20))

    def failing(tiles: Array) -> Array:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return tiles

    with (
        pytest.warns(geotranslate.GeotranslateWarning, match="parts are finished"),
        pytest.raises(KeyboardInterrupt),
    ):
        translate(source, "again.tif", apply=failing, **options)
    again = translate(source, "again.tif", resume=True, **options)
    tags = []
    for path in (whole, shares, again):
        with rasterio.open(path) as dataset:
            tags.append(dataset.tags()[TILING_TAG])
    assert len(set(tags)) == 1
    assert '"tile": 64' in tags[0]
    assert whole.seams() == measure_seams(shares) == again.seams()
    assert translate(source, "again.tif", resume=True, **options).seams() == again.seams()


def test_pieces_do_not_grow_with_the_height(
    write_raster: WriteRaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = noise(1, 4000, 100).astype(np.float32)
    result = translate(write_raster("tall.tif", data), "out.tif", bands_out=1)
    seen = []
    reading = RasterReader.read

    def watched(self: RasterReader, window: Window, *dtype: Any) -> Any:
        seen.append(window.height * window.width)
        return reading(self, window, *dtype)

    monkeypatch.setattr(RasterReader, "read", watched)
    result.seams()
    assert max(seen) <= 100 * 513


def test_target_of_another_place_or_kind_is_refused(write_raster: WriteRaster) -> None:
    source, data = scene(write_raster)
    result = translate(source, "out.tif")
    moved = write_raster("moved.tif", data, transform=NORTH_UP @ NORTH_UP.translation(1, 0))
    with pytest.raises(GridMismatchError, match=r"moved\.tif .*does not lie on the grid of out"):
        result.seams(moved)
    other = write_raster("other.tif", data, crs="EPSG:32634")
    with pytest.raises(GridMismatchError, match=r"in EPSG:32634.*gdalwarp"):
        result.seams(other)
    with pytest.raises(GridMismatchError, match=r"400 x 600 px.*400 x 700 px"):
        result.seams(write_raster("short.tif", data[:, :600]))
    with pytest.raises(InvalidInputError, match=r"one\.tif has 1 band and out\.tif has 2; give a"):
        result.seams(write_raster("one.tif", data[:1]))
    with pytest.raises(RasterFileError, match=r"none\.tif cannot be opened as a raster"):
        result.seams("none.tif")
    with pytest.raises(InvalidInputError, match="A raster is expected, not a value of type int"):
        result.seams(3)


def test_raster_that_does_not_tell_its_tiles_is_refused(write_raster: WriteRaster) -> None:
    source, data = scene(write_raster)
    with pytest.raises(InvalidInputError, match=r"scene\.tif has no tag with the places"):
        measure_seams(source)
    with pytest.raises(RasterFileError, match=r"none\.tif cannot be opened as a raster"):
        measure_seams("none.tif")
    result = translate(source, "out.tif", driver="GTiff")
    with rasterio.open(result) as dataset:
        tags = dataset.tags()
    cut = write_raster("cut.tif", data[:, :90, :80])
    for text, sentence in (
        (tags[TILING_TAG], r"has 80 x 90 px, but was written with 400 x 700: it was cut"),
        ("{}", "of .*cut.tif is damaged.*translate it again"),
        ("[", "is damaged"),
        *(
            (tags[TILING_TAG].replace('"tile": 64', f'"tile": {value}'), "is damaged")
            for value in ("-1", "64.5", "null", "true", "NaN", "1e999", "[" * 9000)
        ),
        # As many tiles as this would fill the memory.
        (tags[TILING_TAG].replace('"size": 400', '"size": 2000000000'), "is damaged"),
        (tags[TILING_TAG].replace('"first": 0', '"first": 9'), "is damaged|it was cut"),
        *(
            (tags[TILING_TAG].replace('"last": 400', f'"last": {v}'), "is dam")
            for v in (399.5, 401)
        ),
    ):
        with rasterio.open(cut, "r+") as dataset:
            dataset.update_tags(**{TILING_TAG: text})
        with pytest.raises(InvalidInputError, match=sentence):
            measure_seams(cut)
    for text in ("[", "5", '{"mismatch": "x"}', '{"mismatch": -1}'):
        with rasterio.open(result, "r+") as dataset:
            dataset.update_tags(**{REPORT_TAG: text})
        with pytest.raises(
            InvalidInputError, match=r"REPORT of .*out\.tif is damaged; translate it"
        ):
            measure_seams(result)


@pytest.mark.slow
def test_real_scene_and_itself(shared_data: Path) -> None:
    source = shared_data / "banepa" / "banepa_rgb.tif"
    with rasterio.open(source) as dataset:
        place = bounds(Window(500, 700, 1500, 1500), dataset.transform)
    options: dict[str, Any] = {"bands_out": 3, "bbox": place, "tile_size": 128, "blend": "crop"}
    result = translate(source, "out.tif", **options, overlap=0)
    found = result.seams()
    assert found.seam_index == pytest.approx(1, abs=0.1)
    assert found.peak < 1.5
    x = np.hypot(*np.mgrid[-1:1:128j, -1:1:128j]).astype(np.float32)
    shaded = translate(
        source, "shaded.tif", **options, overlap=0, apply=lambda tiles: tiles + 5 * x, dtype="int16"
    )
    with rasterio.open(result) as dataset:
        data, profile = dataset.read(), dataset.profile
    profile |= {"driver": "GTiff", "dtype": "int16"}
    with rasterio.open("target.tif", "w", **profile) as dataset:
        dataset.write(data.astype(np.int16))
    shading = shaded.seams("target.tif")
    assert shading.tile_peak > 1000
    assert shading.position_bias == pytest.approx(np.round(5 * x).std(), rel=0.02)
