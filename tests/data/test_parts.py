"""Parts of the data: training, validation, tests and all, and folders for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine

from geotranslate import CycleGAN, Pix2Pix, prepare_data
from geotranslate.errors import GeotranslateWarning, InvalidInputError
from tests.conftest import NORTH_UP, WriteRaster, values

WriteFolder = Callable[..., Path]


@pytest.fixture
def write_folder(write_raster: WriteRaster, tmp_path: Path) -> WriteFolder:
    """Return a function that writes chips without a CRS; no two are alike."""
    written = 0

    def write(name: str, count: int, sides: tuple[str, str] = ("images", "images2")) -> Path:
        nonlocal written
        for number in range(count):
            for side in sides:
                written += 1
                data = values((1, 64, 64), "uint8", seed=written)
                write_raster(f"{name}/{side}/{number}.tif", data, crs=None, transform=None)
        return tmp_path / name

    return write


def counts(data: Any) -> list[int]:
    """Return the numbers of chips for training, validation and tests, and of all."""
    test = 0 if data.test is None else len(data.test.dataset)
    return [len(data.train_ds), len(data.valid_ds), test, len(data.part("all").dataset)]


def test_folders_for_validation_and_tests_are_used_for_nothing_else(
    write_folder: WriteFolder,
) -> None:
    train, valid, test = (write_folder(n, c) for n, c in (("a", 6), ("b", 3), ("c", 2)))
    data = prepare_data(train, valid_path=valid, test_path=[test], num_workers=0)
    assert counts(data) == [6, 3, 2, 11]
    assert data.card.validation_pairs == ("val/0", "val/1", "val/2")
    assert "2 for tests" in str(data.summary())
    assert counts(prepare_data(train, test_path=test, num_workers=0)) == [5, 1, 2, 8]
    with pytest.raises(InvalidInputError, match="valid_path names the pairs for validation, but"):
        prepare_data(train, valid_path=valid, split="random")
    with pytest.raises(InvalidInputError, match=r"valid_path is 5; give "):
        prepare_data(train, valid_path=5)  # type: ignore[arg-type]
    rasters = (train / "images/0.tif", train / "images2/0.tif")
    with pytest.raises(InvalidInputError, match=r"test_path is .* but two rasters are divided by"):
        prepare_data(*rasters, test_path=test)
    unpaired = write_folder("u", 2, ("A", "B"))
    with pytest.raises(InvalidInputError, match="one holds pairs and the other unpaired chips"):
        prepare_data(train, test_path=unpaired)


@pytest.fixture
def write_cyclegan_folder(write_raster: WriteRaster, tmp_path: Path) -> WriteFolder:
    """Return a function that writes the layout of CycleGAN, with names that say the side."""

    def write(**counts: int) -> Path:
        for number, (part, count) in enumerate(counts.items()):
            for chip in range(count):
                data = values((1, 64, 64), "uint8", seed=100 * number + chip)
                name = f"{part}/{chip}_{part[-1]}.tif"
                write_raster(f"g/{name}", data, crs=None, transform=None)
        return tmp_path / "g"

    return write


@pytest.mark.parametrize("validation", [{}, {"valA": 1, "valB": 1}])
def test_folders_of_cyclegan_for_tests_are_used_for_nothing_else(
    write_cyclegan_folder: WriteFolder, validation: dict[str, int]
) -> None:
    folder = write_cyclegan_folder(trainA=4, trainB=5, testA=2, testB=3, **validation)
    data = prepare_data(folder, num_workers=0)
    assert counts(data) == [5 if validation else 4, 1, 3, 9 if validation else 8]
    assert "3 for tests" in str(data.summary())
    assert not any("test" in name for name in data.card.train_pairs + data.card.validation_pairs)
    model = CycleGAN(data, ngf=4, ndf=4, gen_blocks=1)
    assert model.compute_metrics(["mae"], which="test")["count"] == 3 * 64**2
    with pytest.warns(
        GeotranslateWarning, match=r"trainB/4_B.tif: no partner; testB/2_B.tif: no p"
    ):
        paired = prepare_data(folder, paired=True, num_workers=0)
    assert counts(paired) == [4 if validation else 3, 1, 2, 7 if validation else 6]
    both = Pix2Pix(paired, ngf=4, ndf=4, depth=3)
    assert both.compute_metrics(["mae"], which="test")["count"] == 2 * 64**2


def test_tests_of_one_side_alone_are_no_part(write_cyclegan_folder: WriteFolder) -> None:
    data = prepare_data(write_cyclegan_folder(trainA=3, trainB=3, testA=2), num_workers=0)
    assert data.test is None
    assert [len(split.train) for split in data.split] == [2, 2]  # type: ignore[union-attr]
    with pytest.raises(InvalidInputError, match="which is 'test', but the data has no such chips"):
        data.part("test")


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("split", ["auto", "random", "block"])
@pytest.mark.parametrize("share", [0, 0.1])
def test_no_target_pixel_of_test_ground_is_learned_from(
    write_raster: WriteRaster, tmp_path: Path, split: Any, share: float
) -> None:
    # Each pixel of the ground has a value of its own.
    whole = np.linspace(0, 1, 64 * 320, dtype="float32").reshape(1, 64, 320)
    for part, starts in (("train", (0, 32, 64, 128, 192, 256)), ("test", (96, 208))):
        for start in starts:
            place = NORTH_UP @ Affine.translation(start, 0)
            for side in ("images", "images2"):
                chip = whole[..., start : start + 64]
                write_raster(f"{part}/{side}/{start}.tif", chip, transform=place)
    with pytest.warns(GeotranslateWarning, match="% of the ground of the pairs for training is gr"):
        data = prepare_data(
            tmp_path / "train",
            test_path=tmp_path / "test",
            split=split,
            val_split_pct=share,
            transforms=False,
            target_scaling="none",
            num_workers=0,
        )
    learned, tested = (
        {
            float(value)
            for _, target in items
            for value in target.ravel()
            if not target.isnan().all()
        }
        for items in (data.train_ds, data.test.dataset)  # type: ignore[union-attr]
    )
    assert learned
    assert len(tested) == 2 * 64**2
    assert not learned & tested


def test_sides_without_pairs_have_parts_too(write_folder: WriteFolder) -> None:
    train, valid, test = (write_folder(n, c, ("A", "B")) for n, c in (("a", 4), ("b", 2), ("c", 3)))
    data = prepare_data(train, valid_path=valid, test_path=test, num_workers=0)
    assert counts(data) == [4, 2, 3, 9]


@pytest.mark.parametrize(("share", "expected"), [(0, [5, 0, 0, 5]), (1, [0, 5, 0, 5])])
def test_all_pairs_may_be_for_training_or_for_measuring(
    write_chips: Callable[..., Path], share: float, expected: list[int]
) -> None:
    data = prepare_data(write_chips(5), val_split_pct=share, num_workers=0)
    assert counts(data) == expected
    assert data.card.source.extent is not None
    assert data.summary()
    with pytest.raises(InvalidInputError, match="which is 'test', but the data has no such chips"):
        data.part("test")


def test_one_pair_is_enough_to_measure(write_folder: WriteFolder) -> None:
    data = prepare_data(write_folder("a", 1), val_split_pct=1, num_workers=0)
    assert counts(data) == [0, 1, 0, 1]


def test_all_pairs_show_the_pixels_that_are_hidden_in_training(
    write_chips: Callable[..., Path],
) -> None:
    data = prepare_data(write_chips(6, step=0.5), num_workers=0)
    assert data.split.masks  # type: ignore[union-attr]
    holes = [np.isnan(target).any() for _, target in data.part("train").dataset]
    assert any(holes)
    assert not any(np.isnan(target).any() for _, target in data.part("all").dataset)


def test_models_are_measured_on_the_part_that_is_asked_for(
    write_folder: WriteFolder, tmp_path: Path
) -> None:
    train, test = write_folder("a", 6), write_folder("c", 3)
    data = prepare_data(train, test_path=test, num_workers=0)
    model = Pix2Pix(data, ngf=4, ndf=4, depth=3)

    def pairs(**options: Any) -> float:
        return model.compute_metrics(["mae"], **options)["count"] / 64**2

    found = {which: pairs(which=which) for which in (None, "train", "val", "test", "all")}
    assert found == {None: 1, "train": 5, "val": 1, "test": 3, "all": 9}
    # All of other data, and what a model was trained on only as far as it validates.
    assert pairs(data=prepare_data(test, num_workers=0)) == 3
    assert pairs(data=prepare_data(test, num_workers=0), which="train") == 2
    assert pairs(data=prepare_data(train, test_path=test, num_workers=0)) == 1
    with pytest.raises(InvalidInputError, match=r"which is 'tests'; give one of train, val, test"):
        pairs(which="tests")
    assert len(model.show_results(which="test").axes) == 2 * 3
    assert len(model.show_results(3, data=prepare_data(test, num_workers=0)).axes) == 3 * 3
    with pytest.warns(GeotranslateWarning, match="rows is 4, but this part of the data has 1; all"):
        model.show_results(4)


def test_unpaired_chips_are_measured_by_parts(write_folder: WriteFolder) -> None:
    data = prepare_data(write_folder("a", 4, ("A", "B")), num_workers=0)
    model = CycleGAN(data, ngf=4, ndf=4, gen_blocks=1)
    assert model.compute_metrics(["mae"], which="all")["count"] == 4 * 64**2
    assert model.compute_metrics(["mae"])["count"] == 64**2
    assert model.show_results(which="train")


@pytest.mark.slow
def test_training_without_validation_keeps_its_last_model(
    write_folder: WriteFolder, tmp_path: Path
) -> None:
    folder = write_folder("a", 4)
    model = Pix2Pix(prepare_data(folder, val_split_pct=0), ngf=4, ndf=4, depth=3)
    with pytest.raises(InvalidInputError, match="early_stopping needs pairs for validation, and"):
        model.fit(1, early_stopping=True, folder=tmp_path / "run", progress=False)
    model.fit(2, folder=tmp_path / "run", progress=False)
    assert all(np.isnan(row["mae"]) and np.isfinite(row["train_loss"]) for row in model.history)
    best = Pix2Pix.from_model(tmp_path / "run/best")
    assert best.digest() == model.digest()
    assert model.show_results(1)
    with pytest.raises(InvalidInputError, match="which is 'val', but the data has no such chips"):
        model.compute_metrics()
    measured = Pix2Pix(prepare_data(folder, val_split_pct=1), ngf=4, ndf=4, depth=3)
    with pytest.raises(InvalidInputError, match="The data has no pairs for training, as val_split"):
        measured.fit(1, folder=tmp_path / "other", progress=False)
