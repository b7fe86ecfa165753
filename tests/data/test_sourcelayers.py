from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from geotranslate import prepare_data, stack
from geotranslate.data.loaders import PairLoaders
from geotranslate.data.sourcelayers import SourceLayers
from geotranslate.errors import InvalidInputError
from tests.conftest import WriteRaster, values


@pytest.fixture
def layers(write_raster: WriteRaster) -> tuple[Path, Path, Path]:
    radar = np.random.default_rng(0).normal(-12, 4, (2, 64, 64)).astype("float32")
    return (
        write_raster("s1.tif", radar),
        write_raster("dem.tif", np.abs(radar[:1] * 9).astype("int16")),
        write_raster("map.tif", values((1, 64, 64), "uint8")),
    )


def data_of(
    layers: tuple[Path, Path, Path], missing: Any = "ignore", **options: Any
) -> PairLoaders:
    source = stack(*layers[:2], missing=missing)
    return prepare_data(
        source, layers[2], chip_size=32, num_workers=0, device="cpu", val_split_pct=0, **options
    )


def test_hidden_layers_hold_means_and_never_are_all(layers: tuple[Path, Path, Path]) -> None:
    card = data_of(layers).card.source
    assert card.band_names == ("s1:1", "s1:2", "s1:valid", "dem:1", "dem:valid")
    dropped = SourceLayers.of(card, 0.6)
    assert dropped is not None
    means = np.array([card.mean[0], card.mean[1], 0, card.mean[3], 0])[:, None, None]
    expected = torch.from_numpy(card.scaling.scale(means)).expand(5, 4, 4)
    assert expected.isfinite().all()
    assert (expected[2] != torch.from_numpy(card.scaling.scale(np.ones((5, 1, 1))))[2]).all()
    torch.manual_seed(0)
    counts = {(): 0, (0,): 0, (1,): 0}
    for _ in range(300):
        source = torch.rand(5, 4, 4)
        found = dropped.thinned(source)
        gone = tuple(
            number
            for number, bands in enumerate(((0, 1, 2), (3, 4)))
            if torch.equal(found[list(bands)], expected[list(bands)])
        )
        kept = [i for i in range(5) if not torch.equal(found[i], expected[i])]
        torch.testing.assert_close(found[kept], source[kept])
        counts[gone] += 1
    # Both are chosen at once in 36 of 100 draws, of which one is kept.
    shares = [counts[gone] / 300 for gone in ((), (0,), (1,))]
    np.testing.assert_allclose(shares, [0.16, 0.42, 0.42], atol=0.08)


def test_training_hides_layers_and_validation_does_not(layers: tuple[Path, Path, Path]) -> None:
    torch.manual_seed(0)
    plain = data_of(layers, transforms=False)
    dropped = data_of(layers, transforms=False, layer_dropout=0.9)
    assert dropped.train_ds.augmentation.recolors
    same = [
        torch.equal(one[0], other[0])
        for one, other in zip(plain.train_ds, dropped.train_ds, strict=True)
    ]
    assert not all(same)
    alike = zip(plain.train_ds, dropped.train_ds, strict=True)
    assert all(torch.equal(one[1].nan_to_num(), two[1].nan_to_num()) for one, two in alike)


def test_changes_of_brightness_leave_bands_of_validity(layers: tuple[Path, Path, Path]) -> None:
    plain = data_of(layers, transforms=False)
    for options in ({"jitter": 0.9}, {"augment": "strong"}):
        changed = data_of(layers, transforms=False, **options)
        for one, other in zip(plain.train_ds, changed.train_ds, strict=True):
            assert torch.equal(one[0][[2, 4]], other[0][[2, 4]])


@pytest.mark.parametrize("value", [-0.1, 1, "half", None])
def test_wrong_dropouts_end_in_a_sentence(layers: tuple[Path, Path, Path], value: Any) -> None:
    with pytest.raises(InvalidInputError, match="layer_dropout is"):
        data_of(layers, layer_dropout=value)


def test_only_stacks_have_layers(layers: tuple[Path, Path, Path]) -> None:
    with pytest.raises(InvalidInputError, match=r"layer_dropout is 0.5, but the source has no two"):
        prepare_data(layers[0], layers[2], chip_size=32, layer_dropout=0.5)
    assert SourceLayers.of(data_of(layers, missing="any").card.source, 0.0) is not None
