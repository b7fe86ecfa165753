from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from geotranslate import Pix2Pix, prepare_data
from geotranslate.chips.pair_set import UnpairedSets
from geotranslate.data.loaders import PairLoaders
from geotranslate.data.tensors import TensorSource, TensorTarget
from geotranslate.errors import GeotranslateWarning, InvalidInputError
from tests.conftest import NORTH_UP, WriteRaster, values

WriteChips = Callable[..., Path]


def numbers(chips: Tensor) -> list[int]:
    """Return the numbers of chips of `write_sides`, which are in their pixels."""
    return [int((float(chip.nanmean()) + 1) * 127.5) // 10 - 1 for chip in chips]


def drawn(data: PairLoaders, epochs: int, seed: int = 0) -> list[tuple[int, int]]:
    """Return the numbers of source and target of all training items."""
    torch.manual_seed(seed)
    found = []
    for _ in range(epochs):
        for source, target in data.train:
            found += zip(numbers(source), numbers(target), strict=True)
    return found


def test_batches_are_typed_and_scaled_whatever_the_sides_are(write_sides: WriteChips) -> None:
    data = prepare_data(write_sides(sizes=(32, 48)), batch_size=3)
    source, target = data.one_batch()
    assert isinstance(source, TensorSource)
    assert isinstance(target, TensorTarget)
    assert source.shape == (3, 3, 32, 32)
    assert target.shape == (3, 4, 32, 32)
    for tensor in (source, target):
        assert tensor.dtype == torch.float32
        assert tensor.min() >= -1
        assert tensor.max() <= 1


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("counts", [(5, 8), (8, 5), (6, 6), (2, 9)])
@pytest.mark.parametrize("sides", [("A", "B"), ("trainA", "trainB")])
def test_an_epoch_takes_every_source_and_in_time_every_target(
    write_sides: WriteChips, counts: tuple[int, int], sides: tuple[str, str]
) -> None:
    data = prepare_data(write_sides(sides, counts), batch_size=1)
    train, valid = data.train_ds, data.valid_ds
    assert len(train) == max(len(train.sources), len(train.targets))
    parts = [[{*s.train}, {*s.validation}] for s in data.split]
    once = [source for source, _ in drawn(data, 1)]
    assert set(once) == parts[0][0]
    assert max(map(once.count, once)) - min(map(once.count, once)) <= 1
    seen = drawn(data, 20)
    assert {target for _, target in seen} == parts[1][0]
    # Every source meets several targets, as they are drawn and not paired.
    if len(parts[1][0]) > 1:
        first = next(iter(parts[0][0]))
        assert len({target for source, target in seen if source == first}) > 1
    checked = [(*numbers(s[None]), *numbers(t[None])) for s, t in valid]
    assert [{pair[i] for pair in checked} for i in (0, 1)] == [part[1] for part in parts]


@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 5))
def test_validation_goes_round_both_sides(left: int, right: int, index: int) -> None:
    from geotranslate.data.datasets import UnpairedDataset

    class Known(UnpairedDataset):
        def __init__(self) -> None:
            self.sources, self.targets = range(left), range(right)
            self.card, self.augmentation = Card(), None
            self._memory = self

        def read(self, side: str, number: int, chip: int) -> int:
            assert number == chip
            return number

        def _tensor(self, pixels: int, side: Any, gap: Any) -> Tensor:
            return torch.tensor([float(pixels)])

    class Card:
        source = target = type("Side", (), {"fill": 0})

    dataset = Known()
    assert len(dataset) == max(left, right)
    # Like a list, so that a loop over it ends.
    if index >= len(dataset):
        with pytest.raises(IndexError):
            dataset[index]
        return
    source, target = dataset[index]
    assert (int(source), int(target)) == (index % left, index % right)
    last = dataset[-1]
    assert (int(last[0]), int(last[1])) == ((len(dataset) - 1) % left, (len(dataset) - 1) % right)


@pytest.mark.parametrize("paired", [True, False])
def test_one_seed_draws_the_same_and_another_does_not(
    write_sides: WriteChips, write_chips: WriteChips, paired: bool
) -> None:
    folder = write_chips() if paired else write_sides()

    def batches(seed: int, draws: int) -> list[Tensor]:
        data = prepare_data(folder, paired=False, seed=seed)
        torch.manual_seed(draws)
        return [part for _ in range(2) for batch in data.train for part in batch]

    first, again, other = batches(1, 0), batches(1, 0), batches(1, 1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_folder_of_pairs_keeps_its_split_and_its_validation_pairs(write_chips: WriteChips) -> None:
    folder = write_chips(source=(1, "float32"), target=(1, "float32"))
    pairs, free = (prepare_data(folder, paired=paired) for paired in (None, False))
    assert free.split == pairs.split
    assert free.card.train_pairs == pairs.card.train_pairs
    assert (free.card.source, free.card.target) == (pairs.card.source, pairs.card.target)
    assert len(free.train_ds) == len(pairs.train_ds)
    for one, other in zip(free.valid_ds, pairs.valid_ds, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_targets_of_a_folder_of_pairs_come_from_all_training_pairs(
    write_chips: WriteChips,
) -> None:
    data = prepare_data(write_chips(), paired=False, transforms=False)
    expected = {target.numpy().tobytes() for _, target in prepare_data_still(data)}
    seen = {data.train_ds[0][1].numpy().tobytes() for _ in range(100)}
    assert seen == expected
    kept = {data.train_ds[0][0].numpy().tobytes() for _ in range(10)}
    assert len(kept) == 1


def prepare_data_still(data: PairLoaders) -> list[tuple[Tensor, Tensor]]:
    """Return the training pairs of loaders as pairs."""
    still = prepare_data(data.folder.path, transforms=False)
    assert still.split == data.split
    return list(still.train_ds)


def test_both_chips_are_cropped_flipped_and_turned_apart(write_chips: WriteChips) -> None:
    # The target is twice the source, so equal treatment would show.
    folder = write_chips(count=2, source=(1, "float32"), target=(1, "float32"))
    data = prepare_data(folder, paired=False, chip_size=60)
    apart, seen = 0, ([], [])
    for _ in range(60):
        source, target = data.train_ds[0]
        units = data.card.source.scaling.unscale(source.numpy())
        expected = data.card.target.scaling.unscale(target.numpy())
        apart += not np.allclose(units * 2, expected, atol=1e-3)
        for side, chip in zip(seen, (source, target), strict=True):
            side.append(chip.numpy().tobytes())
    assert apart > 50
    for side in seen:
        assert len(set(side)) > 30


def test_invalid_pixels_of_one_side_do_not_reach_the_other(
    write_sides: WriteChips, write_raster: WriteRaster
) -> None:
    for side, bands, gap in (("A", 2, np.s_[:, :10]), ("B", 1, np.s_[:, :, :5])):
        for number in range(3):
            data = values((bands, 32, 32), "uint8", number).astype("float32") + 1
            data[gap] = 0
            place = NORTH_UP @ Affine.translation(40 * number, 0)
            write_raster(f"s/{side}/{number}.tif", data, nodata=0, transform=place)
    folder = write_raster("s/A/0.tif", data[[0, 0]] + 1, nodata=0).parents[1]
    data = prepare_data(folder, transforms=False)
    scale = data.card.source.scaling.scale
    means = scale(np.array(data.card.source.mean, "float32")[:, None, None])[:, 0, 0]
    for dataset in (data.train_ds, data.valid_ds):
        for i in range(len(dataset)):
            source, target = dataset[i]
            assert not torch.isnan(source).any()
            assert torch.isnan(target[:, :, :5]).all()
            assert not torch.isnan(target[:, :, 5:]).any()
            if (dataset.sources[i].statistics.count / 32**2) < 1:
                assert source[:, :10].amax((1, 2)).numpy() == pytest.approx(means, abs=1e-5)


def test_user_function_gets_source_and_target(write_sides: WriteChips) -> None:
    given = []

    def note(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        given.append((source.shape, target.shape))
        return source, -target

    folder = write_sides(sizes=(32, 48))
    data = prepare_data(folder, transforms=note)
    _, target = data.train_ds[0]
    assert given == [((3, 32, 32), (4, 32, 32))]
    assert numbers(-target[None])[0] in data.split[1].train


def test_jitter_changes_sources_alone(write_sides: WriteChips) -> None:
    data = prepare_data(write_sides(), jitter=0.1, transforms=False)
    # Checkpoints ask for it.
    assert data.train.dataset.augmentation.jitter == 0.1
    still = prepare_data(data.folder.path, transforms=False)
    sources = {float(source.mean()) for source, _ in (data.train_ds[0] for _ in range(20))}
    assert len(sources) > 10
    targets = {float(t.mean()) for _, t in (data.train_ds[0] for _ in range(50))}
    assert targets <= {float(t.mean()) for _, t in (still.train_ds[0] for _ in range(200))}


@pytest.mark.parametrize("memory_mb", [0, 100])
@pytest.mark.parametrize("options", [{}, {"resize_to": 24}, {"resize_to": 24, "chip_size": 16}])
def test_validation_chips_have_one_size_and_never_change(
    write_sides: WriteChips, options: dict[str, Any], memory_mb: int
) -> None:
    folder = write_sides(sizes=(32, 48), counts=(8, 9))
    data = prepare_data(folder, memory_mb=memory_mb, num_workers=0, val_split_pct=0.4, **options)
    side = options.get("resize_to", 32)
    for one, other in zip(data.valid, data.valid, strict=True):
        for a, b in zip(one, other, strict=True):
            assert torch.equal(a, b)
            assert a.shape[-2:] == (side, side)
    assert data.one_batch()[0].shape[-1] == options.get("chip_size", side)


def test_validation_chips_of_one_size_stay_whole(write_sides: WriteChips) -> None:
    data = prepare_data(write_sides(), chip_size=16)
    assert data.train_ds[0][1].shape[-1] == 16
    assert data.valid_ds[0][1].shape[-1] == 32


def test_card_says_where_both_sides_lie(write_sides: WriteChips) -> None:
    folder = write_sides(counts=(4, 4))
    card = prepare_data(folder).card
    assert (card.crs, card.resolution) == ("EPSG:32633", (2, 2))
    assert (card.target_crs, card.target_resolution) == ("EPSG:32618", (2, 2))
    names = [*card.train_pairs, *card.validation_pairs]
    assert sorted(names) == [f"{s}/{n:03d}" for s in ("source", "target") for n in range(4)]
    assert prepare_data(folder, direction="BtoA").card == card.reversed()
    small = prepare_data(folder, resize_to=8).card
    assert small.target_resolution == (8, 8)


def test_card_of_plain_pictures_says_so(write_sides: WriteChips) -> None:
    card = prepare_data(write_sides(crs=("EPSG:32633", None))).card
    assert (card.crs, card.target_crs, card.target_resolution) == ("EPSG:32633", "", None)
    assert card.reversed().crs is None


def test_outliers_of_validation_chips_do_not_reach_the_scaling(
    write_sides: WriteChips, write_raster: WriteRaster
) -> None:
    folder = write_sides()
    data = prepare_data(folder)
    for side, split, bands in zip(("A", "B"), data.split, (3, 4), strict=True):
        (number, *_) = split.validation
        place = NORTH_UP @ Affine.translation(number * 32, 0)
        pixels = np.full((bands, 32, 32), 255, "uint8")
        crs = "EPSG:32633" if side == "A" else "EPSG:32618"
        write_raster(f"sides/{side}/{number:03d}.tif", pixels, crs=crs, transform=place)
    again = prepare_data(folder, source_scaling="minmax", target_scaling="minmax").card
    assert max(again.source.scaling.high + again.target.scaling.high) < 100
    assert again.source.mean == data.card.source.mean
    assert again.target.mean == data.card.target.mean


def test_several_unpaired_folders_are_read_as_one(write_sides: WriteChips) -> None:
    one = write_sides(folder="one", counts=(3, 4))
    two = write_sides(("trainA", "trainB"), folder="two", counts=(2, 2), start=10)
    data = prepare_data([one, two])
    assert (len(data.folder.sources), len(data.folder.targets)) == (5, 6)
    assert isinstance(data.folder, UnpairedSets)
    assert data.folder.layout == "2 folders: A + B, unpaired and trainA + trainB, unpaired"


def test_bands_are_chosen_by_side(write_sides: WriteChips) -> None:
    data = prepare_data(write_sides(), source_bands=[3], target_bands=[4, 1])
    source, target = data.one_batch()
    assert (source.shape[1], target.shape[1]) == (1, 2)
    assert data.card.target.indexes == (4, 1)


def test_class_sides_are_known(write_sides: WriteChips) -> None:
    folder = write_sides(bands=(3, 1), counts=(4, 2))
    with pytest.warns(GeotranslateWarning, match="target's values are taken for 4 classes"):
        data = prepare_data(folder)
    assert data.card.target.classes is not None
    assert prepare_data(folder, target_classes=False).card.target.classes is None
    with pytest.raises(InvalidInputError, match=r"^jitter is 0\.1 but"):
        prepare_data(folder, direction="BtoA", jitter=0.1)


def test_rasters_of_different_places_train_together(write_raster: WriteRaster) -> None:
    source = write_raster("a.tif", values((3, 96, 128), "uint8"))
    place = Affine.translation(9, 50) @ Affine.scale(0.25, -0.25)
    pixels = values((2, 64, 96), "int16", 1)
    target = write_raster("b.tif", pixels, crs="EPSG:4326", transform=place)
    data = prepare_data(source, target, paired=False, chip_size=32)
    assert data.card.target_crs == "EPSG:4326"
    assert data.card.target_resolution == (0.25, 0.25)
    assert (len(data.folder.sources), len(data.folder.targets)) == (12, 6)
    _, batch = data.valid.one_batch()
    window = data.folder.targets[data.split[1].validation[0]].place.window
    at = np.s_[:, window.row_off : window.row_off + 32, window.col_off : window.col_off + 32]
    found = data.card.target.scaling.unscale(batch[0].numpy())
    np.testing.assert_allclose(found, pixels[at], atol=0.1)
    assert f"{source} and {target}" in str(data.summary())
    kinds: dict[str, Any] = {"source_scaling": "minmax", "target_scaling": "minmax"}
    there, back = (
        prepare_data(source, target, paired=False, chip_size=32, direction=d, **kinds)
        for d in ("AtoB", "BtoA")
    )
    assert back.card == there.card.reversed()


def test_pix2pix_asks_for_pairs(write_sides: WriteChips, write_chips: WriteChips) -> None:
    sentence = (
        r"^Pix2Pix learns from pairs, but the data is unpaired \(A \+ B, unpaired\); use CycleGAN, "
    )
    data = prepare_data(write_sides())
    with pytest.raises(InvalidInputError, match=sentence):
        Pix2Pix(data)
    with pytest.raises(InvalidInputError, match=r"but the data is unpaired; use CycleGAN"):
        Pix2Pix(data.card)
    with pytest.raises(InvalidInputError, match=r"unpaired \(images \+ images2\); use CycleGAN"):
        Pix2Pix(prepare_data(write_chips(), paired=False))


def test_worker_processes_draw_as_they_read(write_sides: WriteChips) -> None:
    data = prepare_data(write_sides(counts=(9, 9)), num_workers=2, batch_size=2)
    first, again = drawn(data, 1), drawn(data, 1)
    assert {source for source, _ in first} <= {*data.split[0].train}
    assert {target for _, target in first + again} <= {*data.split[1].train}


def test_real_years_on_other_grids(shared_data: Path) -> None:
    years = sorted((shared_data / "naip").glob("*.tif"))
    with rasterio.open(years[0]) as one, rasterio.open(years[-1]) as other:
        assert one.transform != other.transform
    data = prepare_data(years[0], years[-1], paired=False, chip_size=256)
    for year, chips in ((years[0], data.folder.sources), (years[-1], data.folder.targets)):
        with rasterio.open(year) as opened:
            for chip in chips[:2]:
                window = chip.place.window
                np.testing.assert_array_equal(chip.read()[0], opened.read(window=window))
    assert data.card.reversed().reversed() == data.card
