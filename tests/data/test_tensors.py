from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib import colormaps, pyplot
from numpy.typing import NDArray

from geotranslate import Pix2Pix, prepare_data
from geotranslate.chips.bands.classes import Classes
from geotranslate.chips.bands.datacard import Side
from geotranslate.chips.bands.scaling import Scaling
from geotranslate.data.plotting import draw_table
from geotranslate.data.tensors import TensorSource, TensorTarget, show_batch, show_results
from geotranslate.errors import InvalidInputError

WriteChips = Callable[..., Path]


def make_side(bands: int, dtype: str, low: float, high: float, *, classes: bool = False) -> Side:
    return Side(
        bands=bands,
        dtype=dtype,
        nodata=None,
        band_names=("",) * bands,
        indexes=tuple(range(1, bands + 1)),
        file_bands=bands,
        classes=Classes((), None) if classes else None,
        mean=(0.0,) * bands,
        scaling=Scaling.linear(np.full(bands, low), np.full(bands, high)),
    )


RGB = make_side(3, "uint8", 0, 255)
GRAY = make_side(1, "uint8", 0, 255)
HEIGHT = make_side(1, "float32", -10, 900)
OPTICAL = make_side(12, "int16", 0, 4000)
CLASSES = make_side(1, "uint8", 0, 255, classes=True)


def seen(figure: Any) -> list[NDArray[np.float64]]:
    """Return the colors `(rows, cols, 4)` that are drawn of every chip, row by row."""
    images = [image for axis in figure.axes for image in axis.images]
    return [np.asarray(image.to_rgba(image.get_array())) for image in images]


def draw(
    *chips: Any, sides: list[Side | None] | None = None, **options: Any
) -> list[NDArray[np.float64]]:
    titles = [str(number) for number in range(len(chips))]
    return seen(draw_table([chips], titles, sides=sides, **options))


def ramp(bands: int, low: float, high: float, side: int = 10) -> torch.Tensor:
    """Return chips whose bands are one ramp."""
    return torch.linspace(low, high, side * side).reshape(1, side, side).repeat(bands, 1, 1)


def drawn_figure() -> Any:
    """Return what was drawn by a call that returns nothing."""
    return pyplot.gcf()


@pytest.mark.parametrize("rows", [1, 3])
def test_table_has_a_picture_for_every_chip_and_a_title_for_every_column(rows: int) -> None:
    table = [[torch.zeros(3, 8, 8), torch.zeros(1, 8, 8)]] * rows
    figure = draw_table(table, ("source", "target"))
    assert sum(len(axis.images) for axis in figure.axes) == 2 * rows
    assert [axis.get_title() for axis in figure.axes[:2]] == ["source", "target"]


def test_chips_of_which_nothing_is_known_are_drawn_as_they_are() -> None:
    pixels = np.array([[[-1.0, 0.0, 1.0, -7.0, 7.0]]] * 3, np.float32)
    (color,), (gray,) = (draw(pixels)[0], draw(pixels[:1])[0])
    assert color[:, 0].tolist() == [0, 0.5, 1, 0, 1]
    assert gray[:, 0] == pytest.approx([0, 0.5, 1, 0, 1], abs=0.01)
    assert (color[:, 3] == 1).all()


@pytest.mark.parametrize("bands", [3, 4, 12])
def test_more_than_two_bands_are_drawn_as_colors(bands: int) -> None:
    chip = torch.linspace(-1, 1, bands)[:, None, None].expand(bands, 2, 2)
    expected = chip[:3, 0, 0] / 2 + 0.5
    assert draw(chip)[0][0, 0, :3] == pytest.approx(expected.numpy(), abs=1e-6)


@pytest.mark.parametrize(
    ("side", "colors"),
    [(GRAY, "gray"), (HEIGHT, "viridis"), (make_side(2, "float64", -30, 5), "viridis")],
)
def test_one_band_is_gray_for_uint8_and_in_false_colors_else(side: Side, colors: str) -> None:
    drawn = draw(ramp(side.bands, -1, 1), sides=[side])[0]
    assert drawn[0, 0] == pytest.approx(colormaps[colors](0.0))
    assert drawn[-1, -1] == pytest.approx(colormaps[colors](1.0))


def test_the_whole_range_of_a_dtype_is_not_stretched() -> None:
    dark = draw(ramp(3, -0.9, -0.8), sides=[RGB])[0]
    assert dark[..., :3].min() == pytest.approx(0.05)
    assert dark[..., :3].max() == pytest.approx(0.10)


def test_other_sides_are_stretched_between_percentiles_of_every_band() -> None:
    chip = torch.cat([ramp(1, -0.1, 0.1), ramp(1, 0.5, 0.9), ramp(1, -1, 1)])
    chip[0, 0, 0], chip[0, -1, -1] = -30, 30
    drawn = draw(chip, sides=[make_side(3, "uint16", 0, 4000)])[0]
    for band in range(3):
        order = np.sort(drawn[..., band].ravel())
        assert (order[2], order[-3]) == pytest.approx((0, 1), abs=0.02)
        assert order[50] == pytest.approx(0.5, abs=0.02)


def test_the_stretch_is_one_for_the_whole_batch() -> None:
    # The same pixels have the same colors in every row.
    low, high = ramp(3, -0.5, 0), ramp(3, 0, 0.5)
    figure = draw_table([[low], [high]], ["target"], sides=[make_side(3, "int16", 0, 9)])
    first, second = seen(figure)
    assert first[-1, -1] == pytest.approx(second[0, 0], abs=0.02)
    assert first[..., 0].max() < 0.52 < 0.55 < second[..., 0].max()


def test_columns_of_one_side_are_stretched_alike() -> None:
    # Two columns of one side, and a third of another that is not concerned.
    chips = (ramp(1, -0.5, 0), ramp(1, 0, 0.5), ramp(1, -0.01, 0.01))
    other = replace(HEIGHT, dtype="float64")
    translated, target, source = draw(*chips, sides=[HEIGHT, HEIGHT, other])
    assert translated[-1, -1] == pytest.approx(target[0, 0], abs=0.02)
    assert source[0, 0] == pytest.approx(colormaps["viridis"](0.0))
    assert source[-1, -1] == pytest.approx(colormaps["viridis"](1.0))


def test_few_pixels_that_differ_are_seen() -> None:
    roads = torch.full((1, 20, 20), -1.0)
    roads[0, 3, 4] = 1
    drawn = draw(roads, sides=[HEIGHT])[0]
    assert drawn[3, 4] == pytest.approx(colormaps["viridis"](1.0))
    assert drawn[0, 0] == pytest.approx(colormaps["viridis"](0.0))


def test_constant_chips_are_drawn_in_the_middle() -> None:
    drawn = draw(torch.full((3, 4, 4), 0.3), sides=[make_side(3, "int16", 0, 9)])[0]
    assert drawn[0, 0].tolist() == [0.5, 0.5, 0.5, 1]


def test_invalid_pixels_of_another_place_blank_no_chip() -> None:
    holed = ramp(3, -1, 1)
    holed[:, :4] = torch.nan
    whole, own = draw(ramp(3, -1, 1), holed, paired=False)
    assert (whole[..., 3] == 1).all()
    assert (own[:4, :, 3] == 0).all()
    assert (own[4:, :, 3] == 1).all()


@pytest.mark.parametrize("side", [RGB, GRAY, HEIGHT, OPTICAL, CLASSES, None])
def test_invalid_pixels_are_transparent_in_all_of_their_row(side: Side | None) -> None:
    bands = 3 if side is None else side.bands
    target = torch.zeros(bands, 4, 4)
    target[0, 1, 2] = np.nan
    for drawn in draw(torch.zeros(3, 4, 4), target, sides=[RGB, side]):
        opaque = drawn[..., 3] > 0
        assert not opaque[1, 2]
        assert opaque.sum() == 15


def test_invalid_pixels_do_not_stretch() -> None:
    source, target = ramp(1, -0.1, 0.1), ramp(1, -0.1, 0.1)
    source[:, :5], target[:, :5] = 1, np.nan
    source_drawn, _ = draw(source, target, sides=[HEIGHT, None])
    assert source_drawn[5, 0] == pytest.approx(colormaps["viridis"](0.0))
    assert source_drawn[-1, -1] == pytest.approx(colormaps["viridis"](1.0))


def test_a_chip_without_a_valid_pixel_is_blank() -> None:
    assert not draw(torch.full((3, 4, 4), np.nan), sides=[OPTICAL])[0].any()


def draw_classes(numbers: list[float], classes: Classes) -> NDArray[np.float64]:
    """Return the colors `(pixels, 4)` of values of such classes."""
    side = replace(CLASSES, classes=classes)
    figure = draw_table(
        [[side.scaling.scale(np.array([[numbers]], np.float32))]], ["target"], sides=[side]
    )
    assert figure.axes[0].images[0].get_interpolation() == "nearest"
    return seen(figure)[0][0]


@pytest.mark.parametrize("scaling", [(0, 255), (1, 60), (-3, 900)])
def test_classes_are_drawn_in_the_colors_of_their_table(scaling: tuple[int, int]) -> None:
    table = {2: (255, 0, 0, 255), 7: (1, 2, 3, 255), 50: (9, 99, 199, 128), 8: (0, 0, 0, 0)}
    classes = Classes((2, 3, 7, 8), tuple((value, *color) for value, color in table.items()))
    side = replace(make_side(1, "int16", *scaling), classes=classes)
    numbers = np.array([[list(table)]], np.float32)
    (drawn,) = draw(side.scaling.scale(numbers), sides=[side])
    assert drawn[0] * 255 == pytest.approx(np.array(list(table.values())), abs=1e-4)


def test_values_that_the_color_table_lacks_are_black() -> None:
    drawn = draw_classes([3, 200, np.nan], Classes((3,), ((2, 255, 0, 0, 255),)))
    assert drawn.tolist() == [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]


@pytest.mark.parametrize("values", [tuple(range(60)), (-20, 0, 20, 40, 60), (111, 112, 523)])
def test_classes_without_a_table_have_a_color_each(values: tuple[int, ...]) -> None:
    drawn = draw_classes([*values, *values], Classes(values, None))
    np.testing.assert_array_equal(drawn[: len(values)], drawn[len(values) :])
    assert len(np.unique(drawn, axis=0)) == len(values)
    assert (drawn[:, :3] > 0).any()


def test_mixtures_of_classes_are_black() -> None:
    assert draw_classes([5, 10.4, 9.6], Classes((10, 20), None))[:, :3].any(axis=1).tolist() == [
        False,
        True,
        True,
    ]


def test_a_class_has_one_color_in_all_rows_and_columns() -> None:
    side = replace(CLASSES, classes=Classes((1, 4, 9), None))
    chips = [side.scaling.scale(np.full((1, 2, 2), value, np.float32)) for value in (1, 4, 9)]
    figure = draw_table([chips, chips[::-1]], ["a", "b", "c"], sides=[side] * 3)
    colors = [image[0, 0].tolist() for image in seen(figure)]
    assert colors[:3] == colors[:2:-1]
    assert len(set(map(tuple, colors))) == 3


def test_more_classes_than_are_remembered_have_colors_too() -> None:
    drawn = draw_classes([1, 2, 61, 300], Classes((), None))
    np.testing.assert_array_equal(drawn[0], drawn[2])
    np.testing.assert_array_equal(drawn[3], draw_classes([0], Classes((), None))[0])
    assert (drawn[0] != drawn[1]).any()


def test_bands_are_chosen_where_a_side_has_them() -> None:
    optical = torch.linspace(-1, 1, 12)[:, None, None].expand(12, 2, 2)
    chips = (ramp(2, -1, 1, side=2), optical)
    radar, drawn = draw(*chips, sides=[None, None], rgb_bands=(12, 1, 6))
    assert drawn[0, 0, :3] == pytest.approx([1, 0, 5 / 11], abs=1e-6)
    assert radar[0, 0, :3].tolist() == [0, 0, 0]
    assert radar[-1, -1, :3].tolist() == [1, 1, 1]


@pytest.mark.parametrize("chosen", [2, (2,), [2]])
def test_one_chosen_band_is_drawn_in_gray(chosen: Any) -> None:
    chip = torch.cat([ramp(1, 1, -1), ramp(1, -1, 1)])
    drawn = draw(chip, sides=[make_side(2, "float64", -30, 5)], rgb_bands=chosen)[0]
    assert drawn[0, 0].tolist() == [0, 0, 0, 1]
    assert drawn[-1, -1].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("bands", [0, 4, (1, 2), (1, 2, 4), (0, 1, 2), (), ("red",), (1.5, 2, 3)])
def test_impossible_bands_are_refused(bands: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"rgb_bands is .*from 1 to 3"):
        draw(torch.zeros(3, 4, 4), torch.zeros(1, 4, 4), rgb_bands=bands)


def test_a_batch_is_drawn_with_what_its_pairs_know_of_their_sides() -> None:
    source = TensorSource(ramp(3, -0.9, -0.8), side=RGB)
    target = TensorTarget(ramp(1, -0.1, 0.1), side=HEIGHT)
    figure = show_batch(source[None], target[None], [(source, target)] * 6, max_n=2)
    assert len(figure.axes) == 4
    drawn = seen(figure)
    assert drawn[0][..., :3].max() == pytest.approx(0.1)
    assert drawn[1][-1, -1] == pytest.approx(colormaps["viridis"](1.0))


def test_results_are_drawn_with_what_their_pairs_know_of_their_sides() -> None:
    source = TensorSource(ramp(3, -0.9, -0.8), side=RGB)
    target = TensorTarget(ramp(1, 0, 0.1), side=HEIGHT)
    out = TensorSource(ramp(1, -0.1, 0))
    batch = (source[None], target[None], [(source, target)], [(out,)])
    figure = show_results(*batch, max_n=4)
    assert [axis.get_title() for axis in figure.axes] == ["source", "translation", "target"]
    _, translated, true = seen(figure)
    assert translated[0, 0] == pytest.approx(colormaps["viridis"](0.0))
    assert true[-1, -1] == pytest.approx(colormaps["viridis"](1.0))
    assert translated[-1, -1] == pytest.approx(true[0, 0], abs=0.02)


def test_loaders_draw_the_bands_that_are_asked_for(write_chips: WriteChips) -> None:
    data = prepare_data(write_chips(source=(4, "uint16"), target=(1, "uint8")), batch_size=4)
    data.show_batch(max_n=2, rgb_bands=(4, 3, 2))
    figure = drawn_figure()
    assert [axis.get_title() for axis in figure.axes[:2]] == ["source", "target"]
    assert len(figure.axes) == 4
    assert seen(figure)[0].shape == (64, 64, 4)
    with pytest.raises(InvalidInputError, match="from 1 to 4"):
        data.show_batch(rgb_bands=(5, 3, 2))


def test_model_and_learner_draw_results(write_chips: WriteChips) -> None:
    data = prepare_data(write_chips(source=(3, "uint8"), target=(12, "int16")), batch_size=4)
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4)
    figure = model.show_results(rows=1, rgb_bands=(12, 6, 1))
    assert len(figure.axes) == 3
    # The card says that the source is uint8, drawn as it is, and that the target is stretched.
    source, _, target = seen(figure)
    assert source[..., :3].max() < 0.5
    assert (target[..., :3].min(), target[..., :3].max()) == (0, 1)
    with model.learn.no_bar():
        model.learn.show_results(max_n=1, rgb_bands=(12, 6, 1))
    titles = [axis.get_title() for axis in drawn_figure().axes]
    assert titles == ["source", "translation", "target"]


@pytest.fixture(autouse=True)
def close_figures() -> Any:
    yield
    pyplot.close("all")


def test_loaders_know_their_sides(write_chips: WriteChips) -> None:
    data = prepare_data(write_chips(source=(4, "uint16"), target=(1, "float32")), batch_size=4)
    data.show_batch(max_n=2)
    source, target, *_ = seen(drawn_figure())
    assert (source[..., :3].min(), source[..., :3].max()) == (0, 1)
    assert (target[..., 0] != target[..., 1]).any()
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4).fit(1, progress=False)
    with model.learn.no_bar():
        model.learn.show_results(max_n=1)
    _, translation, _ = seen(drawn_figure())
    assert (translation[..., 0] != translation[..., 1]).any()
