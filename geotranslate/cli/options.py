"""Commands whose options are the arguments of Python functions."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
from click.shell_completion import CompletionItem

from geotranslate.cli.signatures import Argument, Values, arguments_of

WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True)
class Section:
    """A group of options, made from the arguments of one function or of several."""

    name: str
    """Name of its table in a configuration file."""
    title: str
    """Heading in the help."""
    places: tuple[tuple[str, str], ...]
    """Names of the functions and where they are, see `arguments_of`."""
    without: tuple[str, ...] = ()
    """Arguments that are no options."""

    @functools.cached_property
    def arguments(self) -> dict[str, dict[str, Argument]]:
        """Arguments of each function by name; a function comes by the name in `places`."""
        return {
            owner: {
                each.name: each for each in arguments_of(place) if each.name not in self.without
            }
            for owner, place in self.places
        }

    def owners(self, option: str) -> list[str]:
        """Return the names of the functions that have an argument."""
        return [owner for owner, arguments in self.arguments.items() if option in arguments]

    @property
    def names(self) -> list[str]:
        """Names of all arguments."""
        return list(dict.fromkeys(name for found in self.arguments.values() for name in found))

    def options(self) -> Iterator[click.Option]:
        """Yield an option for every argument."""
        for name in self.names:
            owners = self.owners(name)
            found = [self.arguments[owner][name] for owner in owners]
            yield DerivedOption(found, [] if len(owners) == len(self.places) else owners)


class Value(click.ParamType):  # type: ignore[type-arg]
    """A value of one of several kinds: a word, a number, text, or a list with commas."""

    name = "value"

    def __init__(self, values: Values) -> None:
        self.values = values

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value of a text."""
        if not isinstance(value, str):
            return value
        found = _read(value, self.values)
        if found is None:
            self.fail(f"{value!r} is not {_described(self.values)}.", param, ctx)
        return found

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the words that begin with a text."""
        return [CompletionItem(word) for word in self.words if word.startswith(incomplete)]

    @property
    def words(self) -> list[str]:
        """Words that are values."""
        return [*self.values.choices, *(["true", "false"] if bool in self.values.kinds else [])]

    @property
    def metavar(self) -> str:
        """The values in the help."""
        values = self.values if self.values.items is None else self.values | self.values.items
        names = [kind.__name__.upper() for kind in (int, float, str) if kind in values.kinds]
        if "FLOAT" in names:
            names = [name for name in names if name != "INT"]
        text = "|".join([*self.words, *names]).replace("STR", "TEXT")
        return text if self.values.items is None else f"{text}[,...]"


class DerivedOption(click.Option):
    """An option made from an argument, which is None if it is not given.

    Args:
        arguments: The argument, as several functions have it.
        owners: Names of the functions, for the help; none if all have it.
    """

    def __init__(self, arguments: Sequence[Argument], owners: Sequence[str]) -> None:
        first = arguments[0]
        values = functools.reduce(Values.__or__, (each.values for each in arguments))
        dashed = first.name.replace("_", "-")
        note = f" ({', '.join(owners)} only)" if owners else ""
        text = f"{first.summary}{note}{_default([each.default for each in arguments])}"
        if values == Values(kinds=frozenset({bool})):
            super().__init__([f"--{dashed}/--no-{dashed}", first.name], default=None, help=text)
            return
        kind = Value(values)
        several: dict[str, Any] = {}
        if values.count is not None and values.items is not None and not values.kinds:
            kind = Value(values.items)
            several = {"nargs": values.count}
        super().__init__(
            [f"--{dashed}", first.name],
            type=kind,
            metavar=kind.metavar,
            default=None,
            help=text,
            **several,
        )


class DerivedCommand(click.Command):
    """A command with options of its own and sections of derived ones.

    Args:
        args: Arguments of a command.
        sections: The sections.
        settings: Other arguments of a command.
    """

    def __init__(self, *args: Any, sections: Sequence[Section] = (), **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.sections = tuple(sections)

    @functools.cached_property
    def derived(self) -> list[tuple[Section, list[click.Option]]]:
        """Options of each section, made when they are first needed."""
        return [(section, list(section.options())) for section in self.sections]

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return own and derived options."""
        *own, last = super().get_params(ctx)
        return [*own, *(option for _, options in self.derived for option in options), last]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of each section under its title."""
        derived = {id(option) for _, options in self.derived for option in options}
        own = [
            each
            for each in self.get_params(ctx)
            if isinstance(each, click.Option) and id(each) not in derived
        ]
        groups: list[tuple[str, Sequence[click.Parameter]]] = [("Options", own)]
        groups += [(section.title, options) for section, options in self.derived]
        for title, options in groups:
            records = [record for each in options if (record := each.get_help_record(ctx))]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def given(section: Section, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a section that have been given."""
    names = section.names
    return {name: value for name, value in options.items() if value is not None and name in names}


def _read(text: str, values: Values) -> Any:
    """Return the value that a text stands for; None if it stands for none."""
    for choice in values.choices:
        if text.lower() == choice.lower():
            return choice
    if bool in values.kinds and text.lower() in WORDS:
        return WORDS[text.lower()]
    for kind in (int, float):
        if kind in values.kinds:
            try:
                return kind(text)
            except ValueError:
                continue
    if values.items is not None:
        items = [_read(part.strip(), values.items) for part in text.split(",")]
        if (len(items) > 1 or str not in values.kinds) and None not in items:
            return tuple(items)
    return text if str in values.kinds else None


def _described(values: Values) -> str:
    """Return the values in words, such as "one of 'auto', a whole number"."""
    words = [repr(choice) for choice in values.choices]
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    words += [name for kind, name in names.items() if kind in values.kinds]
    if values.items is not None:
        words.append(f"a list with commas of which each is {_described(values.items)}")
    return words[0] if len(words) == 1 else f"one of {', '.join(words)}"


def _default(defaults: Sequence[Any]) -> str:
    """Return the end of a help text that names a default."""
    first = defaults[0]
    if first is None or isinstance(first, bool) or any(other != first for other in defaults):
        return ""
    return f"  [default: {first}]"
