"""Server of a live map, in which a scene is translated where somebody looks at it."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
import warnings
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import psutil
from rasterio.crs import CRS

from geotranslate.checks import flag, required, shown, whole_number
from geotranslate.chips.bands import Direction
from geotranslate.chips.chip import Bands
from geotranslate.chips.stacking import as_raster
from geotranslate.errors import InvalidInputError, said
from geotranslate.migration import checks_arguments
from geotranslate.prediction.blocks import open_blocks
from geotranslate.prediction.imageinference import Precision
from geotranslate.prediction.normstats import NormStats
from geotranslate.prediction.predictor import HasPredictor, Predictor
from geotranslate.prediction.resampling import Resolution
from geotranslate.prediction.scenefiles import scene_name
from geotranslate.prediction.tilesize import Match, TileSize
from geotranslate.prediction.tta import Tta
from geotranslate.raster.opening import RasterLike
from geotranslate.raster.pipeline import SceneBlocks
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.tiling import Blend

PACKAGES = ("rio_tiler", "fastapi", "uvicorn")
LOOPBACK = ("127.0.0.1", "localhost")
DEFAULT_MEMORY = 2**29
"""Bytes for translated blocks by default."""
PATIENCE = 20.0
"""Seconds within which the server has to start."""


@checks_arguments
def serve(
    model: HasPredictor,
    scene: RasterLike,
    truth: RasterLike | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    max_memory: int = DEFAULT_MEMORY,
    open_browser: bool = False,
    direction: Direction | None = None,
    tile_size: TileSize = "chip",
    blend: Blend = "auto",
    precision: Precision = "auto",
    norm_stats: NormStats = "auto",
    match: Match | None = None,
    progress: bool = True,
    tta: Tta = False,
    resolution: Resolution = "auto",
    bands: Bands | None = None,
    ready: Callable[[str], object] | None = None,
) -> None:
    """Show a scene and its translation on a map in the browser, until Ctrl-C.

    Nothing is translated before somebody looks at it. What the map shows at native resolution are
    the pixels that `predict_raster` would write with the same arguments.

    Args:
        model: Model that translates the scene.
        scene: Raster to translate, with a CRS: path, URL or GDAL name.
        truth: Raster to compare the translation with, with a CRS.
        host: Name or address of this machine to serve at; at the default, only programs on this
            machine reach the map. "0.0.0.0" lets the network see it.
        port: Port to serve at; 0 for any that is free.
        max_memory: Memory for translated blocks, bytes; those looked at last are kept.
        open_browser: Whether to open the map in a browser.
        direction: "AtoB" from source to target; "BtoA" back, for models trained in both directions.
        tile_size: Side of the tiles, px. Small tiles appear soon: "chip" takes those of the
            training. "auto" chooses as `predict_raster` does by default.
        blend: How overlapping pixels are combined: "hann", "crop" or "auto".
        precision: "float32", "bfloat16" or "auto" for bfloat16 if the hardware supports it.
        norm_stats: Statistics of normalization layers, as in `predict_raster`; those of the scene
            are measured before the map is served.
        match: "training" maps the quantiles of the scene to those of the training data.
        progress: Whether to show a progress bar while the scene is measured.
        tta: Whether to average the translations of each tile in its eight orientations; "std" adds
            their standard deviation.
        resolution: Pixel size at which the raster enters the network: "training", "source", "auto"
            or meters.
        bands: Bands of the raster to translate, by number from 1 or by name.
        ready: Function that is called with the address once the map is served.

    Raises:
        RasterFileError: A raster cannot be read.
        InvalidInputError: The scene has other bands than the model translates, a raster has no
            CRS or lies elsewhere, the port is in use, or an argument is invalid.
        MissingPackageError: A package of the extra `map` is not installed.
    """
    flag("open_browser", open_browser)
    blocks = partial(
        open_blocks,
        direction=direction,
        tile_size=tile_size,
        blend=blend,
        precision=precision,
        norm_stats=norm_stats,
        match=match,
        progress=progress,
        tta=tta,
        resolution=resolution,
        bands=bands,
    )
    with ExitStack() as stack:
        application = stack.enter_context(
            live_application(
                model.predictor.towards(direction or model.predictor.direction),
                scene,
                truth,
                hosts=hosts_of(host),
                max_memory=max_memory,
                blocks=blocks,
            )
        )
        listening = stack.enter_context(listen(host, port))
        address = address_of(listening)
        if ready is not None:
            ready(address)
        if open_browser:
            threading.Timer(0.5, webbrowser.open, [address]).start()
        server_of(application).run(sockets=[listening])


@contextmanager
def live_application(
    predictor: Predictor,
    scene: RasterLike,
    truth: RasterLike | None = None,
    *,
    hosts: tuple[str, ...] = LOOPBACK,
    max_memory: int = DEFAULT_MEMORY,
    blocks: Callable[..., Any] = open_blocks,
) -> Iterator[Any]:
    """Yield the web application of a scene; its blocks are computed as long as the block lasts.

    Args:
        predictor: Predictor of a model.
        scene: Raster to translate.
        truth: Raster to compare with.
        hosts: Names and addresses of this machine that requests may be addressed to.
        max_memory: Memory for translated blocks, bytes.
        blocks: Function that opens the blocks of a scene, `open_blocks` with some arguments.

    Raises:
        GeotranslateError: As `serve`.
    """
    refuse_missing_packages()
    from rio_tiler.errors import NoOverviewWarning

    from geotranslate.livemap import application, blockstore, layers, mapreader

    # It would be repeated for every tile; from afar, tiles of such files are left out.
    warnings.filterwarnings("ignore", category=NoOverviewWarning)
    whole_number("max_memory", max_memory, 1)
    scene = as_raster(scene)
    with RasterReader(scene) as reader:
        layers.refuse_unplaced(reader)
    look = layers.Look.of_side(predictor.card.target, predictor.card.target.bands)
    files = {}
    with blocks(predictor, scene) as found:
        with RasterReader(scene_name(scene)) as reader:
            files["source"] = layers.file_layer("Source", reader.name, reader)
        if truth is not None:
            with RasterReader(scene_name(as_raster(truth))) as reader:
                like = look if reader.bands == predictor.card.target.bands else None
                files["truth"] = layers.file_layer("Truth", reader.name, reader, like)
                _refuse_elsewhere(reader, found)
        classes = found.output.categorical
        store = blockstore.BlockStore(
            found.block, partial(mapreader.reduce_block, classes=classes), max_memory
        )
        try:
            map_reader = mapreader.BlockReader(
                input=found.output,
                store=store,
                row_edges=found.row_edges,
                col_edges=found.col_edges,
            )
            translation = layers.TranslationLayer("Translation", map_reader, look)
            title = f"{_short(scene_name(scene))} by {predictor.name}"
            yield application.application(
                application.LiveMap(title, translation, files), list(hosts)
            )
        finally:
            store.close()


@contextmanager
def served(application: Any) -> Iterator[str]:
    """Serve an application at a free port of this machine from a thread; yield the address."""
    with listen("127.0.0.1", 0) as listening:
        server = server_of(application)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        limit = time.monotonic() + PATIENCE
        while not server.started and thread.is_alive() and time.monotonic() < limit:
            time.sleep(0.01)
        try:
            yield address_of(listening)
        finally:
            server.should_exit = True
            thread.join()


def server_of(application: Any) -> Any:
    """Return the server of an application."""
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(
            application,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
    )


def refuse_missing_packages() -> None:
    """Refuse to go on without the packages of the extra.

    Raises:
        MissingPackageError: One cannot be imported; the sentence says what to install.
    """
    for package in PACKAGES:
        required(package, "map", "A live map")


@contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """Yield a socket that listens at a port of this machine.

    Raises:
        InvalidInputError: The port is in use or not allowed, or the host is not this machine.
    """
    whole_number("port", port, 0, 65535)
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # A server that has just ended may be started again at once.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with listening:
        try:
            listening.bind((host, port))
            # From now on browsers wait for the server instead of being refused.
            listening.listen()
        except (OSError, UnicodeError) as error:
            raise InvalidInputError(
                f"Port {port} of {host} cannot be served ({said(error)}); give another port, 0 for "
                "any that is free, and as host 127.0.0.1 or an IPv4 address of this machine."
            ) from error
        yield listening


def address_of(listening: socket.socket) -> str:
    """Return the address of the page behind a socket."""
    host, port = listening.getsockname()
    return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}/"


def hosts_of(host: str) -> tuple[str, ...]:
    """Return the names and addresses that requests to a host may have.

    Names of other machines are not among them, so that no page of theirs can reach the map by
    letting its own name lead here.

    Raises:
        InvalidInputError: It is not a name or an address.
    """
    if not isinstance(host, str) or not host.strip() or not host.isascii():
        raise InvalidInputError(
            f"host is {shown(host)}; give 127.0.0.1, or an IPv4 address of this machine."
        )
    if _is_any(host):
        own = [
            each.address
            for several in psutil.net_if_addrs().values()
            for each in several
            if each.family == socket.AF_INET
        ]
        return (*dict.fromkeys((*LOOPBACK, socket.gethostname(), *own)),)
    return (*dict.fromkeys((host, *LOOPBACK)),)


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _refuse_elsewhere(truth: RasterReader, blocks: SceneBlocks) -> None:
    world = CRS.from_epsg(4326)
    if not truth.grid.footprint_in(world).intersects(blocks.grid.footprint_in(world)):
        raise InvalidInputError(
            f"The truth {truth.name} does not overlap the scene on the ground; give one of the "
            "same place."
        )


def _short(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").split("/")[-1]
