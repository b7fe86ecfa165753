"""The raster function puts blocks together like a whole raster, whatever the host asks for."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from geotranslate.interop.dlpk import GeotranslateTranslation as module
from tests.interop.dlpk.arcgis_host import translate

STRIDE, RADIUS = 4, 6
PADDING = 8
OWN = {
    "Graph": "model.json",
    "Weights": "model.npz",
    "Stride": STRIDE,
    "Padding": PADDING,
    "TileSize": 12,
    "SourceBands": 2,
    "Fill": [7.0, 9.0],
    "TargetBands": 1,
    "TargetType": "float32",
    "TargetNodata": None,
    "TargetNames": ["height"],
    "Colors": [],
}


def definition(**own: Any) -> dict[str, Any]:
    return {"ModelFile": "model.onnx", "ExtractBands": [1, 0], "Geotranslate": {**OWN, **own}}


def made(network: Any = None, device: Any = None, **own: Any) -> Any:
    """Return a raster function with a network that is a function of arrays."""
    function = module.GeotranslateTranslation()
    function.initialize(model=json.dumps(definition(**own)), device=device)
    function.network = network
    return function


def blurred(images: NDArray[Any]) -> NDArray[Any]:
    """Return sums over 13 x 13 pixels, with zeros outside, that depend on the place in a block."""
    assert not any(side % STRIDE for side in images.shape[2:])
    total = np.pad(images.sum(1), ((0, 0), (RADIUS, RADIUS), (RADIUS, RADIUS)))
    found = sum(
        total[:, r : r + images.shape[2], c : c + images.shape[3]]
        for r in range(2 * RADIUS + 1)
        for c in range(2 * RADIUS + 1)
    )
    rows, cols = (np.arange(side) % STRIDE for side in images.shape[2:])
    return (found + rows[:, None] * 100 + cols * 10)[:, None].astype(np.float32)


def expected(pixels: NDArray[Any], valid: NDArray[np.bool_], fill: Any) -> NDArray[Any]:
    """Return the translation of a whole raster, extended to whole strides by reflection."""
    filled = np.where(valid, pixels, np.array(fill)[:, None, None]).astype(np.float32)
    extra = [(0, -side % STRIDE) for side in valid.shape]
    whole = np.pad(filled, [(0, 0), *extra], mode="reflect")
    return blurred(whole[None])[0][:, : valid.shape[0], : valid.shape[1]]


@given(
    rows=st.integers(9, 40),
    cols=st.integers(9, 40),
    style=st.sampled_from(["full", "cut", "short", "padded"]),
    tile=st.integers(1, 30),
    padding=st.sampled_from([0, 8, 9, 16]),
    batch=st.integers(1, 6),
    holes=st.booleans(),
)
def test_blocks_are_the_whole(
    rows: int, cols: int, style: str, tile: int, padding: int, batch: int, holes: bool
) -> None:
    chance = np.random.default_rng(rows * 100 + cols)
    pixels = chance.integers(1, 50, (2, rows, cols)).astype(np.int16)
    mask = np.full(pixels.shape, 255, np.uint8)
    if holes:
        mask[0, : rows // 2, 3:6] = mask[1, -2:] = 0
    valid = mask.all(0)
    scalars = {"tile_size": str(tile), "padding": padding, "batch_size": float(batch)}
    found, seen, info = translate(made(blurred), pixels, mask, style=style, scalars=scalars)
    assert (seen[0].astype(bool) == valid).all()
    assert (info["pixelType"], info["names"]) == ("f4", ["height"])
    # Bands are extracted in the order of the definition.
    whole = expected(pixels[::-1], valid, OWN["Fill"])
    np.testing.assert_array_equal(found[seen > 0], whole[seen > 0])
    assert np.isnan(found[seen == 0]).all()


def test_without_a_place_only_the_edge_of_the_raster_differs() -> None:
    pixels = np.random.default_rng(0).integers(1, 50, (2, 48, 60)).astype(np.int16)
    mask = np.full(pixels.shape, 255, np.uint8)
    found, seen, _ = translate(made(blurred), pixels, mask, style="nowhere")
    whole = expected(pixels[::-1], mask.all(0), OWN["Fill"])
    inner = (slice(None), slice(RADIUS, -RADIUS), slice(RADIUS, -RADIUS))
    np.testing.assert_array_equal(found[inner], whole[inner])
    assert seen.all()


def test_a_place_that_valid_pixels_contradict_is_not_believed() -> None:
    function = made(blurred)
    pixels = np.ones((2, 12 + 2 * PADDING, 12 + 2 * PADDING), np.float32)
    blocks = {"raster_pixels": pixels, "raster_mask": np.ones(pixels.shape, np.uint8)}
    props = {"width": 12, "height": 12, "pixelType": "f4"}
    found = function.updatePixels((0, 0), (1, 12, 12), props, **blocks)
    np.testing.assert_array_equal(
        found["output_pixels"], blurred(pixels[None])[0][:, PADDING:-PADDING, PADDING:-PADDING]
    )


@pytest.mark.parametrize(
    ("dtype", "nodata", "values", "typed"),
    [
        ("uint8", None, [-3.0, 0.5, 1.5, 300.0], [0, 0, 2, 255]),
        ("uint8", 0, [-3.0, 0.5, 1.5, 300.0], [1, 1, 2, 255]),
        ("uint8", 255, [-3.0, 0.5, 1.5, 300.0], [0, 0, 2, 254]),
        ("int16", -9999, [-9999.2, 0.5, 40000.0, 1.0], [-9998, 0, 32767, 1]),
        ("uint32", 7, [-1.0, 6.6, 4294967296.0, 1.0], [0, 8, 4294967295, 1]),
        ("float32", "nan", [0.25, -1.0, 1.5, 2.0], [0.25, -1.0, 1.5, 2.0]),
        (
            "float32",
            -1.0,
            [0.25, -1.0, 1.5, 2.0],
            [0.25, np.nextafter(np.float32(-1), np.float32(0)), 1.5, 2.0],
        ),
    ],
)
def test_values_get_the_dtype_and_the_nodata_value_of_the_target(
    dtype: str, nodata: Any, values: list[float], typed: list[float]
) -> None:
    row = np.array([*values, 5.0], np.float32)

    def network(images: NDArray[Any]) -> NDArray[Any]:
        found = np.zeros((1, 1, *images.shape[2:]), np.float32)
        found[..., PADDING, PADDING : PADDING + 5] = row
        return found

    function = made(network, TargetType=dtype, TargetNodata=nodata)
    info = function.updateRasterInfo(output_info={})["output_info"]
    assert np.dtype(info["pixelType"]) == np.dtype(dtype)
    pixels = np.ones((2, 12 + 2 * PADDING, 12 + 2 * PADDING), np.float32)
    pixels[1, PADDING, PADDING + 4] = np.nan
    found = function.updatePixels(None, (1, 12, 12), None, raster_pixels=pixels)
    assert found["output_pixels"].dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found["output_pixels"][0, 0, :4], np.array(typed, dtype))
    assert found["output_mask"][0, 0, :5].tolist() == [1, 1, 1, 1, 0]
    gap = float("nan") if nodata in ("nan", None) and dtype == "float32" else nodata or 0
    np.testing.assert_equal(float(found["output_pixels"][0, 0, 4]), float(gap))
    if nodata is not None:
        np.testing.assert_array_equal(info["noData"], np.full(1, float(nodata), dtype))


def test_a_picture_is_invalid_only_where_all_its_bands_are() -> None:
    for dtype, every in (("uint8", 1), ("uint16", 0)):
        pixels = np.ones((2, 28, 28), dtype)
        mask = np.ones(pixels.shape, np.uint8)
        mask[0, PADDING, PADDING] = mask[:, PADDING, PADDING + 1] = 0
        found = made(blurred).updatePixels(
            None, (1, 12, 12), {}, raster_pixels=pixels, raster_mask=mask
        )
        assert found["output_mask"][0, 0, :3].tolist() == [every, 0, 1]


def test_one_band_may_come_and_go_without_its_axis() -> None:
    function = made(blurred, SourceBands=1, Fill=[0.0])
    pixels = np.ones((28, 28), np.uint8)
    found = function.updatePixels((0, 0), (12, 12), {}, raster_pixels=pixels, raster_mask=pixels)
    assert found["output_pixels"].shape == found["output_mask"].shape == (12, 12)


def test_the_network_is_loaded_once_and_late(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []

    def load(*given: Any) -> Any:
        time.sleep(0.05)
        loads.append(given)
        return blurred

    monkeypatch.setattr(module, "_load", load)
    function = made()
    (
        function.getParameterInfo(),
        function.getConfiguration(),
        function.updateRasterInfo(output_info={}),
    )
    empty = {"raster_pixels": np.ones((2, 28, 28)), "raster_mask": np.zeros((2, 28, 28))}
    assert not function.updatePixels(None, (1, 12, 12), {}, **empty)["output_mask"].any()
    assert not loads
    blocks = {"raster_pixels": np.ones((2, 28, 28))}
    threads = [
        threading.Thread(target=lambda: function.updatePixels(None, (1, 12, 12), {}, **blocks))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1


def runtimes(monkeypatch: pytest.MonkeyPatch, *, onnx: Any, torch: Any) -> None:
    """Replace the packages by their numbers of GPUs; None for a package that is missing."""

    def imported(name: str) -> Any:
        gpus = {"onnxruntime": onnx, "torch": torch}[name]
        if gpus is None:
            raise ImportError(f"no {name}")
        providers = ["CPUExecutionProvider", *["CUDAExecutionProvider"] * bool(gpus)]
        return SimpleNamespace(
            cuda=SimpleNamespace(is_available=lambda: bool(gpus)),
            get_available_providers=lambda: providers,
        )

    monkeypatch.setattr(module.importlib, "import_module", imported)
    for kind in ("OnnxNetwork", "TorchNetwork"):
        monkeypatch.setattr(module, kind, lambda *given, kind=kind: (kind, given[-1]))


@pytest.mark.parametrize(
    ("onnx", "torch", "device", "used"),
    [
        (0, 0, None, ("OnnxNetwork", -1)),
        (0, 0, -1, ("OnnxNetwork", -1)),
        (None, 0, -1, ("TorchNetwork", -1)),
        (0, 1, -1, ("OnnxNetwork", -1)),
        (0, 1, 0, ("TorchNetwork", 0)),
        (1, 1, "1", ("OnnxNetwork", 1)),
        (0, 1, -2, ("TorchNetwork", 0)),
        (0, 0, -2, ("OnnxNetwork", -1)),
        (1, None, -2, ("OnnxNetwork", 0)),
    ],
)
def test_the_runtime_suits_the_device(
    monkeypatch: pytest.MonkeyPatch, onnx: Any, torch: Any, device: Any, used: Any
) -> None:
    runtimes(monkeypatch, onnx=onnx, torch=torch)
    assert made(device=device)._network() == used


def test_missing_runtimes_and_gpus_get_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    runtimes(monkeypatch, onnx=None, torch=None)
    with pytest.raises(ImportError, match=r"needs onnxruntime or torch.*no torch.*Install"):
        made()._network()
    runtimes(monkeypatch, onnx=0, torch=0)
    with pytest.raises(RuntimeError, match="The device is GPU 0, but no GPU is found"):
        made(device=0)._network()


def test_blocks_that_do_not_fit_get_a_sentence() -> None:
    function = made(blurred)
    with pytest.raises(ValueError, match="3 bands, but the model translates 2"):
        function.updatePixels(None, None, {}, raster_pixels=np.ones((3, 28, 28)))
    with pytest.raises(ValueError, match="16 x 16 pixels, of which nothing is left"):
        function.updatePixels(None, None, {}, raster_pixels=np.ones((2, 16, 16)))


def test_a_graph_calls_nothing_else(tmp_path: Path) -> None:
    import torch

    for name in ("system", "__import__", "from_file.default", "methodcaller", "_foo.default"):
        steps = {"input": "x", "output": "y", "weights": {}, "steps": [["y", name, [], {}, []]]}
        (tmp_path / "graph.json").write_text(json.dumps(steps))
        with pytest.raises(ValueError, match="is not allowed"):
            module.TorchNetwork(torch, str(tmp_path / "graph.json"), "none.npz", -1)


def test_colors_of_classes_are_a_color_map() -> None:
    function = made(Colors=[[10, 255, 0, 1], [20, 3, 4, 5]], TargetType="uint8")
    values, *colors = function.updateRasterInfo(output_info={})["output_info"]["colormap"]
    assert values.tolist() == [10, 20] and values.dtype == np.int32
    assert np.array(colors).T.tolist() == [[255, 0, 1], [3, 4, 5]]
