"""One HTML file made of a page's contents."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any
from uuid import uuid4

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from geotranslate.checks import file_path, flag
from geotranslate.errors import InvalidInputError, OutputExistsError, RasterFileError, said
from geotranslate.files import replaced_when_whole
from geotranslate.report.content import Page

SUFFIXES = (".html", ".htm")
POLICY = (
    "default-src 'none'; img-src data:; style-src '{style}'; script-src '{script}'; "
    "base-uri 'none'; form-action 'none'"
)
"""Content Security Policy: the page may ask for nothing, and run no other script and style."""


def render(page: Page) -> str:
    """Return a page as one HTML document that asks for no other file."""
    style, script = _file("report.css"), _file("report.js")
    policy = POLICY.format(style=_digest(style), script=_digest(script))
    found: str = _template().render(
        page=page,
        policy=policy,
        style=Markup(style),
        script=Markup(script),
        viewers={number: _json(values) for number, values in page.viewers.items()},
    )
    return found


def page_path(path: object, *, overwrite: bool) -> Path:
    """Return the path of a page after checking that it can be written.

    Raises:
        InvalidInputError: It is not the path of an HTML file.
        OutputExistsError: The file exists and `overwrite` is false.
        RasterFileError: Its folder does not exist, or it is a folder.
    """
    file = file_path("path", path)
    if file.suffix.lower() not in SUFFIXES:
        raise InvalidInputError(
            f"path is {file}, and the report is one HTML file; give a name that ends in .html."
        )
    if file.is_dir():
        raise RasterFileError(f"The report {file} is a folder; give the name of a file in it.")
    if not file.parent.is_dir():
        raise RasterFileError(
            f"The folder {file.parent} of the report {file.name} does not exist; create it first."
        )
    if not flag("overwrite", overwrite) and file.exists():
        raise OutputExistsError(
            f"The report {file} exists; give another name or pass overwrite=True (--overwrite)."
        )
    return file


def write_page(path: Path, text: str) -> None:
    """Write a page whole or not at all.

    Raises:
        RasterFileError: The file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{uuid4().hex[:8]}.partial")
    try:
        with replaced_when_whole(path, partial):
            partial.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise RasterFileError(
            f"The report {path} cannot be written: {said(error)}. Make sure that the folder may be "
            "written and its disk has room."
        ) from error


def _json(values: Any) -> Markup:
    """Return plain values as JSON that cannot end the element around it."""
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@functools.cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader(__package__, "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["anchor"] = lambda text: re.sub(r"[^a-z0-9]+", "-", text.lower())
    return environment.get_template("report.html.jinja")


def _file(name: str) -> str:
    """Return a file of the package, with one kind of line ends, as its digest is in the page."""
    text = resources.files(__package__).joinpath("page").joinpath(name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")
