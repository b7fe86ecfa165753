from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import torch
from affine import Affine
from fastai.data.core import DataLoaders
from numpy.typing import NDArray

from geotranslate import export_chips, prepare_data
from geotranslate.chips.chip import Chip
from geotranslate.data.datasets import PairDataset
from geotranslate.data.loaders import PairLoaders
from geotranslate.data.tensors import TensorSource, TensorTarget
from geotranslate.errors import GeotranslateWarning, InvalidInputError
from geotranslate.raster.grid import Grid
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


def test_outliers_of_validation_pairs_do_not_reach_the_scaling(
    write_chips: WriteChips, write_raster: WriteRaster
) -> None:
    folder = write_chips(source=(1, "float32"), target=(1, "float32"))
    (number,) = prepare_data(folder).card.validation_pairs
    place = NORTH_UP @ Affine.translation(64 * int(number), 0)
    for side in ("images", "images2"):
        data = np.full((1, 64, 64), 1e6, "float32")
        write_raster(f"chips/{side}/{number}.tif", data, transform=place)
    card = prepare_data(folder).card
    assert card.validation_pairs == (number,)
    for side in (card.source, card.target):
        assert max(side.scaling.high) < 1000
        assert max(side.mean) < 1000


def test_scaling_comes_from_the_training_pairs_alone(write_chips: WriteChips) -> None:
    data = prepare_data(
        write_chips(target=(1, "float32")), val_split_pct=0.2, target_scaling="minmax"
    )
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
    # Few of the many places and symmetries come twice.
    assert len(seen) >= 15


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
            data = values((bands, 64, 64), "uint8", number).astype(dtype) + 1
            data[:, gaps[side][0], gaps[side][1]] = 0
            write_raster(f"chips/{side}/{name}.tif", data, nodata=0, transform=place)
    data = prepare_data(folder)
    source, target = data.valid_ds[0]
    for band in range(2):
        mean = np.full((2, 1, 1), data.card.source.mean[band])
        scaled = float(data.card.source.scaling.scale(mean)[band, 0, 0])
        assert source[band, :10].numpy() == pytest.approx(scaled, abs=1e-5)
    nan = torch.isnan(target[0])
    assert nan[:10].all()
    assert nan[:, :5].all()
    assert not nan[10:, 5:].any()


def learned(data: PairLoaders) -> dict[str, NDArray[np.bool_]]:
    """Return the target pixels of training pairs that are not NaN, by the pairs' names."""
    pairs = data.train_ds.pairs
    plain = PairDataset(pairs, data.card, None)
    return {pair.name: ~torch.isnan(plain[i][1][0]).numpy() for i, pair in enumerate(pairs)}


@pytest.mark.parametrize("memory_mb", [2048, 0])
def test_validation_ground_is_hidden_in_overlapping_training_targets(
    write_chips: WriteChips, memory_mb: int
) -> None:
    data = prepare_data(write_chips(count=10, step=0.5), memory_mb=memory_mb, num_workers=0)
    (validation,) = (int(name) for name in data.card.validation_pairs)
    assert len(data.card.train_pairs) == 9
    for name, shown in learned(data).items():
        expected = np.ones((64, 64), bool)
        if int(name) - validation == 1:
            expected[:, :32] = False
        elif validation - int(name) == 1:
            expected[:, 32:] = False
        np.testing.assert_array_equal(shown, expected)
    for _ in range(2):
        # Augmented or not, kept in memory or not: what is hidden turns with the target.
        counts = sorted(int((~torch.isnan(item[1])).sum()) for item in data.train_ds)
        assert counts == sorted(int(shown.sum()) for shown in learned(data).values())
        assert not any(torch.isnan(item[0]).any() for item in data.train_ds)


@pytest.mark.parametrize("options", [{}, {"resize_to": 64}, {"resize_to": 48, "chip_size": 16}])
def test_crops_are_taken_where_there_is_something_to_learn(
    write_chips: WriteChips, options: dict[str, int]
) -> None:
    options = {"chip_size": 24, **options}
    data = prepare_data(write_chips(count=10, step=0.5), seed=3, **options)
    torch.manual_seed(0)
    shares = [
        float((~torch.isnan(target)).float().mean())
        for _ in range(30)
        for _, target in data.train_ds
    ]
    assert min(shares) >= 0.05
    assert min(shares) < 1
    torch.manual_seed(0)
    again = [float((~torch.isnan(target)).float().mean()) for _, target in data.train_ds]
    assert again == shares[: len(again)]


def test_workers_hide_validation_ground_too(write_chips: WriteChips) -> None:
    folder = write_chips(count=10, step=0.5)
    shown = []
    for workers in (0, 1):
        data = prepare_data(
            folder, batch_size=9, num_workers=workers, memory_mb=0, transforms=False
        )
        _, target = data.one_batch()
        shown.append(int((~torch.isnan(target)).sum()))
    assert shown[0] == shown[1] < 9 * 64 * 64


def test_windows_of_rasters_hide_validation_ground(write_raster: WriteRaster) -> None:
    rasters = [write_raster(f"{n}.tif", values((1, 96, 96), "uint8", n)) for n in (1, 2)]
    data = prepare_data(*rasters, chip_size=32, stride=16)
    windows = {pair.name: pair.target.place.window for pair in data.folder.pairs}
    held = np.zeros((96, 96), bool)
    for name in data.card.validation_pairs:
        held[windows[name].toslices()] = True
    seen = np.zeros((96, 96), bool)
    for name, shown in learned(data).items():
        np.testing.assert_array_equal(shown, ~held[windows[name].toslices()])
        seen[windows[name].toslices()] |= shown
    assert (seen | held).all()


def test_target_scaling_comes_from_what_training_shows(
    write_chips: WriteChips, write_raster: WriteRaster
) -> None:
    folder = write_chips(count=10, step=0.5, target=(1, "float32"))
    (name,) = prepare_data(folder).card.validation_pairs
    # What the pairs beside it share with it is by far the highest.
    for number in range(10):
        data = np.zeros((1, 64, 64), "float32")
        data[..., 1:] = 1 + np.arange(63) / 64
        if abs(number - int(name)) < 2:
            left = max(0, (int(name) - number) * 32)
            data[:, :, left : 64 + (int(name) - number) * 32] += 1e6
        write_raster(
            f"chips/images2/{number:03d}.tif",
            data,
            transform=NORTH_UP @ Affine.translation(number * 32, 0),
        )
    data = prepare_data(folder, target_scaling="minmax")
    assert data.card.validation_pairs == (name,)
    assert max(data.card.target.scaling.high) < 3
    assert max(data.card.target.mean) < 3


def test_summary_gives_shares_of_ground(write_chips: WriteChips) -> None:
    data = prepare_data(write_chips(count=10, step=0.5))
    text = str(data.summary()).splitlines()
    beside = len(data.split.masks)
    assert f"pairs   9 training ({beside} of them in part), 1 validation" in text
    assert "ground  81.8% training, 18.2% validation, 0.0% neither" in text
    title = data.plot_split().get_title()
    assert title == "ground: 81.8% training, 18.2% validation, 0.0% neither"


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
        (
            {"val_split_pct": -0.1},
            "val_split_pct is -0.1; give a number of at least 0 and of at mos",
        ),
        ({"batch_size": 0}, "batch_size is 0; give a whole number"),
        ({"stride": 32}, "stride is 32, but a chip folder's chips are cut already; leave it out"),
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


def test_two_rasters_are_read_without_chips_on_disk(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    source = write_raster("source.tif", values((3, 200, 200), "uint8"))
    target = write_raster("target.tif", values((1, 200, 200), "int16"))
    before = sorted(tmp_path.iterdir())
    data = prepare_data(source, target, chip_size=64)
    chips = export_chips(source, target, tmp_path / "chips", tile_size=64, progress=False)
    again = prepare_data(chips)
    assert data.card.source == again.card.source
    assert data.card.target == again.card.target
    for one, other in zip(data.valid_ds, again.valid_ds, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
    assert set(before) < set(tmp_path.iterdir())


def test_direction_swaps_the_sides(write_chips: WriteChips) -> None:
    folder = write_chips(source=(3, "uint8"), target=(1, "int16"))
    # By default a source and a target are scaled in another way.
    kinds: dict[str, Any] = {"source_scaling": "minmax", "target_scaling": "minmax"}
    there, back = (prepare_data(folder, direction=d, **kinds) for d in ("AtoB", "BtoA"))
    assert there.card.source == back.card.target
    assert there.card.target == back.card.source
    for one, other in zip(there.valid_ds, back.valid_ds, strict=True):
        np.testing.assert_array_equal(one[0].numpy(), other[1].numpy())


def test_bands_are_chosen_by_number_or_name(
    write_chips: WriteChips, write_raster: WriteRaster
) -> None:
    folder = write_chips(source=(4, "uint16"))
    for path in (folder / "images").iterdir():
        with rasterio.open(path, "r+") as chip:
            chip.descriptions = ("blue", "green", "red", "nir")
    every = prepare_data(folder)
    by_number = prepare_data(folder, source_bands=[4, 1])
    by_name = prepare_data(folder, source_bands=["nir", "blue"])
    assert by_number.card == by_name.card
    assert by_name.card.source.band_names == ("nir", "blue")
    assert by_name.card.source.indexes == (4, 1)
    whole, chosen = every.valid_ds[0][0], by_name.valid_ds[0][0]
    assert torch.equal(chosen, whole[[3, 0]])
    with pytest.raises(
        InvalidInputError, match=r"has no band 'swir'; it has 1 \(blue\), 2 \(green"
    ):
        prepare_data(folder, source_bands=["swir"])


CHOICES = [range(2, 4), np.array([2, 3]), (np.int64(2), 3), ["b2", np.str_("b3")], iter([2, 3])]


@pytest.mark.parametrize("bands", CHOICES, ids=lambda bands: type(bands).__name__)
def test_bands_may_be_any_series(write_raster: WriteRaster, bands: Any) -> None:
    chips = write_raster("c/images/0.tif", values((3, 8, 8), "uint8"), names=("b1", "b2", "b3"))
    for number in range(3):
        for side in ("images", "images2"):
            data = values((3, 8, 8), "uint8", number)
            write_raster(
                f"c/{side}/{number}.tif",
                data,
                names=("b1", "b2", "b3"),
                transform=NORTH_UP @ Affine.translation(9 * number, 0),
            )
    assert prepare_data(chips.parents[1], source_bands=bands).card.source.indexes == (2, 3)


@pytest.mark.parametrize("bands", [{1, 2}, {1: 2}, 5.0, "red", [1.0], [True], [None], b"ab"])
@pytest.mark.parametrize("rasters", [False, True])
def test_bands_that_are_no_series_are_said(
    write_chips: WriteChips, write_raster: WriteRaster, bands: Any, rasters: bool
) -> None:
    if rasters:
        given = [write_raster(f"{n}.tif", values((1, 64, 64), "uint8")) for n in (1, 2)]
    else:
        given = [write_chips(count=2)]
    sentence = r"^The bands to use are .*; give a list of numbers from 1 or of names\.$"
    with pytest.raises(InvalidInputError, match=sentence):
        prepare_data(*given, target_bands=bands)


def test_open_target_is_said(write_raster: WriteRaster) -> None:
    raster = write_raster("a.tif", values((1, 64, 64), "uint8"))
    with (
        rasterio.open(raster) as opened,
        pytest.raises(InvalidInputError, match="target is DatasetReader; give the path of a rast"),
    ):
        prepare_data(raster, opened)


def test_chips_are_resampled_and_then_cropped(write_chips: WriteChips) -> None:
    data = prepare_data(write_chips(size=80), resize_to=48, chip_size=32)
    source, target = data.one_batch()
    assert source.shape[-2:] == target.shape[-2:] == (32, 32)
    assert data.card.resolution == pytest.approx((2 * 80 / 48, 2 * 80 / 48))


def test_transforms_have_names(write_chips: WriteChips) -> None:
    folder = write_chips(count=3)
    still = prepare_data(folder, transforms=False).train_ds[0][0]
    usual, named = (prepare_data(folder, **made) for made in ({}, {"transforms": "dihedral"}))
    assert usual.train_ds.augmentation == named.train_ds.augmentation
    mirrored = prepare_data(folder, transforms="mirror")
    found = [mirrored.train_ds[0] for _ in range(20)]
    for source, target in found:
        flipped = not torch.equal(source, still)
        assert torch.equal(source.flip(-1) if flipped else source, still)
        plain = prepare_data(folder, transforms=False).train_ds[0][1] if flipped else target
        assert torch.equal(target, plain.flip(-1) if flipped else plain)
    assert 0 < sum(torch.equal(source, still) for source, _ in found) < 20


def test_transforms_can_be_replaced(write_chips: WriteChips) -> None:
    def negate(source: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return -source, -target

    folder = write_chips()
    still = prepare_data(folder, transforms=False)
    assert torch.equal(still.train_ds[0][0], still.train_ds[0][0])
    own = prepare_data(folder, transforms=negate)
    expected = -still.train_ds[0][1].mean().item()
    assert own.train_ds[0][1].mean().item() == pytest.approx(expected, abs=1e-5)


def test_facts_of_chips_are_remembered_until_their_files_change(
    write_chips: WriteChips, write_raster: WriteRaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_chips()
    first = prepare_data(folder).card
    looked = []
    original = Chip.of
    monkeypatch.setattr(Chip, "of", lambda *a: looked.append(a) or original(*a))
    assert prepare_data(folder).card == first
    assert not looked
    write_raster(
        "chips/images/003.tif",
        values((3, 64, 64), "uint8"),
        transform=NORTH_UP @ Affine.translation(3 * 64, 0),
    )
    prepare_data(folder)
    assert len(looked) == 1
    (folder / ".geotranslate-chips.sqlite").write_text("{}")
    prepare_data(folder)
    assert len(looked) == 1 + 16


@pytest.mark.parametrize("split", ["random", "block"])
def test_split_of_chips_with_a_transform_but_no_crs_does_not_leak(
    write_raster: WriteRaster, tmp_path: Path, split: str
) -> None:
    rasters = [write_raster(f"{n}.tif", values((1, 96, 96), "uint8", n), crs=None) for n in (1, 2)]
    export_chips(*rasters, tmp_path / "c", tile_size=32, stride=16, progress=False)
    data = prepare_data(tmp_path / "c", split=split)
    assert_apart(data, {pair.name: pair.source.grid for pair in data.folder.pairs})


def test_footprints_can_carry_the_split(write_raster: WriteRaster, tmp_path: Path) -> None:
    rasters = [write_raster(f"{n}.tif", values((1, 128, 128), "uint8", n)) for n in (1, 2)]
    export_chips(*rasters, tmp_path / "c", tile_size=32, progress=False)
    frame = gpd.read_file(tmp_path / "c" / "chips.gpkg")
    frame["split"] = ["val"] * 5 + ["train"] * 11
    frame.to_file(tmp_path / "c" / "chips.gpkg")
    card = prepare_data(tmp_path / "c", split="folder").card
    assert card.validation_pairs == tuple(f"{n:09d}" for n in range(5))


def test_some_chips_without_crs_are_refused(
    write_chips: WriteChips, write_raster: WriteRaster
) -> None:
    folder = write_chips()
    for side, bands in (("images", 3), ("images2", 1)):
        write_raster(f"chips/{side}/002.tif", values((bands, 64, 64), "uint8"), crs=None)
    with pytest.raises(InvalidInputError, match="1 of 8 pairs have no CRS, for example 002"):
        prepare_data(folder)


def test_class_targets_and_clipping_scalings_are_said(
    write_chips: WriteChips, write_raster: WriteRaster
) -> None:
    folder = write_chips(target=(1, "float32"))
    with pytest.warns(GeotranslateWarning, match="target_scaling='none' maps some training values"):
        prepare_data(folder, target_scaling="none")
    for path in sorted((folder / "images2").iterdir()):
        with rasterio.open(path) as chip:
            place, number = chip.transform, int(path.stem)
        write_raster(
            f"chips/images2/{path.name}",
            values((1, 64, 64), "uint8", number) % 3,
            transform=place,
            colormap={0: (0, 0, 0, 255), 1: (9, 9, 9, 255), 2: (99, 9, 9, 255)},
        )
    with pytest.warns(
        GeotranslateWarning, match="The target's values are taken for 3 classes, which a"
    ):
        prepare_data(folder)


def test_summary_says_what_was_found_and_left_out(write_chips: WriteChips) -> None:
    folder = write_chips(target=(2, "float32"))
    (folder / "images" / "005.tif").unlink()
    with pytest.warns(GeotranslateWarning):
        summary = prepare_data(folder).summary()
    text = str(summary)
    for part in (
        "6 training, 1 validation",
        "64 x 64 px",
        "EPSG:32633",
        "2 x 2 metre",
        "3 bands of uint8, 0.0% nodata",
        "2 bands of float32",
        "images2/005.tif",
    ):
        assert part in text
    assert summary._repr_html_().startswith("<table>")
    assert "6 training, 1 validation" in summary._repr_html_()


def test_split_is_drawn(write_chips: WriteChips) -> None:
    axes = prepare_data(write_chips()).plot_split()
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"train", "val"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"direction": "BA"}, "direction is 'BA'; give one of AtoB, BtoA"),
        ({"jitter": 2}, "jitter is 2; give a number of at least 0 and of at most 1"),
        ({"source_scaling": "log"}, "log"),
        ({"target_scaling": "db"}, "db"),
        ({"split": "blocks"}, "split is 'blocks'"),
        ({"split": "folder"}, "The split labels no pair 'train'"),
        (
            {"transforms": True},
            "transforms is True; give 'dihedral' .or None. for flips and",
        ),
        ({"source_bands": []}, "The bands to use are"),
        ({"source_bands": 1}, "The bands to use are 1; give a list"),
        ({"seed": None}, "seed is None; give a whole number"),
        ({"buffer": float("nan")}, "buffer is nan; give a number of at least 0"),
        ({"resize_to": 0}, "resize_to is 0; give a whole number of at least 1"),
        ({"buffer": 1e6, "split": "block"}, "none is left to train on"),
    ],
)
def test_impossible_choices_are_said(
    write_chips: WriteChips, options: dict[str, object], sentence: str
) -> None:
    folder = write_chips()
    if options.get("target_scaling") == "db":
        for path in (folder / "images2").iterdir():
            with rasterio.open(path, "r+") as chip:
                chip.write(np.zeros((1, 64, 64), "uint8"))
    with pytest.raises(InvalidInputError, match=sentence):
        prepare_data(folder, **options)


@pytest.mark.parametrize("side", ["images", "images2"])
def test_one_georeferenced_side_is_enough_to_keep_chips_apart(
    write_raster: WriteRaster, tmp_path: Path, side: str
) -> None:
    rasters = [write_raster(f"{n}.tif", values((1, 96, 96), "uint8", n)) for n in (1, 2)]
    export_chips(*rasters, tmp_path / "c", tile_size=32, stride=16, progress=False)
    grids = {}
    for path in (tmp_path / "c" / side).iterdir():
        with rasterio.open(path) as chip:
            data, grids[path.stem] = chip.read(), Grid.of(chip)
        path.unlink()
        with rasterio.open(
            path.with_suffix(".png"), "w", driver="PNG", count=1, width=32, height=32, dtype="uint8"
        ) as plain:
            plain.write(data)
    (tmp_path / "c" / "map.txt").unlink()
    data = prepare_data(tmp_path / "c")
    assert data.card.crs == "EPSG:32633"
    assert_apart(data, grids)


def assert_apart(data: PairLoaders, grids: dict[str, Grid]) -> None:
    """Check that no learned pixel lies on validation ground, and that all others are learned."""
    columns, rows = (np.arange(32) + 0.5 for _ in range(2))
    held = shapely.union_all([grids[name].footprint for name in data.card.validation_pairs])
    assert data.split.masks
    for name, shown in learned(data).items():
        xs, ys = grids[name].transform @ np.meshgrid(columns, rows)
        np.testing.assert_array_equal(shown, ~shapely.contains_xy(held, xs, ys))


def test_facts_are_looked_up_anew_when_a_world_file_changes(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    for side in ("images", "images2"):
        (tmp_path / side).mkdir()
        for number in range(9):
            path = tmp_path / side / f"{number}.png"
            with rasterio.open(
                path, "w", driver="PNG", count=1, width=64, height=64, dtype="uint8"
            ) as chip:
                chip.write(values((1, 64, 64), "uint8", number))
            path.with_suffix(".pgw").write_text(f"1\n0\n0\n-1\n{number * 64}\n0\n")
    assert not prepare_data(tmp_path).split.masks
    for path in tmp_path.glob("*/*.pgw"):
        path.write_text(f"1\n0\n0\n-1\n{int(path.stem) * 32}\n0\n")
    assert prepare_data(tmp_path).split.masks


def test_labels_of_several_folders_are_read(write_raster: WriteRaster, tmp_path: Path) -> None:
    folders = []
    for name in ("west", "east"):
        rasters = [
            write_raster(
                f"{name}{n}.tif",
                values((1, 64, 64), "uint8", len(folders) * 2 + n),
                transform=NORTH_UP @ Affine.translation(999 * len(folders), 0),
            )
            for n in (1, 2)
        ]
        folders.append(tmp_path / name)
        export_chips(*rasters, folders[-1], tile_size=32, progress=False)
    card = prepare_data(folders, split="folder").card
    assert len(card.validation_pairs) == 2
    assert {name.split("/")[0] for name in card.validation_pairs} == {"west", "east"}


def test_equal_pixels_on_other_ground_are_another_pair(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    water = [write_raster(f"{n}.tif", np.full((1, 64, 64), 9, "uint8")) for n in (1, 2)]
    export_chips(*water, tmp_path / "c", tile_size=32, progress=False)
    assert len(prepare_data(tmp_path / "c").folder.pairs) == 4


def test_validation_chips_stay_whole(write_chips: WriteChips) -> None:
    data = prepare_data(write_chips(size=80), chip_size=64)
    assert data.train_ds[0][0].shape[-2:] == (64, 64)
    assert data.valid_ds[0][0].shape[-2:] == (80, 80)


def test_large_numbers_keep_their_differences(
    write_chips: WriteChips, write_raster: WriteRaster
) -> None:
    folder = write_chips(count=2, target=(1, "float64"))
    for number in range(2):
        fine = 1e8 + 0.01 * np.arange(64 * 64).reshape(1, 64, 64) + number
        place = NORTH_UP @ Affine.translation(64 * number, 0)
        write_raster(f"chips/images2/{number:03d}.tif", fine, transform=place)
    target = prepare_data(folder).train_ds[0][1]
    assert len(np.unique(target.numpy())) > 4000


def test_chips_whose_bands_have_other_names_are_refused(write_chips: WriteChips) -> None:
    folder = write_chips()
    for number, path in enumerate(sorted((folder / "images").iterdir())):
        with rasterio.open(path, "r+") as chip:
            chip.descriptions = ("nir", "red", "green") if number == 5 else ("red", "green", "nir")
    with pytest.raises(InvalidInputError, match=r"005\.tif has band names .*'nir', 'red', 'green'"):
        prepare_data(folder)


NUMBERS = ("val_split_pct", "buffer", "jitter", "memory_mb", "batch_size", "seed")


@pytest.mark.parametrize("value", ["0.1", None, [1], float("nan"), -1])
@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_number_is_said(write_chips: WriteChips, name: str, value: object) -> None:
    with pytest.raises(InvalidInputError, match=rf"^{name} is .*; give a (whole )?number .*\.$"):
        prepare_data(write_chips(count=2), **{name: value})


@pytest.mark.parametrize("name", ["num_workers", "chip_size", "resize_to", "stride"])
def test_text_for_a_whole_number_is_said(write_raster: WriteRaster, name: str) -> None:
    rasters = [write_raster(f"{n}.tif", values((1, 128, 128), "uint8", n)) for n in (1, 2)]
    with pytest.raises(InvalidInputError, match=rf"^{name} is 'x'; give a whole number of at leas"):
        prepare_data(*rasters, **{"chip_size": 64, name: "x"})


@pytest.mark.parametrize("path", [None, 3, [None]])
def test_what_is_no_folder_is_said(path: object) -> None:
    with pytest.raises(InvalidInputError, match=r"^path .*; give (a folder|the path of a folder)"):
        prepare_data(path)
