"""What is measured of a model that translates both ways, by hand."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch

from geotranslate import CycleGAN, load_model, prepare_data
from geotranslate.errors import InvalidInputError
from geotranslate.metrics.scores import Metrics
from geotranslate.translators.runs import measuring as cycles
from tests.conftest import WriteRaster

WriteChips = Callable[..., Path]
SMALL: dict[str, Any] = {"gen_blocks": 1, "ngf": 2, "ndf": 2, "n_layers": 2}


def write_holes(folder: Path, write_raster: WriteRaster) -> None:
    """Make a part of every target invalid, which has to be float32."""
    for number, path in enumerate(sorted((folder / "images2").iterdir())):
        with rasterio.open(path) as chip:
            place, data = chip.transform, chip.read()
        data[:, number : number + 9, 3:20] = np.nan
        write_raster(f"chips/images2/{path.name}", data, transform=place)


@pytest.fixture
def folder(write_chips: WriteChips, write_raster: WriteRaster) -> Path:
    made = write_chips(count=20, source=(2, "uint8"), target=(1, "float32"))
    write_holes(made, write_raster)
    return made


def unpaired(folder: Path, **options: Any) -> Any:
    """Return the chips of a folder of pairs as two sides that are none."""
    apart = folder.with_name("apart")
    if not apart.exists():
        for side, name in (("A", "images"), ("B", "images2")):
            shutil.copytree(folder / name, apart / side)
    return prepare_data(apart, **options)


def swapped_model(model: CycleGAN, data: Any) -> CycleGAN:
    """Return a model of swapped data with the weights of another."""
    other = CycleGAN(data, **SMALL)
    ways, discriminators = model.pair.generator, model.pair.discriminator
    other.pair.generator.forth.load_state_dict(ways.back.state_dict())
    other.pair.generator.back.load_state_dict(ways.forth.state_dict())
    other.pair.discriminator["of_source"].load_state_dict(discriminators["of_target"].state_dict())
    return other


@pytest.mark.parametrize("holes", [True, False])
def test_measures_of_pairs_backwards_are_those_of_a_swapped_model(
    write_chips: WriteChips, write_raster: WriteRaster, holes: bool
) -> None:
    folder = write_chips(count=10, source=(2, "uint8"), target=(1, "float32"))
    if holes:
        write_holes(folder, write_raster)
    # By default a source and a target are scaled in another way.
    kinds: dict[str, Any] = {"source_scaling": "minmax", "target_scaling": "minmax"}
    model = CycleGAN(prepare_data(folder, **kinds), **SMALL)
    other = swapped_model(model, prepare_data(folder, direction="BtoA", **kinds))
    forth = model.compute_metrics()
    back = model.compute_metrics(direction="BtoA")
    assert model.metrics == forth
    compared = [(back, other.compute_metrics())]
    if not holes:
        # Swapped data do not hold what the images show there.
        compared.append((forth, other.compute_metrics(direction="BtoA")))
    for mine, theirs in compared:
        assert mine["count"] == theirs["count"] > 0
        assert dict(mine) == pytest.approx(dict(theirs), nan_ok=True, rel=1e-5)
        assert mine.per_band.keys() == theirs.per_band.keys()
    assert forth["mae"] != pytest.approx(back["mae"], rel=1e-3)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_the_way_there_and_back_is_measured_by_hand(folder: Path, batch_size: int) -> None:
    data = unpaired(folder, batch_size=batch_size)
    model = CycleGAN(data, **SMALL)
    sides = data.card.source, data.card.target
    ways = model.pair.generator.eval()
    errors: dict[str, list[Any]] = {"AtoB": [], "BtoA": []}
    with torch.inference_mode():
        for chips in zip(data.valid_ds.sources, data.valid_ds.targets, strict=True):
            for direction, path, (own, other), (there, back) in (
                ("AtoB", chips[0].path, sides, (ways.forth, ways.back)),
                ("BtoA", chips[1].path, sides[::-1], (ways.back, ways.forth)),
            ):
                with rasterio.open(path) as dataset:
                    chip = dataset.read().astype(np.float32)
                means = np.array(own.mean, np.float32)[:, None, None]
                whole = np.where(np.isnan(chip), means, chip)
                image = torch.from_numpy(own.scaling.scale(whole[None]))
                found = own.scaling.unscale(back(there(image)).numpy())[0]
                if own.dtype == "uint8":
                    found = np.rint(found.clip(0, 255))
                errors[direction].append(np.abs(found - chip)[~np.isnan(chip)])
                assert other.bands == 3 - own.bands
    for direction, found in errors.items():
        measured = model.compute_metrics(["mae", "cycle_rmse"], direction=direction)
        every = np.concatenate(found).astype(np.float64)
        assert [*measured] == ["cycle_mae", "cycle_rmse", "count"]
        assert measured["count"] == every.size
        assert measured["cycle_mae"] == pytest.approx(every.mean(), rel=1e-5)
        assert measured["cycle_rmse"] == pytest.approx(np.sqrt((every**2).mean()), rel=1e-5)
        for row in measured.per_band.values():
            assert {*row} == {"cycle_mae", "cycle_rmse", "count"}


def test_all_measures_of_a_cycle_are_named_so_kept_and_saved(folder: Path, tmp_path: Path) -> None:
    data = unpaired(folder)
    model = CycleGAN(data, **SMALL)
    found = model.compute_metrics()
    assert all(name.startswith("cycle_") for name in found if name != "count")
    assert {"cycle_mae", "cycle_ssim", "cycle_sam"} <= {*found}
    assert model.metrics == found
    model.compute_metrics(direction="BtoA")
    assert model.metrics == found
    assert load_model(model.save(tmp_path / "model")).metrics == found
    assert model.compute_metrics(data=data, metrics="cycle_mae")["cycle_mae"] == found["cycle_mae"]
    assert model.metrics == found
    with pytest.raises(InvalidInputError, match="There is no metric 'valid'"):
        model.compute_metrics(["valid"])


def test_likeness_is_that_of_translations_to_chips_of_the_other_side(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = unpaired(folder)
    model = CycleGAN(data, **SMALL)
    real, seen = cycles.Measures, []

    class Likeness:
        def __init__(self, side: Any, names: Any) -> None:
            self.side = side

        def add(self, translations: Any, chips: Any) -> None:
            seen.append((self.side, translations, chips))

        def results(self) -> Metrics:
            return Metrics({"fid": 12.5})

    def measures(side: Any, names: Any, palette: Any = None) -> Any:
        return Likeness(side, names) if names == ["fid"] else real(side, names, palette)

    monkeypatch.setattr(cycles, "Measures", measures)
    for direction, side, way in (
        ("AtoB", data.card.target, model.pair.generator.forth),
        ("BtoA", data.card.source, model.pair.generator.back),
    ):
        found = model.compute_metrics(["mae", "fid"], direction=direction)
        assert found["fid"] == 12.5
        assert [*found] == ["cycle_mae", "count", "fid"]
        chips = [batch[direction == "AtoB"] for batch in data.valid]
        assert len(seen) == len(chips)
        for (given, translations, others), expected in zip(seen, chips, strict=True):
            assert given == side
            torch.testing.assert_close(
                others, expected.as_subclass(torch.Tensor), equal_nan=True, rtol=0, atol=0
            )
            assert translations.shape == others.shape
        with torch.inference_mode():
            first = next(iter(data.valid))[direction == "BtoA"].as_subclass(torch.Tensor)
            whole = torch.where(first.isnan(), cycles.fill_of(data.card.target), first)
            expected = way.eval()(whole[:1])
        torch.testing.assert_close(seen[0][1][:1], expected)
        seen.clear()


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("ema", [0, 0.9])
def test_an_epoch_is_judged_by_the_way_there_and_back(
    folder: Path, tmp_path: Path, ema: float
) -> None:
    for data in (unpaired(folder, batch_size=4), prepare_data(folder, batch_size=4)):
        model = CycleGAN(data, **SMALL)
        run = tmp_path / str(data.card.paired)
        model.fit(1, ema=ema, precision="float32", progress=False, folder=run)
        row = model.history[-1]
        losses = []
        model.pair.eval()
        with torch.inference_mode():
            ways = model.pair.translating
            for source, target in (
                tuple(side.as_subclass(torch.Tensor) for side in data.valid_ds[i])
                for i in range(len(data.valid_ds))
            ):
                valid = target.isfinite()
                whole = torch.where(valid, target, cycles.fill_of(data.card.target))[None]
                one = (ways.back(ways.forth(source[None])) - source).abs().mean()
                other = (ways.forth(ways.back(whole))[0] - target)[valid].abs().mean()
                losses.append(float(one + other) / 2)
        assert row["valid_cycle"] == pytest.approx(np.mean(losses), rel=1e-4)
        assert ("valid_l1" in row) == data.card.paired
        assert model.fit_defaults.monitor == ("valid_l1" if data.card.paired else "valid_cycle")
        if not data.card.paired:
            assert row["valid_loss"] == pytest.approx(row["valid_cycle"], rel=1e-4)
            assert "std_ratio" not in row
        assert (run / "best" / "card.json").exists()
