"""Raster function of ArcGIS that translates rasters by a model of geotranslate.

ArcGIS loads this file from a deep learning package. It needs numpy, and onnxruntime or torch.
"""

from __future__ import annotations

import importlib
import json
import math
import operator
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

OWN = "Geotranslate"
"""Key of the entries of a model definition that are not ArcGIS's own."""
CPU, CHOOSE = -1, -2
"""Devices that are not the number of a GPU: the CPU; and a GPU if there is one, else the CPU."""
ATEN = frozenset(
    """
    __and__.Tensor add.Tensor add_.Tensor avg_pool2d.default batch_norm.default bitwise_and.Tensor
    cat.default clamp.default conv2d.default conv_transpose2d.input div.Tensor dropout.default
    exp.default feature_dropout.default ge.Scalar ge.Tensor gt.Scalar gt.Tensor layer_norm.default
    le.Scalar le.Tensor leaky_relu.default linear.default log.default lt.Scalar lt.Tensor
    max_pool2d.default maximum.default movedim.int mul.Tensor pad.default permute.default
    pixel_shuffle.default pixel_unshuffle.default relu.default relu_.default reshape.default
    select.int silu.default slice.Tensor sqrt.default square.default stack.default sub.Tensor
    sym_size.int tanh.default to.dtype transpose.int unbind.int upsample_bilinear2d.vec
    upsample_nearest2d.vec where.self
    """.split()
)
"""Operators of torch that a graph may have; nothing else is called."""
SIZES = frozenset({"add", "sub", "mul", "floordiv", "mod", "neg", "getitem"})
"""Functions of Python's `operator` that a graph may have, for sizes and tuples."""


class GeotranslateTranslation:
    """Raster function that translates whole blocks, so that there are no seams between them.

    Neighboring blocks overlap by a padding of the network's receptive field, which is cut off.
    """

    def __init__(self) -> None:
        self.name = "Geotranslate Translation"
        self.description = "Translates a raster by a model that was trained with geotranslate."
        self.lock = threading.Lock()
        self.network: Any = None

    def initialize(self, **kwargs: Any) -> None:
        """Read the model definition, which is the path of an .emd file or its text."""
        if kwargs.get("model") is None:
            return
        self.definition, self.folder = _definition(kwargs["model"])
        self.model = self.definition[OWN]
        self.device = _whole(kwargs.get("device"), CPU)
        self.network = None
        self._configure({})

    def getParameterInfo(self) -> list[dict[str, Any]]:
        """Return the parameters that the tools of ArcGIS show."""
        padding = "Pixels cut off around each block; fewer than by default are not used"
        return [
            _parameter("raster", "raster", "Raster", "Raster to translate", None, True),
            _parameter(
                "model", "string", "Model Definition", "Path or text of an .emd", None, True
            ),
            _parameter("device", "numeric", "Device ID", "Number of the GPU; -1 for the CPU"),
            _parameter("padding", "numeric", "Padding", padding, self.model["Padding"]),
            _parameter("batch_size", "numeric", "Batch Size", "Tiles of a block", 1),
            _parameter(
                "tile_size", "numeric", "Tile Size", "Pixels of a tile", self.model["TileSize"]
            ),
        ]

    def getConfiguration(self, **scalars: Any) -> dict[str, Any]:
        """Return the blocks to ask for: `tx` x `ty` pixels, and `padding` around them."""
        self._configure(scalars)
        rows, cols = _rectangle(max(_whole(scalars.get("batch_size"), 1), 1))
        return {
            "extractBands": tuple(self.definition["ExtractBands"]),
            "padding": self.padding,
            "tx": self.tile * cols,
            "ty": self.tile * rows,
            "fixedTileSize": 1,
            "inputMask": True,
            # Not 1 and 2: pixel type and nodata value are those of the targets.
            "inheritProperties": 4 | 8,
            # Statistics, histogram and key metadata are no longer those of the source.
            "invalidateProperties": 2 | 4 | 8,
        }

    def _configure(self, scalars: Mapping[str, Any]) -> None:
        stride, least = self.model["Stride"], self.model["Padding"]
        padding = max(_whole(scalars.get("padding"), least), least)
        self.padding = _up(padding, stride)
        tile = _whole(scalars.get("tile_size"), self.model["TileSize"])
        self.tile = _up(max(tile, self.padding + 1), stride)

    def updateRasterInfo(self, **kwargs: Any) -> dict[str, Any]:
        """Describe the output: its bands, pixel type, nodata value and colors."""
        info, model = kwargs["output_info"], self.model
        info["bandCount"] = model["TargetBands"]
        info["pixelType"] = np.dtype(model["TargetType"]).str[1:]
        info["statistics"], info["histogram"] = (), ()
        if self._nodata is not None:
            info["noData"] = np.full(model["TargetBands"], self._nodata, model["TargetType"])
        if model["Colors"]:
            value, red, green, blue = np.array(model["Colors"]).T
            bytes_ = (band.astype("u1") for band in (red, green, blue))
            info["colormap"] = (value.astype("i4"), *bytes_)
        return kwargs

    def updateKeyMetadata(
        self, names: Sequence[str], bandIndex: int, **keyMetadata: Any
    ) -> dict[str, Any]:
        """Name the bands of the output, and clear what was true of the source's."""
        if bandIndex == -1:
            return {**keyMetadata, "datatype": "Processed"}
        known = self.model["TargetNames"]
        if bandIndex < len(known) and known[bandIndex]:
            keyMetadata["bandname"] = known[bandIndex]
        return {**keyMetadata, "wavelengthmin": None, "wavelengthmax": None}

    def updatePixels(self, tlc: Any, shape: Any, props: Any, **pixelBlocks: Any) -> dict[str, Any]:
        """Translate one block.

        Args:
            tlc: Column and row, in the raster, of the corner of the block that has the `shape`.
            shape: Shape of the block; the pixels have `padding` more on each side.
            props: Properties of the raster: `width`, `height` and `pixelType` are used.
            pixelBlocks: `raster_pixels` and `raster_mask` `(bands, rows, cols)`.
        """
        pixels = np.asarray(pixelBlocks["raster_pixels"])
        pixels = pixels if pixels.ndim == 3 else pixels[None]
        if len(pixels) != self.model["SourceBands"]:
            raise ValueError(
                f"The raster has {len(pixels)} bands, but the model translates "
                f"{self.model['SourceBands']}; extract those that it was trained on first."
            )
        valid = _validity(pixels, pixelBlocks.get("raster_mask"))
        sides = self._sides(tlc, shape, props or {}, valid)
        translated, seen = self._translated(pixels, valid, sides)
        wanted = (props or {}).get("pixelType")
        typed = translated if wanted is None else translated.astype(wanted, copy=False)
        flat = shape is not None and len(shape) == 2 and len(typed) == 1
        mask = np.broadcast_to(seen, typed.shape).astype("u1")
        pixelBlocks["output_pixels"] = np.ascontiguousarray(typed[0] if flat else typed)
        pixelBlocks["output_mask"] = np.ascontiguousarray(mask[0] if flat else mask)
        return pixelBlocks

    def _sides(self, tlc: Any, shape: Any, props: Any, valid: Any) -> list[_Side]:
        """Return both axes of a block, rows first."""
        given = valid.shape
        asked = given if shape is None else tuple(shape)[-2:]
        with_padding = asked == given
        wanted = [side - 2 * self.padding if with_padding else side for side in asked]
        if min(wanted) < 1:
            raise ValueError(
                f"The block has {given[0]} x {given[1]} pixels, of which nothing is left without "
                f"a padding of {self.padding}; use the configuration that the function returns."
            )
        place = _place(tlc, props, 0 if with_padding else self.padding)
        sides = self._both(given, wanted, place)
        inside = valid[sides[0].window, sides[1].window]
        if valid[tuple(slice(side.end) for side in sides)].sum() > inside.sum():
            # A valid pixel outside of the raster: the place is not what it seems to be.
            sides = self._both(given, wanted, None)
        return sides

    def _both(self, given: Any, wanted: Any, place: Any) -> list[_Side]:
        known, stride = place or (None, None), self.model["Stride"]
        return [_Side(given[i], wanted[i], known[i], self.padding, stride) for i in (0, 1)]

    def _translated(self, pixels: Any, valid: Any, sides: Sequence[_Side]) -> tuple[Any, Any]:
        """Return the translation of a block in the dtype of the targets, and its validity."""
        model, (rows, cols) = self.model, sides
        out = np.zeros((model["TargetBands"], rows.wanted, cols.wanted), np.float32)
        seen = np.zeros(out.shape[1:], bool)
        at = rows.placed, cols.placed
        seen[at] = valid[rows.kept, cols.kept]
        if seen.any():
            fill = np.array(model["Fill"], np.float32)[:, None, None]
            filled = np.where(valid, pixels, fill).astype(np.float32, copy=False)
            entering = filled[:, rows.entering[:, None], cols.entering]
            found = self._network()(np.ascontiguousarray(entering[None]))[0]
            out[:, at[0], at[1]] = found[:, rows.cut, cols.cut]
        return self._typed(out, seen), seen

    def _typed(self, values: Any, seen: Any) -> Any:
        """Return values rounded and clipped, with the nodata value where invalid."""
        dtype, nodata = np.dtype(self.model["TargetType"]), self._nodata
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            wide = values if limits.bits <= 16 else values.astype(np.float64)
            values = np.clip(np.rint(wide), limits.min, limits.max)
        typed = values.astype(dtype)
        if nodata is None:
            gap = np.nan if dtype.kind == "f" else 0
            return np.where(seen, typed, dtype.type(gap))
        # A valid pixel that happens to be the nodata value takes the next one.
        if dtype.kind in "iu":
            other = nodata - 1 if nodata == np.iinfo(dtype).max else nodata + 1
        else:
            other = np.nextafter(dtype.type(nodata), dtype.type(0 if nodata else 1))
        typed = np.where(typed == dtype.type(nodata), dtype.type(other), typed)
        return np.where(seen, typed, dtype.type(nodata))

    @property
    def _nodata(self) -> Any:
        value = self.model["TargetNodata"]
        return float("nan") if value == "nan" else value

    def _network(self) -> Any:
        """Return the network; it is loaded by the first thread that needs it."""
        with self.lock:
            if self.network is None:
                self.network = _load(self.definition, self.folder, self.device)
            return self.network


class _Side:
    """One axis of a block: the pixels that enter the network, and those that leave it.

    The network gets the block up to the edges of the raster, where they are known, extended to
    whole strides by reflection, as `predict_raster` does.

    Args:
        given: Pixels of the block.
        wanted: Pixels of its translation; `padding` pixels of the block lie before them.
        place: Place of the block's first pixel in the raster, and the raster's size; None if they
            are not known.
        padding: Pixels to cut off.
        stride: Factor by which images shrink inside the network.
    """

    def __init__(self, given: int, wanted: int, place: Any, padding: int, stride: int) -> None:
        self.wanted, self.end = wanted, min(given, wanted + 2 * padding)
        first, last = 0, self.end
        if place is not None:
            first = min(max(first, -place[0]), last)
            last = max(min(last, place[1] - place[0]), first)
        self.window = slice(first, last)
        """Pixels of the block on the raster."""
        size = max(last - first, 1)
        self.entering = first + _reflected(max(_up(size, stride), 2 * stride), size)
        begin = max(first, padding)
        end = max(min(last, padding + wanted), begin)
        self.kept = slice(begin, end)
        """Pixels of the block that have a translation."""
        self.placed = slice(begin - padding, end - padding)
        """The same pixels in the output."""
        self.cut = slice(begin - first, end - first)
        """The same pixels in the output of the network."""


def _place(tlc: Any, props: Mapping[str, Any], before: int) -> Any:
    """Return the first row of a block and the rows of the raster, and the same of the columns.

    None if they are not known.
    """
    size: Any = props.get("height"), props.get("width")
    if tlc is None or not all(size):
        return None
    corner = float(tlc[1]), float(tlc[0])
    if any(abs(value - round(value)) > 0.01 for value in corner):
        return None
    return [(round(corner[axis]) - before, int(size[axis])) for axis in (0, 1)]


def _reflected(length: int, size: int) -> Any:
    """Return indexes of `length` pixels, of which those beyond `size` are reflected."""
    index = np.arange(length)
    return np.clip(np.where(index >= size, 2 * (size - 1) - index, index), 0, size - 1)


def _validity(pixels: Any, mask: Any) -> Any:
    """Return the pixels `(rows, cols)` that are valid.

    Pixels have to be valid and finite in all bands. In bytes, which may be a picture, they are
    invalid only if all bands are.
    """
    finite = np.isfinite(pixels).all(axis=0)
    if mask is None:
        return finite
    each = np.asarray(mask) > 0
    if each.ndim == 2:
        return each & finite
    return (each.any(axis=0) if pixels.dtype == np.uint8 else each.all(axis=0)) & finite


def _up(value: int, step: int) -> int:
    return math.ceil(value / step) * step


def _rectangle(count: int) -> tuple[int, int]:
    """Return rows and columns of a rectangle of so many tiles, as near to a square as there is."""
    rows = max(side for side in range(1, math.isqrt(count) + 1) if count % side == 0)
    return rows, count // rows


def _whole(value: Any, otherwise: int) -> int:
    """Return a parameter, which may come as text, as a whole number."""
    return otherwise if value in (None, "") else int(float(value))


def _parameter(
    name: str, kind: str, title: str, text: str, value: Any = None, required: bool = False
) -> dict[str, Any]:
    shown = {"displayName": title, "description": text}
    return {"name": name, "dataType": kind, "value": value, "required": required, **shown}


def _definition(model: Any) -> tuple[Any, str]:
    """Return a model definition, from the path of its file or its text, and its folder."""
    here = os.path.dirname(os.path.abspath(__file__))
    text = str(model)
    if text.lstrip().startswith("{"):
        return json.loads(text), here
    with open(text, encoding="utf-8") as file:
        return json.load(file), os.path.dirname(os.path.abspath(text))


def _load(definition: Mapping[str, Any], folder: str, device: int) -> Any:
    """Load the network for onnxruntime or, if it is not there or has no GPU, for torch."""
    missing: list[str] = []
    onnx, torch = (_imported(name, missing) for name in ("onnxruntime", "torch"))
    if onnx is None and torch is None:
        raise ImportError(
            f"The model needs onnxruntime or torch, but neither can be imported "
            f"({'; '.join(missing)}). Install the deep learning libraries for ArcGIS."
        )
    onnx_gpu = onnx is not None and "CUDAExecutionProvider" in onnx.get_available_providers()
    torch_gpu = torch is not None and torch.cuda.is_available()
    if device == CHOOSE:
        device = 0 if onnx_gpu or torch_gpu else CPU
    if device >= 0 and not onnx_gpu and not torch_gpu:
        raise RuntimeError(
            f"The device is GPU {device}, but no GPU is found by torch or onnxruntime; choose the "
            "CPU as processor type."
        )
    if onnx is not None and (device < 0 or onnx_gpu):
        return OnnxNetwork(onnx, _file(folder, definition["ModelFile"]), device)
    graph, weights = (_file(folder, definition[OWN][key]) for key in ("Graph", "Weights"))
    return TorchNetwork(torch, graph, weights, device)


def _imported(name: str, missing: list[str]) -> Any:
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:  # a library of torch that Windows cannot load
        missing.append(f"{name}: {error}")
        return None


def _file(folder: str, name: str) -> str:
    """Return the path of a file of the package, which lies beside the definition or this file."""
    beside = os.path.join(folder, name)
    if os.path.exists(beside):
        return beside
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), os.path.basename(name))


class OnnxNetwork:
    """The network, computed by onnxruntime."""

    def __init__(self, onnxruntime: Any, path: str, device: int) -> None:
        providers: list[Any] = ["CPUExecutionProvider"]
        if device >= 0:
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": device}))
        self.session = onnxruntime.InferenceSession(path, providers=providers)
        self.input = self.session.get_inputs()[0].name

    def __call__(self, images: Any) -> Any:
        """Translate `(n, bands, rows, cols)` float32 in the units of both sides."""
        return self.session.run(None, {self.input: images})[0]


class TorchNetwork:
    """The network, computed by torch from a graph of its own operators."""

    def __init__(self, torch: Any, graph: str, weights: str, device: int) -> None:
        self.torch = torch
        self.device = torch.device("cpu" if device < 0 else f"cuda:{device}")
        with open(graph, encoding="utf-8") as file:
            found = json.load(file)
        self.input, self.output = found["input"], found["output"]
        self.steps = [Step(torch, *step) for step in found["steps"]]
        with np.load(weights, allow_pickle=False) as arrays:
            self.weights = {
                name: torch.from_numpy(arrays[key]).to(self.device)
                for name, key in found["weights"].items()
            }

    def __call__(self, images: Any) -> Any:
        """Translate `(n, bands, rows, cols)` float32 in the units of both sides."""
        with self.torch.inference_mode():
            # Channels last, with which convolutions are fastest.
            layout = {"memory_format": self.torch.channels_last}
            given = self.torch.from_numpy(images).to(self.device, **layout)
            values = {**self.weights, self.input: given}
            for step in self.steps:
                step.run(values)
            return values[self.output].float().cpu().numpy()


class Step:
    """One call of an operator.

    Args:
        torch: The package.
        name: Name of the result.
        function: Name of an operator in `ATEN` or `SIZES`.
        args: Arguments; `{"is": name}` is a former result, `{"dtype": name}` a dtype of torch.
        keywords: Named arguments.
        done: Results that no later step needs.
    """

    def __init__(
        self, torch: Any, name: str, function: str, args: Any, keywords: Any, done: Any
    ) -> None:
        if function not in ATEN | SIZES:
            raise ValueError(f"The graph has the operator {function!r}, which is not allowed.")
        self.torch, self.name, self.done = torch, name, done
        self.args, self.keywords = args, keywords
        if function in SIZES:
            self.function = getattr(operator, function)
        else:
            packet, _, overload = function.partition(".")
            self.function = getattr(getattr(torch.ops.aten, packet), overload)

    def run(self, values: dict[str, Any]) -> None:
        """Add the result to the values, and forget those that are done."""
        args = [self._known(value, values) for value in self.args]
        keywords = {name: self._known(value, values) for name, value in self.keywords.items()}
        values[self.name] = self.function(*args, **keywords)
        for name in self.done:
            del values[name]

    def _known(self, value: Any, values: Mapping[str, Any]) -> Any:
        if isinstance(value, list):
            return [self._known(each, values) for each in value]
        if not isinstance(value, dict):
            return value
        return values[value["is"]] if "is" in value else getattr(self.torch, value["dtype"])
