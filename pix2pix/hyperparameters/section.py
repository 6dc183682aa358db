"""Validation of one section of hyperparameters against the types of its fields."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, get_args, get_origin, get_type_hints

import msgspec
from msgspec.inspect import BoolType, FloatType, IntType, LiteralType, Metadata, type_info

from pix2pix.errors import HyperparameterError


@dataclass(frozen=True)
class Section:
    """One table of the parameters file.

    A field's type states what is allowed: ``Annotated[int, Meta(ge=1, le=512)]``, ``Literal["crop", "pad"]``, ``bool``.
    Construction refuses anything else, so that an instance is always usable.
    """

    NAME: ClassVar[str]
    """Name of the table."""

    CHECKS: ClassVar[Mapping[str, Callable[[Any], bool]]] = {}
    """Field -> condition that its type cannot express; the field's description then states what is allowed."""

    TYPES: ClassVar[Mapping[str, Any]] = {}
    """Field -> type with its constraints."""

    def __init_subclass__(cls) -> None:
        hints = get_type_hints(cls, include_extras=True)
        cls.TYPES = {name: hint for name, hint in hints.items() if get_origin(hint) is not ClassVar}

    def __post_init__(self) -> None:
        for name in self.TYPES:
            self.convert(name, getattr(self, name))
        self.check_together()

    @classmethod
    def of(cls, *layers: Mapping[str, object]) -> Self:
        """Lay values over the defaults.

        Args:
            layers: names and values; later layers win.

        Raises:
            HyperparameterError: an unknown name, or a value of another type or out of range; the message states what
                is allowed.
        """
        return cls(**{name: cls.convert(name, value) for layer in layers for name, value in layer.items()})

    @classmethod
    def convert(cls, name: str, value: object) -> object:
        """Convert a value from TOML or JSON to the type of its field: whole numbers to floats, lists to tuples.

        Raises:
            HyperparameterError: see `of`.
        """
        if name not in cls.TYPES:
            raise unknown(f"hyperparameter of [{cls.NAME}]", name, cls.TYPES)
        hint = cls.TYPES[name]
        try:
            converted: object = msgspec.convert(value, hint)
        except (msgspec.ValidationError, UnicodeEncodeError) as error:  # JSON may hold half of a surrogate pair
            raise _refusal(name, value, hint) from error
        if not cls.CHECKS.get(name, lambda _: True)(converted):
            raise _refusal(name, value, hint)
        return converted

    def check_together(self) -> None:
        """Refuse values that are valid one by one and contradict each other.

        Raises:
            HyperparameterError: names the values and what to set instead.
        """


def unknown(kind: str, name: str, allowed: Collection[str]) -> HyperparameterError:
    """Return the error for a name that does not exist, with the nearest one and all that do.

    Args:
        kind: what `name` should be, such as ``section``.
        name: as the user wrote it.
        allowed: the names that exist.
    """
    nearest = difflib.get_close_matches(name, allowed, n=1)
    suggestion = f" (did you mean {nearest[0]}?)" if nearest else ""
    return HyperparameterError(f"unknown {kind}: {name}{suggestion}; allowed: {', '.join(allowed)}")


def _refusal(name: str, value: object, hint: Any) -> HyperparameterError:
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return HyperparameterError(f"{name} = {shown} cannot be used; allowed: {_allowed(hint)}")


def _allowed(hint: Any) -> str:
    info = type_info(hint)
    if isinstance(info, Metadata):
        return str((info.extra_json_schema or {})["description"])
    if isinstance(info, LiteralType):
        return f"one of {', '.join(map(str, get_args(hint)))}"
    if isinstance(info, IntType):
        return f"a whole number from {info.ge} to {info.le}"
    if isinstance(info, FloatType):
        return f"a number from {info.ge:g} to {info.le:g}"
    if isinstance(info, BoolType):
        return "true or false"
    raise TypeError(f"{hint} has no text for what is allowed; add one to {__name__}")
