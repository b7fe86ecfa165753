from __future__ import annotations

import numpy as np
import pytest
import torch

from geotranslate.training.tensors import draw_table, to_picture


@pytest.mark.parametrize(
    ("bands", "shape"), [(1, (8, 9)), (2, (8, 9)), (3, (8, 9, 3)), (12, (8, 9, 3))]
)
def test_picture_shows_three_bands_or_one(bands: int, shape: tuple[int, ...]) -> None:
    assert to_picture(torch.zeros(bands, 8, 9)).shape == shape


def test_picture_lies_between_0_and_1() -> None:
    scaled = np.array([[[-1.0, 0.0, 1.0, -7.0, 7.0, np.nan]]])
    assert to_picture(scaled)[0].tolist() == [0, 0.5, 1, 0, 1, 0]


@pytest.mark.parametrize("rows", [1, 3])
def test_table_has_a_picture_for_every_chip_and_a_title_for_every_column(rows: int) -> None:
    table = [[torch.zeros(3, 8, 8), torch.zeros(1, 8, 8)]] * rows
    figure = draw_table(table, ("source", "target"))
    assert sum(len(axis.images) for axis in figure.axes) == 2 * rows
    assert [axis.get_title() for axis in figure.axes[:2]] == ["source", "target"]
