"""Contents of a page, which its template lays out."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from geotranslate.report.charts import Curve, SplitMap
from geotranslate.report.sceneview import SceneView

Row = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table whose first row holds titles, if it has any, and whose first column holds names."""

    caption: str
    rows: tuple[Row, ...]
    titles: Row = ()
    notes: tuple[str, ...] = ()
    """Sentences under the table."""
    numeric: bool = True
    """Whether all but the first column hold numbers."""


@dataclass(frozen=True)
class Highlight:
    """A result at the head of the page."""

    scene: str
    value: str
    name: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """Pictures of a validation pair as data URIs."""

    name: str
    pictures: tuple[str, ...]
    width: int
    height: int


@dataclass(frozen=True)
class DataSection:
    """Description of the training data."""

    summary: Table
    maps: tuple[SplitMap, ...]
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class SceneSection:
    """Results of one scene."""

    number: int
    name: str
    reference: str
    """Name of the reference, "" for none."""
    facts: Table
    tables: tuple[Table, ...]
    """Measures, skills, zones and classes."""
    seams: Table | None
    view: SceneView
    warnings: tuple[str, ...]
    """What the model does not know about this scene."""
    highlight: Highlight | None


@dataclass(frozen=True)
class Reproduction:
    """Facts by which the page can be made again."""

    command: str
    versions: Table
    inputs: Table


@dataclass(frozen=True)
class Page:
    """A whole page."""

    title: str
    subtitle: str
    model: Table
    options: Table
    data: DataSection | None
    curves: tuple[Curve, ...]
    metrics: tuple[Table, ...]
    scenes: Sequence[SceneSection]
    limits: tuple[str, ...]
    reproduction: Reproduction
    viewers: Mapping[str, Any] = field(default_factory=dict)
    """Plain values of the viewers, by the number of the scene."""


def page_name(name: str, short: str | None = None) -> str:
    """Return a name without folders, and without the queries of URLs, which may hold passwords.

    Args:
        name: Path, URL or GDAL name, of which there may be several.
        short: The same without folders; None to find it.
    """
    remote = "://" in name or "/vsi" in name
    found = os.path.basename(name.split("?")[0] if remote else name) if short is None else short
    return re.sub(r"\?[^\s+,]*", "", found) if remote else found


def plural(count: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{count:,} {noun}{'s' if count != 1 else ''}"
