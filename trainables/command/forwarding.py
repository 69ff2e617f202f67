"""Make commands of Typer from the parsers of `python -m`, so that an option is stated once.

Typer lists, explains and completes the options; the parser reads the words.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

Main = Callable[[list[str]], int]


class ForwardedCommand(TyperCommand):
    """A command that leaves its words to another parser."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the words as they are, except to show the help and to complete a word."""
        if ctx.resilient_parsing or {"-h", "--help"} & set(args):
            rest: list[str] = super().parse_args(ctx, args if ctx.resilient_parsing else ["-h"])
            return rest
        ctx.args = list(args)
        return args


def forward(
    parser: argparse.ArgumentParser,
    main: Main,
    complete: Callable[[], Sequence[str]] | None = None,
    optional: str = "",
) -> Callable[..., None]:
    """Return a function for Typer with the options of a parser, which calls `main` with the words.

    `complete` returns the possible values of the first word. `optional` is an option,
    such as `--space`, whose value may also be a word of its own.
    """

    def command(ctx: typer.Context, **_: object) -> None:
        words = _name_option(parser, optional, ctx.args) if optional else list(ctx.args)
        raise typer.Exit(main(words))

    parameters = [inspect.Parameter("ctx", KIND, annotation=typer.Context)]
    if optional:
        shown = typer.Argument(
            metavar="NAME", help=f"the same as {optional}", autocompletion=_completer(complete)
        )
        annotation: Any = Annotated[str, shown]
        parameters.append(inspect.Parameter("name_", KIND, default="", annotation=annotation))
    positional = [action for action in parser._actions if not action.option_strings]
    for action in parser._actions:
        if not isinstance(action, argparse._HelpAction):
            is_name = action in positional[:1] or optional in action.option_strings
            parameters.append(_to_parameter(action, complete if is_name else None))
    command.__doc__ = parser.description
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command


def _name_option(parser: argparse.ArgumentParser, option: str, words: Sequence[str]) -> list[str]:
    """Return the words with `option` before its value, which may stand alone anywhere."""
    first = [word for word in words[:1] if not word.startswith("-")]
    others = list(words[len(first) :])
    found, rest = parser.parse_known_args(others)
    if len(rest) == 1 and not rest[0].startswith("-"):
        first.append(others.pop(_find_place(parser, others, rest[0])))
    given = getattr(found, option.lstrip("-").replace("-", "_"))
    if len(names := [*first, *([given] if given else [])]) > 1:
        parser.error(f"{' and '.join(names)} are given: name one")
    return [option, *first, *others] if first else others


def _find_place(parser: argparse.ArgumentParser, words: Sequence[str], word: str) -> int:
    """Return where a word stands alone, which may also be the value of an option."""
    places = [place for place, other in enumerate(words) if other == word]
    other = f"{word}_"
    for place in places[1:]:
        changed = [*words[:place], other, *words[place + 1 :]]
        if parser.parse_known_args(changed)[1] == [other]:
            return place
    return places[0]


KIND = inspect.Parameter.POSITIONAL_OR_KEYWORD


def _to_parameter(
    action: argparse.Action, complete: Callable[[], Sequence[str]] | None
) -> inspect.Parameter:
    several = action.nargs == "+" or isinstance(action, argparse._AppendAction)
    choices = [str(choice) for choice in action.choices or ()]
    names = (lambda: choices) if choices else complete
    how: dict[str, Any] = {"help": action.help}
    if action.nargs != 0:
        metavar = action.metavar or "|".join(choices) or action.dest.upper()
        how |= {"metavar": metavar, "autocompletion": _completer(names)}
    if not action.option_strings:
        of: Any = list[str] if several else str
        annotation = Annotated[of, typer.Argument(**how)]
        return inspect.Parameter(action.dest, KIND, annotation=annotation)
    option = typer.Option(*action.option_strings, show_default=False, **how)
    kind: Any = bool if action.nargs == 0 else list[str] if several else str
    default: Any = False if action.nargs == 0 else [] if several else ""
    name = action.option_strings[-1].lstrip("-").replace("-", "_")
    return inspect.Parameter(name, KIND, default=default, annotation=Annotated[kind, option])


def _completer(
    names: Callable[[], Sequence[str]] | None,
) -> Callable[[str], list[str]] | None:
    if names is None:
        return None
    return lambda incomplete: [name for name in names() if name.startswith(incomplete)]
