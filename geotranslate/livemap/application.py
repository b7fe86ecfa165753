"""Web application of a live map: its page, and the map tiles of its layers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import FastAPI, HTTPException, Path, Request, Response
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from rasterio.errors import RasterioError
from starlette.middleware.trustedhost import TrustedHostMiddleware

from geotranslate.errors import GeotranslateError, said
from geotranslate.livemap.layers import FileLayer, TranslationLayer

PAGE = FilePath(__file__).parent / "page"
FILES = {"": "index.html", "map.css": "map.css", "map.js": "map.js"}

LOOK = 0.1
"""Seconds after which a request that waits for blocks checks whether the browser is still there."""

GONE = 499
"""Status of a request whose sender has gone; nobody receives it."""

HEADERS = {
    # Nothing on the page comes from elsewhere, and no other page may show it.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Another scene may be served at the same address tomorrow.
    "Cache-Control": "no-store",
}

Zoom = Annotated[int, Path(ge=0, le=30)]
Place = Annotated[int, Path(ge=0, lt=2**30)]


@dataclass(frozen=True)
class LiveMap:
    """The layers of a map."""

    title: str
    translation: TranslationLayer
    files: Mapping[str, FileLayer]
    """Layers of files by the name in their addresses."""

    def facts(self) -> dict[str, Any]:
        """Return facts for the page: bounds in degrees, zooms, and names of the layers."""
        reader = self.translation.reader
        names = {name: layer.name for name, layer in self.files.items()}
        source = {"source": names.pop("source")}
        names = source | {"translation": self.translation.name} | names
        return {
            "title": self.title,
            "bounds": reader.lonlat_bounds,
            "minzoom": reader.minzoom,
            "maxzoom": reader.maxzoom,
            "layers": [{"id": layer, "name": name} for layer, name in names.items()],
        }

    def tilejson(self, layer: str, base: str) -> dict[str, Any]:
        """Return the TileJSON of a layer, by which QGIS and others find its tiles."""
        facts = self.facts()
        return {
            "tilejson": "3.0.0",
            "name": f"{self.title}, {layer}",
            "tiles": [f"{base}tiles/{layer}/{{z}}/{{x}}/{{y}}.png"],
            "bounds": facts["bounds"],
            "minzoom": facts["minzoom"] if layer == "translation" else 0,
            "maxzoom": facts["maxzoom"],
        }


def application(shown: LiveMap, hosts: Sequence[str]) -> FastAPI:
    """Return the web application of a map.

    No part of an address names a file: layers are found in a table, and pages are three files of
    this package.

    Args:
        shown: The map.
        hosts: Names and addresses of this machine that requests may be addressed to.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    # A page of another server that lets its own name lead to this machine gets no answer.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    for address, name in FILES.items():
        app.add_api_route(f"/{address}", _file(PAGE / name), methods=["GET"])

    @app.get("/map.json")
    async def facts() -> Response:
        return JSONResponse(shown.facts(), headers=HEADERS)

    @app.get("/{layer}.json")
    async def tilejson(layer: str, request: Request) -> Response:
        _known(shown, layer)
        return JSONResponse(shown.tilejson(layer, str(request.base_url)), headers=HEADERS)

    @app.get("/tiles/{layer}/{z}/{x}/{y}.png")
    async def tile(layer: str, z: Zoom, x: Place, y: Place, request: Request) -> Response:
        _known(shown, layer)
        if max(x, y) >= 2**z:
            raise HTTPException(404, "There is no such tile.")
        try:
            if layer == "translation":
                return await _translated(shown.translation, (x, y, z), request)
            return _answer(await run_sync(shown.files[layer].png, x, y, z))
        except (GeotranslateError, RasterioError, OSError) as error:
            return PlainTextResponse(f"{said(error)}.", 500, HEADERS)

    return app


def _known(shown: LiveMap, layer: str) -> None:
    if layer != "translation" and layer not in shown.files:
        raise HTTPException(404, "There is no such layer.")


def _file(path: FilePath) -> Any:
    async def page() -> Response:
        return FileResponse(path, headers=HEADERS)

    return page


def _answer(png: bytes | None) -> Response:
    if png is None:
        return Response(status_code=204, headers=HEADERS)
    return Response(png, media_type="image/png", headers=HEADERS)


async def _translated(
    layer: TranslationLayer, place: tuple[int, int, int], request: Request
) -> Response:
    """Answer a tile of the translation when its blocks are computed, if somebody still waits."""
    view = await run_sync(layer.view, *place)
    if view is None:
        return _answer(None)
    with layer.reader.store.wanted(view.keys) as futures:
        waiting = {asyncio.wrap_future(each) for each in futures.values() if not each.done()}
        while waiting:
            _, waiting = await asyncio.wait(waiting, timeout=LOOK)
            if waiting and await request.is_disconnected():
                return Response(status_code=GONE)
        blocks = {key: each.result() for key, each in futures.items()}
    return _answer(await run_sync(layer.png, view, blocks))
