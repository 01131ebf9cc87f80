"""What a row of settings cannot say of a flag, added to the signature that `flags.takes` made."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

from cyclopts import Parameter

from emdc.cli.flags import Command


def repeatable(flag: str) -> Callable[[Command], Command]:
    """Let a flag be given any number of times: the command gets a list of texts, or None."""
    hint: Any = list[str] | None
    return lambda command: _changed(command, flag, (hint, Parameter(consume_multiple=False)))


def takes_dash(name: str) -> Callable[[Command], Command]:
    """Let `-` be the value of a parameter without a flag."""
    return lambda command: _changed(command, name, (str, Parameter(allow_leading_hyphen=True)))


def takes_minus(*flags: str) -> Callable[[Command], Command]:
    """Let the values of flags begin with a minus, as `-7d` does, also without = before them."""

    def changed(command: Command) -> Command:
        for flag in flags:
            hint: Any = str | None
            command = _changed(command, flag, (hint, Parameter(allow_leading_hyphen=True)))
        return command

    return changed


def _changed(command: Command, name: str, change: tuple[Any, Parameter]) -> Command:
    described: Any = command
    parameters = dict(inspect.signature(command).parameters)
    before = parameters[name]
    hint, more = change
    annotation: Any = Annotated[hint, *before.annotation.__metadata__, more]
    parameters[name] = before.replace(annotation=annotation)
    described.__signature__ = inspect.Signature(list(parameters.values()))
    described.__annotations__ = {one.name: one.annotation for one in parameters.values()}
    return command
