"""B-mode images and clips: picture files, folders of them, and videos.

Pictures are grey, or colour with equal red, green and blue. A folder is one clip, its pictures in
the order of their names. Videos (.mp4, .avi, .mov) need the plugin that `pip install sciddm[video]`
brings; .gif and .tif of several pages need nothing more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.checks import check_size, existing_file, memory_limit, reading
from sciddm.data_adapters.gate.ffmpeg import options_for
from sciddm.data_adapters.gate.tiff import check_tiff
from sciddm.data_adapters.ultrasound.frames import build_frames
from sciddm.data_adapters.ultrasound.overlays import colour_flow, coloured, overlays
from sciddm.data_adapters.ultrasound.sector import image_region
from sciddm.data_adapters.ultrasound.videos import write_video
from sciddm.errors import InputError, OutputError
from sciddm.storage.special_files import check_regular

__all__ = ["CLIPS", "PICTURES", "RANGE_DB", "VIDEOS", "grey_frames", "read_images", "write_images"]

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
CLIPS = (".gif", ".tif", ".tiff")
VIDEOS = (".mp4", ".avi", ".mov")
_STACKS = (".tif", ".tiff")
RANGE_DB = 60.0
_SHARE = 0.002  # of the image, above which areas of colour are flow


def read_images(source: str | Path) -> xr.Dataset:
    """Reads a picture, a clip or a folder of pictures; `mask` is where the image is in them.

    Raises:
        InputError: damaged, colour (Doppler), pictures of different sizes, or no plugin.
    """
    path = Path(source)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES)
        if not found:
            raise InputError(f"{path}: the folder holds no picture ({', '.join(PICTURES)})")
        parts = [_uniform(p, _read(p)[:1]) for p in found]
        sizes = {p.shape[1:3] for p in parts}
        if len(sizes) > 1:
            raise InputError(f"{path}: pictures of different sizes ({sorted(sizes)}): sort them")
        if len({p.ndim for p in parts}) > 1:  # some grey, some in colour
            parts = [p if p.ndim == 4 else np.repeat(p[..., None], 3, axis=-1) for p in parts]
        pages, form = np.concatenate(parts), "folder"
    else:
        path = existing_file(path)
        pages, form = _uniform(path, _read(path)), path.suffix.lower()[1:]
    brightness = pages.mean(axis=-1) if pages.ndim == 4 else pages
    mask = image_region(brightness.astype(np.float32) / 255)
    grey, colour = grey_frames(path, pages, mask)
    return build_frames(
        path,
        grey.astype(np.float32) / 255,
        "bmode",
        form=form,
        mask=mask,
        overlay=overlays(grey, mask, colour),
        attrs={"dynamic_range_db": RANGE_DB},
    )


def write_images(frames: NDArray[np.uint8], path: Path) -> None:
    """Writes frames (frame, depth, lateral) as one picture or clip, by the suffix of `path`.

    Raises:
        OutputError: several frames for a format that holds one, or no plugin for a video.
    """
    suffix = path.suffix.lower()
    if suffix in PICTURES:
        if len(frames) != 1:
            raise OutputError(f"{path}: {len(frames)} frames need .gif, .tif, .mp4 or .h5: rename")
        _write_picture(frames[0], path)
    elif suffix in VIDEOS:
        write_video(frames, path)
    else:
        _write_picture(frames, path)


def _write_picture(pages: NDArray[np.uint8], path: Path) -> None:
    """In memory first: some of the libraries do not say what the disk refuses."""
    path.write_bytes(iio.imwrite("<bytes>", pages, extension=path.suffix.lower()))


def grey_frames(
    path: Path, pages: NDArray[Any], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """Brightness (frame, y, x), and where the image is coloured, None for grey pages.

    Colour is judged within the image's region: scales and logos beside it may have any.

    Args:
        path: for messages.
        pages: (frame, y, x[, channel]), uint8.
        mask: (y, x), where the image is.

    Raises:
        InputError: not 8 bit, or areas of colour in the image, as colour Doppler has.
    """
    pages = _uniform(path, pages)
    if pages.ndim == 3:
        return pages, None
    grey = pages.astype(np.float32).mean(axis=-1).round().astype(np.uint8)
    colour = coloured(pages) & mask
    share = colour_flow(colour).sum(axis=(1, 2)) / max(1, int(mask.sum()))
    if (share > _SHARE).any():
        first = int(np.argmax(share > _SHARE))
        raise InputError(
            f"{path}: frame {first + 1} has colour in {share[first]:.1%} of its image, as "
            "colour Doppler has: give grey-scale B-mode"
        )
    return grey, colour


def _uniform(path: Path, pages: NDArray[Any]) -> NDArray[np.uint8]:
    """(frame, y, x) or (frame, y, x, 3)."""
    if pages.dtype != np.uint8:
        raise InputError(f"{path}: {pages.dtype} pixels, not 8 bit: export as 8-bit grey")
    if pages.ndim == 3:
        return pages
    if pages.ndim != 4 or pages.shape[-1] not in (1, 2, 3, 4):
        raise InputError(f"{path}: no image in it, its shape is {pages.shape}")
    return pages[..., 0] if pages.shape[-1] < 3 else pages[..., :3]


def _read(path: Path) -> NDArray[Any]:
    """(frame, y, x[, channel])."""
    # By an absolute name: imageio takes ``imageio:a.png`` for a download, ``~`` for another folder.
    check_regular(path)
    if path.suffix.lower() in VIDEOS:
        options = options_for(path)
        try:
            return _film(path, options)
        except InputError:
            raise
        except (ImportError, OSError, ValueError, RuntimeError) as error:
            text = " ".join(str(error).split())[:120]
            raise InputError(
                f"{path}: cannot be read as a video ({text}): `pip install sciddm[video]`, or "
                "convert it to .gif"
            ) from error
    # TIFF stacks its pages by itself; other clips are asked for all, pictures for the only one.
    index = None if _is_tiff(path) else ... if _many(path) else 0
    with reading(path):
        if _is_tiff(path):
            check_tiff(path)
    # One library, which the suffix chooses: left to itself, imageio tries all that are installed.
    how: dict[str, Any] = {"index": index, "plugin": None if _is_tiff(path) else "pillow"}
    with reading(path):
        properties = iio.improps(path.absolute(), **how)
        check_size(path, "the image", properties.shape, 1, stored=path)
        pages = np.asarray(iio.imread(path.absolute(), **how))
    colours = pages.ndim > 2 and pages.shape[-1] in (3, 4)
    return pages[None] if pages.ndim == (3 if colours else 2) else pages


def _film(path: Path, options: list[str]) -> NDArray[Any]:
    """(frame, y, x, 3), read one by one: what a header says of their number is not relied on."""
    frames: list[NDArray[Any]] = []
    for frame in iio.imiter(path.absolute(), plugin="FFMPEG", input_params=options):
        frames.append(np.asarray(frame))
        if frames[0].nbytes * len(frames) > memory_limit():
            raise InputError(f"{path}: does not fit into memory: cut it")
    if not frames:
        raise InputError(f"{path}: no frame can be read: it is damaged, export it again")
    return np.stack(frames)


def _is_tiff(path: Path) -> bool:
    return path.suffix.lower() in _STACKS


def _many(path: Path) -> bool:
    return path.suffix.lower() in CLIPS
