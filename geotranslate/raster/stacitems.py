"""Assets of STAC Items, given as `pystac.Item`, as dicts or as JSON files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import url2pathname

from geotranslate.checks import required, shown
from geotranslate.errors import InvalidInputError, RasterFileError, said
from geotranslate.raster.opening import readable_name, refuse_special
from geotranslate.schema import MOST_BYTES, parse_json

SUFFIX = ".json"
"""Ending of the files of Items."""
DOCUMENT = ("<", "{")
"""First characters of XML and JSON, which GDAL would open as the description of a raster."""
LONGEST = 4096
"""Most characters of an address: paths are not longer."""
MOST_SHOWN = 100
"""Most characters of a name in messages."""
NAMED = 12
"""Largest number of assets that a message lists."""
ELSEWHERE = re.compile(r"[A-Za-z][\w+.-]*://|/|\\\\|[A-Za-z]:[\\/]")
"""Beginning of an href that is no path relative to its Item."""
RASTERS = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff")
"""Beginnings of the media types of rasters."""
TIMES = ("datetime", "start_datetime")
"""Properties with the time of an Item, the second one for Items of a span of time."""


@dataclass(frozen=True)
class StacItem:
    """The parts of a STAC Item that lead to its rasters."""

    id: str
    hrefs: Mapping[str, str]
    """The href of each asset, by name."""
    file: str = ""
    """Path or URL of its own file, from which relative hrefs lead; empty if it is not known."""
    time: str = ""
    """Its time as ISO 8601 text; empty if it has none."""
    data: tuple[str, ...] = ()
    """Names of the assets that hold its data."""

    @classmethod
    def of(cls, item: Any) -> StacItem:
        """Return the parts of an Item.

        Args:
            item: `pystac.Item`, dict, or path of a JSON file.

        Raises:
            RasterFileError: The file cannot be read.
            InvalidInputError: It is no Item.
        """
        if isinstance(item, str | os.PathLike):
            return _of_dict(_in_file(item), os.path.abspath(item), str(item))
        if isinstance(item, Mapping):
            return _of_dict(item, _self_link(item), shown(item))
        if not is_item(item):
            raise _no_item(shown(item))
        assets = {str(name): asset.href for name, asset in item.assets.items()}
        time: Any = getattr(item, "datetime", None) or getattr(item, "properties", {}).get(TIMES[1])
        written = time.isoformat() if hasattr(time, "isoformat") else str(time or "")
        own = item.get_self_href() if hasattr(item, "get_self_href") else None
        data = _data_assets(
            {name: (item.assets[name].roles, item.assets[name].media_type) for name in assets}
        )
        return cls(_short(item.id), assets, _local(own or ""), written, data)

    @property
    def data_asset(self) -> str:
        """Name of the only asset that holds data.

        Raises:
            InvalidInputError: There are several, or none.
        """
        if len(self.data) == 1:
            return self.data[0]
        names = ", ".join(map(_short, self.data[:NAMED])) or "none"
        more = len(self.data) - NAMED
        raise InvalidInputError(
            f"The STAC Item {self.id} has {len(self.data)} assets of data: {names}"
            f"{f' and {more} more' if more > 0 else ''}; give the name of one of its assets."
        )

    def path(self, name: str) -> str:
        """Return the path or URL of an asset.

        Raises:
            InvalidInputError: There is no such asset, or its href is relative and the place of the
                Item is not known.
        """
        href = self.hrefs.get(name) if isinstance(name, str) else None
        if not isinstance(href, str):
            names = ", ".join(map(_short, list(self.hrefs)[:NAMED])) or "no assets"
            more = len(self.hrefs) - NAMED
            raise InvalidInputError(
                f"The STAC Item {self.id} has no asset {shown(name)}; give one of its assets: "
                f"{names}{f' and {more} more' if more > 0 else ''}."
            )
        if href.lstrip()[:1] in DOCUMENT:
            raise InvalidInputError(
                f"The asset {shown(name)} of the STAC Item {self.id} holds a document in place of "
                f"an address, {shown(href)}; give an Item whose hrefs are paths or URLs."
            )
        found = self._resolved(name, readable_name(_local(href)))
        if len(found) > LONGEST:
            raise InvalidInputError(
                f"The asset {shown(name)} of the STAC Item {self.id} leads to an address of "
                f"{len(found)} characters, which is no path or URL; give an Item whose hrefs are."
            )
        return found

    def _resolved(self, name: str, href: str) -> str:
        if ELSEWHERE.match(href):
            return href
        if not self.file:
            raise InvalidInputError(
                f"The asset {shown(name)} of the STAC Item {self.id} has the relative href "
                f"{shown(href)}, but the Item's own place is not known; give the path of its file "
                "in place of the Item, or an Item with a link to itself."
            )
        if "://" in self.file:
            return urljoin(self.file, href)
        folder = os.path.dirname(self.file)
        plain = os.path.join(folder, href)
        # Hrefs are URLs, in which a space may be written as %20.
        found = plain if os.path.exists(plain) else os.path.join(folder, unquote(href))
        return os.path.normpath(found)


def is_item(value: object) -> bool:
    """Tell whether a value is a STAC Item: a `pystac.Item`, a dict or the path of a JSON file.

    A path counts by its ending alone.
    """
    if isinstance(value, str | os.PathLike):
        name = os.fspath(value)
        return isinstance(name, str) and name.lower().endswith(SUFFIX)
    if isinstance(value, Mapping):
        return "assets" in value
    return hasattr(value, "id") and isinstance(getattr(value, "assets", None), Mapping)


def asset_path(item: Any, name: str) -> str:
    """Return the path or URL of an asset of a STAC Item.

    Relative hrefs lead from the file of the Item, and `file://` URLs become paths.

    Args:
        item: `pystac.Item`, the dict of one, or the path of its JSON file.
        name: Name of the asset.

    Raises:
        RasterFileError: The JSON file cannot be read.
        InvalidInputError: It is no Item, has no such asset, or a relative href cannot be resolved.
    """
    return StacItem.of(item).path(name)


def _of_dict(item: Any, file: str, words: str) -> StacItem:
    assets = item.get("assets") if isinstance(item, Mapping) else None
    if not isinstance(assets, Mapping):
        raise _no_item(words)
    hrefs = {
        str(name): asset["href"]
        for name, asset in assets.items()
        if isinstance(asset, Mapping) and isinstance(asset.get("href"), str)
    }
    facts = item.get("properties")
    times = [facts.get(name) for name in TIMES] if isinstance(facts, Mapping) else []
    time = next((one for one in times if isinstance(one, str)), "")
    kinds = {
        str(name): (asset.get("roles"), asset.get("type"))
        for name, asset in assets.items()
        if str(name) in hrefs
    }
    known = item.get("id")
    name = _short(known) if isinstance(known, str) else "without id"
    return StacItem(name, hrefs, file, time, _data_assets(kinds))


def _data_assets(kinds: Mapping[str, tuple[Any, Any]]) -> tuple[str, ...]:
    """Return the names of the assets that hold data: by their role, else by their media type.

    Args:
        kinds: Roles and media type of each asset, by name.
    """
    by_role = [name for name, (roles, _) in kinds.items() if isinstance(roles, list | tuple)]
    by_role = [name for name in by_role if "data" in kinds[name][0]]
    by_type = [name for name, (_, kind) in kinds.items() if str(kind).startswith(RASTERS)]
    return tuple(by_role or by_type or kinds)


def to_pystac(values: Mapping[str, Any], file: str | os.PathLike[str] | None = None) -> Any:
    """Return the `pystac.Item` of a dict.

    Args:
        values: The Item as a dict.
        file: Place of its file, from which relative hrefs lead.

    Raises:
        MissingPackageError: pystac is not installed.
    """
    item = required("pystac", "stac", "A STAC Item").Item.from_dict(dict(values))
    if file is not None:
        item.set_self_href(os.path.abspath(file))
    return item


def _in_file(path: str | os.PathLike[str]) -> Any:
    """Return the values of a JSON file."""
    name = readable_name(path)
    refuse_special(name)
    try:
        with Path(name).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise RasterFileError(
            f"The STAC Item {name} cannot be read: {said(error)}. Give the path of its JSON file, "
            "or open a remote one by pystac.Item.from_file."
        ) from error
    try:
        return parse_json(content)
    except InvalidInputError as error:
        raise InvalidInputError(f"The STAC Item {name} cannot be read: {error}") from error


def _self_link(item: Mapping[Any, Any]) -> str:
    """Return the href of an Item's link to itself; empty without one."""
    links = item.get("links")
    for link in links if isinstance(links, list | tuple) else ():
        if isinstance(link, Mapping) and link.get("rel") == "self":
            href = link.get("href")
            return _local(href) if isinstance(href, str) else ""
    return ""


def _short(name: object) -> str:
    """Return a name for messages, cut if it is long."""
    text = str(name)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _local(href: str) -> str:
    """Return the path of a `file://` URL; other hrefs as they are."""
    return url2pathname(urlsplit(href).path) if href.lower().startswith("file://") else href


def _no_item(words: str) -> InvalidInputError:
    return InvalidInputError(
        f"{words} is no STAC Item, which has an id and assets; give a pystac.Item, its dict, or "
        "the path of its JSON file."
    )
