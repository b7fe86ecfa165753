from __future__ import annotations

import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from geotranslate.chips.bands.classes import Classes
from geotranslate.chips.bands.scaling import Scaling
from geotranslate.errors import GeotranslateWarning
from geotranslate.prediction.scenes.drift import ground_size, warn_if_unlike
from geotranslate.raster.reader import RasterReader
from tests.conftest import WriteRaster, values
from tests.prediction.test_inference import make_card

METRE = 1 / 111_195
FEET = "EPSG:2263"


@pytest.mark.parametrize(
    ("resolution", "crs", "latitude", "expected"),
    [
        ((2.0, 3.0), "EPSG:32633", 45, (2, 3)),
        ((1.0, 2.0), FEET, 40, (0.3048, 0.6096)),
        ((METRE, METRE), "EPSG:4326", 0, (1, 1)),
        ((2 * METRE, METRE), "EPSG:4326", 60, (1, 1)),
        ((2.0, 2.0), "EPSG:3857", 60, (1, 1)),
        ((2.0, 2.0), None, 60, None),
        ((2.0, 2.0), 'LOCAL_CS["mine",UNIT["metre",1]]', 60, None),
    ],
)
def test_pixels_are_measured_on_the_ground(
    resolution: tuple[float, float],
    crs: str | None,
    latitude: float,
    expected: tuple[float, float] | None,
) -> None:
    found = ground_size(resolution, CRS.from_user_input(crs) if crs else None, latitude)
    assert found == (expected and pytest.approx(expected, rel=1e-3))


UTM = ("EPSG:32633", 500_000.0, 5_538_630.0)
DEGREES = ("EPSG:4326", 15.0, 50.0)
AT_50 = METRE / np.cos(np.radians(50))


@pytest.mark.parametrize(
    ("scene", "step", "trained", "said"),
    [
        (UTM, (2, 2), ("EPSG:32633", (2.0, 2.0)), None),
        (UTM, (2.3, 2.3), ("EPSG:32610", (2.0, 2.0)), None),
        (UTM, (2.5, 2.5), ("EPSG:32633", (2.0, 2.0)), "pixels of 2.5 m but .* trained on 2 m"),
        (UTM, (1, 1), ("EPSG:32633", (2.0, 2.0)), "pixels of 1 m but .* trained on 2 m"),
        (UTM, (2, 3), ("EPSG:32633", (2.0, 2.0)), "pixels of 2 x 3 m but .* trained on 2 m"),
        (UTM, (2, 2), (FEET, (6.56, 6.56)), None),
        (UTM, (2, 2), (FEET, (2.0, 2.0)), "pixels of 2 m but .* trained on 0.61 m"),
        (UTM, (2, 2), ("EPSG:4326", (2 * AT_50, 2 * METRE)), None),
        (UTM, (2, 2), ("EPSG:3857", (3.11, 3.11)), None),
        (DEGREES, (2 * AT_50, 2 * METRE), ("EPSG:32633", (2.0, 2.0)), None),
        (DEGREES, (AT_50, METRE), ("EPSG:32633", (2.0, 2.0)), "pixels of 1 m but"),
        (DEGREES, (AT_50, METRE), ("EPSG:32633", None), None),
        (DEGREES, (AT_50, METRE), (None, (9.0, 9.0)), None),
        (DEGREES, (AT_50, METRE), ("nonsense", (9.0, 9.0)), None),
    ],
)
def test_other_pixels_than_in_training_are_said_from_a_fifth_on(
    write_raster: WriteRaster,
    scene: tuple[str, float, float],
    step: tuple[float, float],
    trained: tuple[str | None, tuple[float, float] | None],
    said: str | None,
) -> None:
    crs, x, y = scene
    path = write_raster(
        "s.tif",
        values((1, 40, 40), "uint8"),
        crs=crs,
        transform=Affine(step[0], 0, x, 0, -step[1], y),
    )
    card = replace(make_card(), crs=trained[0], resolution=trained[1])
    with RasterReader(path) as source:
        if said is None:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warn_if_unlike(source, card)
        else:
            with pytest.warns(GeotranslateWarning, match=said):
                warn_if_unlike(source, card)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_another_dtype_is_said(write_raster: WriteRaster, dtype: str) -> None:
    with (
        RasterReader(write_raster("s.tif", values((1, 9, 9), "uint8").astype(dtype))) as source,
        pytest.warns(GeotranslateWarning, match=rf"s.tif is {dtype} but .* trained on uint8; its"),
    ):
        warn_if_unlike(source, make_card())


@pytest.mark.parametrize(
    ("factor", "said"), [(1, False), (1.4, False), (100, True), (-3, True), (1e-3, False)]
)
def test_values_far_outside_of_training_are_said(
    write_raster: WriteRaster, factor: float, said: bool
) -> None:
    card = make_card()
    side = replace(card.source, dtype="float32", scaling=Scaling.linear((0.0,), (255.0,)))
    data = values((1, 300, 200), "uint8").astype("float32") * np.float32(factor)
    data[0, :9] = np.nan
    with RasterReader(write_raster("s.tif", data)) as source:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warn_if_unlike(source, replace(card, source=side))
    found = [str(warning.message) for warning in caught]
    assert len(found) == said
    assert not said or "far outside of those that the model was trained on: band 1" in found[0]


def test_scene_without_valid_pixels_or_of_one_pixel_is_looked_at(
    write_raster: WriteRaster,
) -> None:
    side = replace(make_card().source, dtype="float32")
    for shape in ((1, 1, 1), (1, 70, 1)):
        with RasterReader(write_raster("s.tif", np.full(shape, np.nan, "float32"))) as source:
            warn_if_unlike(source, replace(make_card(), source=side))


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (Classes((3, 5, 200), None), None),
        (
            Classes((3,), None),
            "s.tif holds 5, 200, which the model has not seen in training; its c",
        ),
        (Classes((), ((3, 1, 2, 3, 4), (200, 1, 2, 3, 4))), "holds 5, which .* classes are 3, 200"),
        # Which ones it knows is not known.
        (Classes((), None), None),
    ],
)
def test_classes_that_were_not_seen_are_said(
    write_raster: WriteRaster, classes: Classes, said: str | None
) -> None:
    side = replace(make_card().source, classes=classes, scaling=Scaling.linear((3.0,), (5.0,)))
    data = np.full((1, 90, 80), 3, "uint8")
    data[0, 50:, 40:], data[0, :20], data[0, 0] = 200, 5, 77
    with RasterReader(write_raster("s.tif", data, nodata=77)) as source:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = warn_if_unlike(source, replace(make_card(), source=side))
    assert found == [str(warning.message) for warning in caught]
    assert len(found) == (said is not None)
    assert not said or re.search(said, found[0])
