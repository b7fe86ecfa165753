from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from affine import Affine
from fastai.data.core import DataLoaders

from geotranslate import prepare_data
from geotranslate.errors import GeotranslateWarning, InvalidInputError
from geotranslate.training.data import turn
from geotranslate.training.tensors import TensorSource, TensorTarget
from tests.conftest import NORTH_UP, WriteRaster, values

WriteChips = Callable[..., Path]


def test_data_are_fastai_loaders_of_typed_scaled_tensors(write_chips: WriteChips) -> None:
    data = prepare_data(write_chips(source=(4, "uint16"), target=(2, "float32")), batch_size=3)
    source, target = data.one_batch()
    assert isinstance(data, DataLoaders)
    assert isinstance(source, TensorSource)
    assert isinstance(target, TensorTarget)
    assert source.shape == (3, 4, 64, 64)
    assert target.shape == (3, 2, 64, 64)
    for tensor in (source, target):
        assert tensor.dtype == torch.float32
        assert tensor.min() >= -1
        assert tensor.max() <= 1


def test_card_says_what_was_found(write_chips: WriteChips) -> None:
    folder = write_chips(count=10, target=(1, "int16"))
    card = prepare_data(folder, val_split_pct=0.2).card
    assert (card.source.bands, card.source.dtype) == (3, "uint8")
    assert (card.target.bands, card.target.dtype) == (1, "int16")
    assert card.chip_size == 64
    assert card.crs == "EPSG:32633"
    assert card.resolution == (2, 2)
    assert len(card.train_pairs) == 8
    assert len(card.validation_pairs) == 2
    assert not set(card.train_pairs) & set(card.validation_pairs)


def test_scaling_comes_from_the_training_pairs_alone(write_chips: WriteChips) -> None:
    data = prepare_data(write_chips(target=(1, "float32")), val_split_pct=0.2)
    low, high = data.card.target.scaling.low[0], data.card.target.scaling.high[0]
    pixels = torch.cat([data.train_ds[i][1].flatten() for i in range(len(data.train_ds))])
    assert pixels.min() == -1
    assert pixels.max() == 1
    assert (low, high) == (0, 238)


def test_both_chips_of_a_pair_are_cropped_flipped_and_turned_alike(
    write_chips: WriteChips,
) -> None:
    # The target is the source as it is, so it has to stay so.
    folder = write_chips(source=(1, "float32"), target=(1, "float32"))
    data = prepare_data(folder, chip_size=40)
    seen = set()
    for _ in range(5):
        for source, target in data.train:
            units = data.card.source.scaling.unscale(source.numpy())
            expected = data.card.target.scaling.unscale(target.numpy())
            np.testing.assert_allclose(units * 2, expected, atol=1e-3)
            seen.update(pair.tobytes() for pair in units)
    assert len(seen) == 5 * len(data.train) * 4


def test_the_eight_symmetries_differ_and_the_first_is_the_identity() -> None:
    image = torch.rand(2, 5, 5)
    turned = [turn(image, symmetry) for symmetry in range(8)]
    assert torch.equal(turned[0], image)
    assert len({tuple(part.flatten().tolist()) for part in turned}) == 8
    assert all(
        torch.equal(part.flatten(1).sort().values, image.flatten(1).sort().values)
        for part in turned
    )


def test_validation_pairs_are_never_changed(write_chips: WriteChips) -> None:
    data = prepare_data(write_chips(), chip_size=40)
    for (once, _), (again, _) in zip(data.valid, data.valid, strict=True):
        assert torch.equal(once, again)


def test_same_seed_gives_the_same_batches(write_chips: WriteChips) -> None:
    folder = write_chips()

    def batches(seed: int) -> list[torch.Tensor]:
        data = prepare_data(folder, seed=seed)
        torch.manual_seed(0)
        return [source for _ in range(2) for source, _ in data.train]

    first, again, other = batches(1), batches(1), batches(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    assert not torch.equal(first[0], first[len(first) // 2])


def test_invalid_pixels_are_the_mean_in_the_source_and_nan_in_the_target(
    write_chips: WriteChips, write_raster: WriteRaster
) -> None:
    folder = write_chips(count=2, source=(2, "float32"), target=(1, "int16"))
    gaps = {"images": (slice(0, 10), slice(None)), "images2": (slice(None), slice(0, 5))}
    for number, name in enumerate(("000", "001")):
        place = NORTH_UP @ Affine.translation(64 * number, 0)
        for side, bands, dtype in (("images", 2, "float32"), ("images2", 1, "int16")):
            data = values((bands, 64, 64), "uint8").astype(dtype) + 1
            data[:, gaps[side][0], gaps[side][1]] = 0
            write_raster(f"chips/{side}/{name}.tif", data, nodata=0, transform=place)
    data = prepare_data(folder)
    source, target = data.valid_ds[0]
    for band in range(2):
        scaled = (data.card.source.mean[band] - data.card.source.scaling.low[band]) / (
            data.card.source.scaling.high[band] - data.card.source.scaling.low[band]
        ) * 2 - 1
        assert source[band, :10].numpy() == pytest.approx(scaled, abs=1e-5)
    nan = torch.isnan(target[0])
    assert nan[:10].all()
    assert nan[:, :5].all()
    assert not nan[10:, 5:].any()


def test_overlapping_chips_are_split_without_shared_ground(write_chips: WriteChips) -> None:
    folder = write_chips(count=10, step=0.5)
    with pytest.warns(GeotranslateWarning, match="of 10 pairs are left out because they overlap"):
        card = prepare_data(folder).card
    validation = {int(name) for name in card.validation_pairs}
    assert all(abs(int(a) - b) > 1 for a in card.train_pairs for b in validation)


def test_batch_is_drawn(write_chips: WriteChips) -> None:
    import matplotlib.pyplot as plt

    plt.close("all")
    prepare_data(write_chips()).show_batch(max_n=3)
    assert len(plt.gcf().axes) == 6
    plt.close("all")


def test_batch_larger_than_the_training_set_still_trains(write_chips: WriteChips) -> None:
    assert len(prepare_data(write_chips(count=3), batch_size=16).train) == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"chip_size": 65}, "chip_size is 65 but the smallest chip of .* has a side of 64 px"),
        ({"val_split_pct": 0}, "val_split_pct is 0 and batch_size 4; give a share between 0 and 1"),
        ({"batch_size": 0}, "batch_size 0; give"),
    ],
)
def test_impossible_options_are_said(
    write_chips: WriteChips, options: dict[str, float], sentence: str
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        prepare_data(write_chips(), **options)


def test_single_pair_cannot_be_split(write_chips: WriteChips) -> None:
    with pytest.raises(InvalidInputError, match="holds one pair; two are needed"):
        prepare_data(write_chips(count=1))


def test_chips_of_several_sizes_need_a_chip_size(
    write_chips: WriteChips, write_raster: WriteRaster
) -> None:
    folder = write_chips()
    far = Affine.translation(0, 9000) @ NORTH_UP
    for side, bands in (("images", 3), ("images2", 1)):
        write_raster(f"chips/{side}/007.tif", values((bands, 80, 70), "uint8"), transform=far)
    with pytest.raises(
        InvalidInputError, match=r"\(64 x 64, 70 x 80 px\); pass chip_size, at most 64"
    ):
        prepare_data(folder)
    assert prepare_data(folder, chip_size=64).card.chip_size == 64
