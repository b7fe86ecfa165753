"""Settings of a training, from a TOML file and the command line."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from geotranslate.cli.options import Section, given
from geotranslate.cli.sections import DATA, FIT, MODEL, TRANSLATORS
from geotranslate.errors import said

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SECTIONS = (DATA, MODEL, FIT)
FILE = "train.toml"
"""Name of the file that a training writes."""
NOT_KEPT = {"resume": None}
"""Arguments that do not determine the result."""
PLACES = ("path", "target", "output", "translator")
"""Entries before the first table of a file."""


@dataclass(frozen=True)
class Settings:
    """Everything that determines a training; arguments that are not given have their defaults."""

    path: str | list[str]
    target: str | None
    output: str
    translator: str
    data: dict[str, Any]
    model: dict[str, Any]
    fit: dict[str, Any]

    @classmethod
    def merged(cls, file: Path | None, options: Mapping[str, Any]) -> Settings:
        """Return the settings of a file, replaced by options of the command line where given.

        Raises:
            click.UsageError: The file cannot be read or has unknown entries, or something is
                missing.
        """
        read = {} if file is None else _read(file)
        places: dict[str, Any] = {name: options.get(name) or read.get(name) for name in PLACES}
        places["translator"] = translator = places["translator"] or next(iter(TRANSLATORS))
        if translator not in TRANSLATORS:
            raise _unknown(f"translator is {translator!r}", str(translator), TRANSLATORS)
        for name, word in (("path", "PATH, the chips"), ("output", "--output, the model's folder")):
            if not places[name]:
                raise click.UsageError(f"Give {word}, or a --config that has {name}.")
        tables = {
            section.name: read.get(section.name, {}) | given(section, options)
            for section in SECTIONS
        }
        for section in SECTIONS:
            _check(section, tables[section.name], translator)
        return cls(
            path=places["path"],
            target=places["target"],
            output=places["output"],
            translator=translator,
            data=tables["data"],
            model=tables["model"],
            fit=tables["fit"],
        )

    def to_toml(self) -> str:
        """Return the text of a file with these settings and the defaults of all other arguments."""
        lines = [_line(name, value) for name in PLACES if (value := getattr(self, name))]
        for section in SECTIONS:
            arguments = (
                section.arguments.get(self.translator) or section.arguments[section.places[0][0]]
            )
            defaults = {name: each.default for name, each in arguments.items()}
            values = defaults | getattr(self, section.name) | NOT_KEPT
            lines += ["", f"[{section.name}]"]
            lines += [_line(name, value) for name, value in values.items() if value is not None]
        return "\n".join(lines) + "\n"


def _read(file: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{file} cannot be read as TOML: {said(error)}.") from error
    known = [*PLACES, *(section.name for section in SECTIONS)]
    for name in found:
        if name not in known:
            raise _unknown(f"{file} has an entry {name!r}", name, known)
    for section in SECTIONS:
        if not isinstance(found.get(section.name, {}), dict):
            raise click.UsageError(
                f"{file} has {section.name} as a value; give a table of options."
            )
    return found


def _check(section: Section, options: Mapping[str, Any], translator: str) -> None:
    """Raise an error if there is no such option, or only one of other translators."""
    for name in options:
        owners = section.owners(name)
        if not owners:
            raise _unknown(f"{name!r} is no option of [{section.name}]", name, section.names)
        if section is MODEL and translator not in owners:
            raise click.UsageError(
                f"{name} is an option of {' and '.join(owners)}, but translator is {translator}; "
                "leave it out, or give another --translator."
            )


def _unknown(what: str, name: str, known: Any) -> click.UsageError:
    near = difflib.get_close_matches(name, known) or list(known)
    return click.UsageError(f"{what}; give one of {', '.join(near)}.")


def _line(name: str, value: Any) -> str:
    # JSON's strings, numbers, truth values and lists are TOML, too, but for one character.
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"{name} = {text}"
