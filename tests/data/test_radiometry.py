"""Sources are recolored in training, their targets never."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from geotranslate import export_chips, prepare_data
from geotranslate.chips.bands import Scaling, Side
from geotranslate.data.loaders import PairLoaders
from geotranslate.data.radiometry import Radiometry, strength_for
from geotranslate.errors import InvalidInputError, RasterFileError
from geotranslate.raster.bandfacts import BandFacts
from tests.conftest import WriteRaster

WriteChips = Callable[..., Path]


def items(data: PairLoaders, times: int = 3) -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    dataset = data.train_ds
    return [dataset[i] for _ in range(times) for i in range(len(dataset))]


@pytest.mark.parametrize("options", [{}, {"augment": "none"}, {"look_like": None}])
def test_nothing_is_recolored_by_default(write_chips: WriteChips, options: Any) -> None:
    data = prepare_data(write_chips(), transforms=False, **options)
    assert not data.train_ds.augmentation.recolors
    for (one, _), (other, _) in zip(items(data), items(data), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("options", [{"augment": "light"}, {"augment": "strong"}])
def test_sources_alone_are_recolored_and_the_seed_decides(
    write_chips: WriteChips, options: Any
) -> None:
    folder = write_chips()
    plain = items(prepare_data(folder, transforms=False))
    found = items(prepare_data(folder, transforms=False, **options))
    again = items(prepare_data(folder, transforms=False, **options))
    changed = 0
    for (source, target), (other, same), (third, _) in zip(plain, found, again, strict=True):
        assert torch.equal(target, same)
        assert torch.equal(other, third)
        assert torch.isfinite(other).all()
        # Recoloring keeps the order of the values of a band.
        for one, two in zip(source, other, strict=True):
            order = one.flatten().argsort()
            assert (two.flatten()[order].diff() >= -1e-5).all()
        changed += not torch.equal(source, other)
    assert 0.5 < changed / len(plain) < 1
    validation = prepare_data(folder, **options).valid_ds
    assert torch.equal(validation[0][0], prepare_data(folder).valid_ds[0][0])


def test_strong_changes_more_than_light_and_bands_change_alike(write_chips: WriteChips) -> None:
    side = prepare_data(write_chips()).card.source
    sizes = []
    for augment in ("light", "strong"):
        change = Radiometry.of(augment, side)  # type: ignore[arg-type]
        assert change is not None
        torch.manual_seed(1)
        gray = torch.zeros(3, 1, 1)
        means = torch.stack([change(gray).flatten() for _ in range(500)])
        sizes.append(means.std())
        assert 0.5 < np.corrcoef(means.T.numpy())[0, 1] < 0.9
    assert 1.7 < sizes[1] / sizes[0] < 2.3


def decibel_side(side: Side, *, by_unit: bool) -> Side:
    if by_unit:
        scaling = Scaling.linear((-30.0,) * 3, (10.0,) * 3)
        return replace(side, scaling=scaling, band_facts=BandFacts(units=("dB",) * 3))
    scaling = replace(Scaling.linear((-30.0,) * 3, (10.0,) * 3), floor=(1e-3,) * 3)
    return replace(side, scaling=scaling)


@pytest.mark.parametrize("by_unit", [True, False])
def test_decibels_are_shifted_alone(write_chips: WriteChips, by_unit: bool) -> None:
    side = decibel_side(prepare_data(write_chips()).card.source, by_unit=by_unit)
    change = Radiometry.of("strong", side)
    assert change is not None
    source = torch.linspace(-1, 1, 50).expand(3, 1, 50)
    shifts = []
    torch.manual_seed(0)
    for _ in range(400):
        apart = change(source) - source
        assert (apart.amax(2) - apart.amin(2)).max() < 1e-5
        shifts.append(apart[:, 0, 0])
    # 40 dB are the two units of the scale, and a fifth of the chips is not changed.
    decibels = torch.stack(shifts) * 20
    assert decibels.std() == pytest.approx(1.5 * 0.8**0.5, rel=0.1)


@pytest.fixture
def two_dates(write_raster: WriteRaster, tmp_path: Path) -> Path:
    """Return chips of two scenes of one pattern, the second one brighter."""
    pattern = np.random.default_rng(0).uniform(40, 90, (3, 128, 256))
    dark = write_raster("dark.tif", pattern.astype("uint8"))
    bright = write_raster("bright.tif", (pattern * 2 + 20).astype("uint8"))
    export_chips([dark, bright], [bright, dark], tmp_path / "out", tile_size=64)
    return tmp_path / "out"


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ({}, "light"),
        ({"augment": "strong"}, "strong"),
        ({"augment": "none"}, "none"),
        ({"jitter": 0.1}, "none"),
        ({"look_like": "training"}, "none"),
        ({"paired": False}, "none"),
    ],
)
def test_sources_of_several_scenes_change_lightly_by_default(
    two_dates: Path, options: dict[str, Any], chosen: str
) -> None:
    data = prepare_data(two_dates, **options)
    assert data.options.augment == chosen
    radiometry = data.train_ds.augmentation.radiometry
    assert radiometry == Radiometry.of(chosen, data.card.source)  # type: ignore[arg-type]
    said = f"training sources have {chosen} changes of their values"
    assert (said in str(data.summary())) == (chosen != "none")
    assert data.with_card(data.card).options == data.options


def test_classes_and_other_pixel_sizes_do_not_change_by_default(
    two_dates: Path, write_chips: WriteChips
) -> None:
    data = prepare_data(two_dates)
    chips, card = data.folder.sources, data.card
    of_classes = prepare_data(write_chips(source=(1, "uint8")), source_classes=True).card.source
    assert strength_for(chips, card) == "light"
    assert strength_for(chips, replace(card, source=of_classes)) == "none"
    assert strength_for(chips, replace(card, factor=Fraction(2))) == "none"


def test_one_scene_does_not_change_by_default(write_raster: WriteRaster, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (3, 128, 256)).astype("uint8")
    one = write_raster("one.tif", values)
    assert prepare_data(one, one, chip_size=64).options.augment == "none"
    export_chips(one, one, tmp_path / "out", tile_size=64)
    assert prepare_data(tmp_path / "out").options.augment == "none"
    with_another = [tmp_path / "out", tmp_path / "again"]
    export_chips(write_raster("two.tif", values[:, ::-1]), one, with_another[1], tile_size=64)
    assert prepare_data(with_another).options.augment == "light"


def test_sources_take_the_values_of_other_scenes(two_dates: Path, tmp_path: Path) -> None:
    far = tmp_path / "bright.tif"
    plain = items(prepare_data(two_dates, transforms=False, augment="none"), 20)
    found = items(prepare_data(two_dates, transforms=False, look_like=far), 20)
    low, high = 80 / 127.5 - 1, 150 / 127.5 - 1
    for (source, target), (other, same) in zip(plain, found, strict=True):
        assert torch.equal(target, same)
        if source.mean() < low:  # of the dark scene
            assert source.mean() - 0.01 <= other.mean() < high + 0.05
        else:
            assert float(other.mean()) == pytest.approx(float(source.mean()), abs=0.03)
    moved = [float((b[0] - a[0]).mean()) for a, b in zip(plain, found, strict=True)]
    assert max(moved) > 0.5


def test_training_scenes_look_like_each_other(two_dates: Path) -> None:
    data = prepare_data(two_dates, transforms=False, look_like="training")
    exchange = data.train_ds.augmentation.exchange
    assert len(exchange.looks) == 2
    assert set(exchange.numbers) == {0, 1}
    means = [float(source.mean()) for source, _ in items(data, 20)]
    unchanged = prepare_data(two_dates, transforms=False, augment="none")
    plain = [float(source.mean()) for source, _ in items(unchanged)]
    between = [mean for mean in means if min(plain) + 0.1 < mean < max(plain) - 0.1]
    assert len(between) > 0.1 * len(means)
    assert min(plain) - 0.05 < min(means) <= max(means) < max(plain) + 0.05


def test_scenes_that_nothing_is_known_of_are_refused(
    write_chips: WriteChips, write_raster: WriteRaster
) -> None:
    folder = write_chips()
    with pytest.raises(InvalidInputError, match="look_like is 'training', but the chips are not"):
        prepare_data(folder, look_like="training")
    with pytest.raises(InvalidInputError, match="has 1 band but the source has 3"):
        prepare_data(folder, look_like=[write_raster("s.tif", np.ones((1, 9, 9), "uint8"))])
    with pytest.raises(RasterFileError, match=r"nothing\.tif"):
        prepare_data(folder, look_like="nothing.tif")
    with pytest.raises(
        InvalidInputError, match="look_like is 5; give rasters to look like, or 'tr"
    ):
        prepare_data(folder, look_like=5)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="augment is 'much'; give one of auto, none, light"):
        prepare_data(folder, augment="much")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [{"augment": "light"}, {"look_like": "training"}, {"jitter": 0.1}]
)
def test_classes_have_no_brightness(write_chips: WriteChips, options: Any) -> None:
    folder = write_chips(source=(1, "uint8"))
    name = next(iter(options))
    with pytest.raises(InvalidInputError, match=f"{name} is .* but the source's values are .*lea"):
        prepare_data(folder, source_classes=True, **options)
