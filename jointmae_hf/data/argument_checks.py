"""The check of whole numbers among the arguments of datasets and builders."""

from typing import Any


def check_integer(name: str, value: Any, least: int, most: int | None = None) -> None:
    """Raise unless an argument is an integer of at least `least` and, if given, at most `most`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"`{name}` must be an int, got {value!r}.")
    if value < least or (most is not None and value > most):
        rule = f"at least {least}" if most is None else f"between {least} and {most}"
        raise ValueError(f"`{name}` must be {rule}, got {value}.")
