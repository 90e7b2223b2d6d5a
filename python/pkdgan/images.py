"""What ``X`` may be: arrays, paths, bytes of files and Pillow's images, as the compiled module takes them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Sequence, Tuple, Union

import numpy as np

if TYPE_CHECKING:
    from typing_extensions import TypeGuard

__all__ = ["Images", "Pixels", "arrays_of", "is_path", "opaque"]

#: ``[N, H, W]`` or ``[N, H, W, C]`` of uint8; a list of such arrays of one image each, of paths, of the bytes of
#: picture files, or of Pillow's images.
Images = Union[np.ndarray, Sequence[Any]]
#: Bytes ``[N, H, W, values]`` in C order, and whether each value is two of them.
Pixels = Tuple[np.ndarray, bool]

_CHANNELS = (1, 3, 4)
# Modes of Pillow whose values mean what ours do.
_PLAIN = ("L", "LA", "RGB", "RGBA")


def is_path(item: Any) -> TypeGuard[Union[str, os.PathLike[str]]]:
    """Whether it is the path of a file or a folder."""
    return isinstance(item, (str, os.PathLike))


def _is_pillow(item: Any) -> bool:
    return type(item).__module__.split(".")[0] == "PIL" or (hasattr(item, "mode") and hasattr(item, "getbands"))


def arrays_of(X: Images) -> Union[List[Pixels], List[Path], List[bytes]]:
    """The pixels of ``X``, its paths, or the bytes of its files. An array of uint8 in C order is not copied."""
    if is_path(X):
        raise TypeError(f"X is a path; give a list of paths: [{os.fspath(X)!r}]")
    if _is_pillow(X):
        raise TypeError("X is a single image; give a list of images")
    if isinstance(X, np.ndarray) and X.dtype.kind not in "OUS":
        return [(_pixels(X), False)]
    if hasattr(X, "toarray"):
        raise TypeError("X is a sparse matrix; give an array of pixels [N, H, W] or [N, H, W, C]")
    if not isinstance(X, (list, tuple, np.ndarray)):
        if not hasattr(X, "__array__"):
            raise TypeError(f"X is a {type(X).__name__}; give an array of uint8, or a list of paths or images")
        return [(_pixels(np.asarray(X)), False)]
    items = list(X)
    if not items:
        raise ValueError("X has no images: 0 sample(s), while a minimum of 1 is required")
    if is_path(items[0]):
        _all(items, is_path, "a path")
        return [Path(os.fspath(item)) for item in items]
    if isinstance(items[0], bytes):
        _all(items, lambda item: isinstance(item, bytes), "bytes")
        return items
    if _is_pillow(items[0]):
        _all(items, _is_pillow, "an image")
        return [_of_pillow(place, item) for place, item in enumerate(items)]
    return [(_pixels(_stacked(items)), False)]


def _all(items: Sequence[Any], fits: Any, what: str) -> None:
    for place, item in enumerate(items):
        if not fits(item):
            raise TypeError(f"X[0] is {what}, and X[{place}] is a {type(item).__name__}; give one kind only")


def _stacked(items: Sequence[Any]) -> np.ndarray:
    arrays = [np.asarray(item) for item in items]
    for place, array in enumerate(arrays):
        if array.dtype.kind in "OUS":
            kind = type(items[place]).__name__
            raise TypeError(f"X[{place}] is a {kind}; give arrays of uint8, or a list of paths or images")
        if array.shape != arrays[0].shape:
            shapes = f"{arrays[0].shape} and X[{place}] has {array.shape}"
            raise ValueError(f"X[0] has shape {shapes}; give images of one size, or Pillow's images or paths")
    return np.stack(arrays)


def _pixels(X: np.ndarray) -> np.ndarray:
    if X.dtype != np.uint8:
        advice = "such as (255 * X).astype('uint8')" if X.dtype.kind == "f" else "such as X.astype('uint8')"
        raise TypeError(f"X has dtype {X.dtype}; give pixels of uint8, 0 to 255, {advice}")
    if X.ndim not in (3, 4):
        advice = "; of a single image give X[None]" if X.ndim == 2 else ""
        raise ValueError(f"X has shape {X.shape}; give [N, H, W] or [N, H, W, C]{advice}")
    if X.ndim == 4 and X.shape[3] not in _CHANNELS:
        advice = "; channels come last" if X.shape[1] in _CHANNELS else ""
        raise ValueError(f"X has shape {X.shape}, so {X.shape[3]} channels; give 1, 3 or 4{advice}")
    if X.shape[0] == 0:
        raise ValueError(f"X has no images: 0 sample(s) (shape={X.shape}) while a minimum of 1 is required")
    if X.size == 0:
        raise ValueError(f"X has shape {X.shape}, so its images have no pixels")
    return np.ascontiguousarray(X.reshape(*X.shape, 1) if X.ndim == 3 else X)


def _of_pillow(place: int, image: Any) -> Pixels:
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    mode = image.mode
    if mode.startswith("I;16"):
        values = np.ascontiguousarray(np.asarray(image).astype(np.uint16))
        return values[None, ..., None].view(np.uint8), True
    if mode in ("I", "F"):
        raise TypeError(f"X[{place}] is an image of mode {mode}; convert it to L, RGB or I;16")
    if mode not in _PLAIN or "transparency" in image.info:
        transparent = "transparency" in image.info or mode in ("PA", "RGBa", "La")
        image = image.convert("RGBA" if transparent else "L" if mode == "1" else "RGB")
    values = np.asarray(image)
    if values.size == 0:
        raise ValueError(f"X[{place}] is an image of {image.width} x {image.height} pixels")
    return np.ascontiguousarray(values[None] if values.ndim == 3 else values[None, ..., None]), False


def opaque(values: np.ndarray) -> np.ndarray:
    """An image ``[H, W, values]`` without its opacity: what is transparent lies on black."""
    if values.shape[-1] not in (2, 4):
        return values
    wide = values.astype(np.uint32)
    return ((wide[..., :-1] * wide[..., -1:] + 127) // 255).astype(np.uint8)
