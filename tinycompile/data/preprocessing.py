"""What is done to raw samples before the network sees them: resize, crop, channel order, scale, mean, std."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from tinycompile.errors import UsageError
from tinycompile.ir import Array

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Size = tuple[int, int]
Channels = Literal["rgb", "bgr", "gray"]
KEYS = ("resize", "crop", "channels", "scale", "mean", "std")


@dataclass(frozen=True)
class Preprocessing:
    """real = (raw * scale - mean) / std, after ``resize``, ``crop`` and ``channels``, which concern images
    only.

    ``resize``: one number scales an image's shorter side to it, two (height, width) its sides. ``crop``: the
    centre of that height and width. An image that then still has another size than the model's input is
    scaled to cover it and cropped at the centre. ``channels`` None: as the model's input has 1 or 3 channels,
    RGB. ``scale``, ``mean`` and ``std`` hold one number, or one a channel (the last axis).
    """

    resize: int | Size | None = None
    crop: Size | None = None
    channels: Channels | None = None
    scale: tuple[float, ...] = (1.0,)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    @property
    def keeps_values(self) -> bool:
        """Whether values pass unchanged."""
        return self.scale == (1.0,) and self.mean == (0.0,) and self.std == (1.0,) and self.channels != "bgr"

    def apply(self, raw: Array, *, where: str) -> Array:
        """float32 values of samples whose channels come last; UsageError where the number of channels
        differs.
        """
        for key in ("scale", "mean", "std"):
            count = len(getattr(self, key))
            if count not in (1, raw.shape[-1]):
                raise UsageError(
                    f"{key} has {count} numbers, the input has {raw.shape[-1]} channels",
                    where=where,
                    hint=f"give {key} one number, or one for each channel, as {key}=0.5:0.4:0.3",
                )
        if self.channels == "bgr" and raw.shape[-1] == 3:
            raw = raw[..., ::-1]
        scale, mean, std = (np.asarray(v, np.float64) for v in (self.scale, self.mean, self.std))
        real: Array = ((raw.astype(np.float64) * scale - mean) / std).astype(np.float32)
        return real


def parse_preprocessing(text: str) -> Preprocessing:
    """``scale=1/255,mean=0.485:0.456:0.406,crop=224x224``, or the path of a TOML file with the same keys.

    Numbers may be fractions; several are joined by colons (a list in TOML). UsageError names the key.
    """
    if text.endswith(".toml"):
        return _from_mapping(_read_toml(Path(text)), where=text)
    items: dict[str, Any] = {}
    for item in filter(None, text.split(",")):
        key, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"{item!r} is not KEY=VALUE", where="--preprocess", hint=_HINT)
        items[key.strip()] = value.strip()
    return _from_mapping(items, where="--preprocess")


_HINT = f"keys are {', '.join(KEYS)}; for example scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225"


def _read_toml(path: Path) -> Mapping[str, Any]:
    try:
        items: Mapping[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"is not TOML: {error}", where=str(path), hint=_HINT) from error
    return items


def _from_mapping(items: Mapping[str, Any], where: str) -> Preprocessing:
    unknown = [key for key in items if key not in KEYS]
    if unknown:
        raise UsageError(f"unknown preprocessing key {unknown[0]!r}", where=where, hint=_HINT)
    parsed: dict[str, Any] = {key: _PARSERS[key](key, value, where) for key, value in items.items()}
    return replace(Preprocessing(), **parsed)


def _number(key: str, value: Any, where: str) -> float:
    try:
        dividend, _, divisor = value.partition("/") if isinstance(value, str) else (value, "", "")
        number = float(dividend) / float(divisor or 1)
    except (ValueError, TypeError, ZeroDivisionError):
        raise UsageError(f"{key}: {value!r} is not a number", where=where, hint=_HINT) from None
    if not np.isfinite(number):
        raise UsageError(f"{key}: {value!r} is not finite", where=where)
    return number


def _numbers(key: str, value: Any, where: str) -> tuple[float, ...]:
    parts = value.split(":") if isinstance(value, str) else value if isinstance(value, list) else [value]
    numbers = tuple(_number(key, part, where) for part in parts)
    if not numbers or (key in ("std", "scale") and 0.0 in numbers):
        raise UsageError(f"{key} must not be {'empty' if not numbers else '0'}", where=where)
    return numbers


def _extents(key: str, value: Any, where: str) -> tuple[int, ...]:
    parts = value.lower().split("x") if isinstance(value, str) else value if isinstance(value, list) else [value]
    numbers = [_number(key, part, where) for part in parts]
    if len(numbers) not in (1, 2) or any(n < 1 or n != int(n) or n > 1 << 14 for n in numbers):
        raise UsageError(f"{key}: {value!r} is not a size", where=where, hint=f"write {key}=224 or {key}=96x128")
    return tuple(int(n) for n in numbers)


def _resize(key: str, value: Any, where: str) -> int | Size:
    sides = _extents(key, value, where)
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def _crop(key: str, value: Any, where: str) -> Size:
    sides = _extents(key, value, where)
    return sides[0], sides[-1]


def _channels(key: str, value: Any, where: str) -> str:
    if value not in get_args(Channels):
        raise UsageError(f"{key}: {value!r} is none of {', '.join(get_args(Channels))}", where=where)
    return str(value)


_PARSERS: Mapping[str, Callable[[str, Any, str], object]] = {
    "resize": _resize,
    "crop": _crop,
    "channels": _channels,
    "scale": _numbers,
    "mean": _numbers,
    "std": _numbers,
}
