"""Every format and mode that Pillow writes, orientation, damage of all kinds, threads."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lamina.data.decode import UnreadableError, decode, decode_many, parallel, read_header
from lamina.errors import ConfigError, DataError

WIDTH, HEIGHT = 24, 16


def gradient() -> np.ndarray:
    """A smooth colour picture: lossy formats come close to it."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([rows * 15, columns * 10, 255 - rows * 7 - columns * 4], axis=-1).astype(np.uint8)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


FORMATS = {
    "JPEG": ["L", "RGB", "CMYK"],
    "PNG": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "WEBP": ["RGB", "RGBA"],
    "BMP": ["1", "L", "P", "RGB", "RGBA"],
    "GIF": ["L", "P", "RGB"],
    "TIFF": ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr"],
}
GREY = {"1", "L", "LA", "I;16", "I", "F"}


def in_mode(mode: str) -> Image.Image:
    grey = gradient()[..., 0]
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257)
    if mode == "I":
        return Image.fromarray(grey.astype(np.int32) * 257)
    if mode == "F":
        return Image.fromarray(grey.astype(np.float32) / 255)
    image = Image.fromarray(grey) if mode in GREY else Image.fromarray(gradient())
    return image.convert(mode) if mode != "P" else image.quantize(256)


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in FORMATS.items() for mode in modes])
def test_every_format_and_mode(tmp_path: Path, kind: str, mode: str) -> None:
    path = tmp_path / "picture"
    path.write_bytes(saved(in_mode(mode), kind, **({"quality": 95} if kind in ("JPEG", "WEBP") else {})))
    grey = decode(path, HEIGHT, WIDTH, 1)
    colour = decode(path, HEIGHT, WIDTH, 3)
    assert grey.shape == (HEIGHT, WIDTH, 1)
    assert colour.shape == (HEIGHT, WIDTH, 3)
    assert grey.dtype == colour.dtype == np.uint8
    width, height, _ = read_header(path)
    assert (width, height) == (WIDTH, HEIGHT)
    if mode == "1":
        assert set(np.unique(grey)) == {0, 255}
    elif mode in GREY:
        np.testing.assert_allclose(grey[..., 0].astype(int), gradient()[..., 0], atol=3)
        np.testing.assert_array_equal(colour, np.repeat(grey, 3, axis=2))
    else:
        limit = 24 if kind in ("JPEG", "WEBP", "GIF") or mode == "P" else 3  # chroma at half resolution, palettes
        np.testing.assert_allclose(colour.astype(int), gradient(), atol=limit)
        luma = gradient() @ np.array([0.299, 0.587, 0.114])
        np.testing.assert_allclose(grey[..., 0].astype(float), luma, atol=limit)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    picture = decode(saved(Image.fromarray(values), "PNG"), 16, 16, 1)[..., 0]
    np.testing.assert_array_equal(picture, np.rint(values / 257))


def test_float_greys_of_both_ranges() -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    for values in (ramp, ramp * 255):
        picture = decode(saved(Image.fromarray(values), "TIFF"), 8, 8, 1)[..., 0]
        np.testing.assert_array_equal(picture, np.rint(ramp * 255))
    with pytest.raises(UnreadableError, match="not numbers"):
        decode(saved(Image.fromarray(np.full((8, 8), np.nan, np.float32)), "TIFF"), 8, 8, 1)


def test_transparency_is_laid_over_white() -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[..., 0], pixels[:2, :, 3], pixels[2, :, 3] = 200, 255, 51
    image = Image.fromarray(pixels)
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([10, 20, 30, 200, 0, 0])
    palette.paste(0, (0, 3, 4, 4))
    for data in (saved(image, "PNG"), saved(image, "WEBP", lossless=True, exact=True), saved(image, "TIFF")):
        picture = decode(data, 4, 4, 3)
        assert picture[0, 0].tolist() == [200, 0, 0]
        np.testing.assert_allclose(picture[2, 0].astype(int), [244, 204, 204], atol=1)
        assert picture[3, 0].tolist() == [255, 255, 255]
    for data in (saved(palette, "PNG", transparency=0), saved(palette, "GIF", transparency=0)):
        picture = decode(data, 4, 4, 3)
        assert picture[0, 0].tolist() == [200, 0, 0]
        assert picture[3, 0].tolist() == [255, 255, 255]
    keyed = saved(Image.fromarray(pixels[..., :3].copy()), "PNG", transparency=(200, 0, 0))
    assert (decode(keyed, 4, 4, 3) == 255).all()
    tinted = saved(Image.merge("LA", (Image.new("L", (4, 4), 0), Image.new("L", (4, 4), 51))), "PNG")
    np.testing.assert_allclose(decode(tinted, 4, 4, 1).astype(int), 204, atol=1)


def test_palette_with_opacity_for_each_colour() -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 0, 0, 0])
    picture = decode(saved(palette, "PNG", transparency=bytes([255, 51])), 4, 4, 3)
    np.testing.assert_allclose(picture.astype(int), 204, atol=1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_orientation_is_obeyed(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    data = saved(Image.fromarray(gradient()), kind, exif=exif, **options)
    upright = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, 1),
    }[orientation](gradient())
    picture = decode(data, *upright.shape[:2], 3)
    np.testing.assert_allclose(picture.astype(int), upright, atol=4 if kind == "JPEG" else 0)
    if kind != "PNG":
        assert read_header(data)[:2] == (upright.shape[1], upright.shape[0])


def test_a_turned_picture_is_cropped_as_it_is_seen() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    tall = np.rot90(gradient(), -1)
    turned = decode(saved(Image.fromarray(gradient()), "PNG", exif=exif), 10, 8, 3)
    straight = decode(saved(Image.fromarray(np.ascontiguousarray(tall)), "PNG"), 10, 8, 3)
    np.testing.assert_allclose(turned.astype(int), straight, atol=1)


def test_the_centre_is_kept() -> None:
    wide = np.zeros((10, 50, 3), np.uint8)
    wide[:, 20:30] = 255
    np.testing.assert_array_equal(decode(Image.fromarray(wide), 10, 10, 3), 255)
    np.testing.assert_array_equal(decode(Image.fromarray(wide.transpose(1, 0, 2).copy()), 10, 10, 3), 255)
    shrunk = decode(Image.fromarray(np.repeat(np.repeat(wide, 4, 0), 4, 1)), 10, 50, 3)
    np.testing.assert_allclose(shrunk[:, 5:15], 0)
    np.testing.assert_allclose(shrunk[:, 22:28], 255)
    assert decode(Image.fromarray(wide[:1, :1]), 7, 5, 3).shape == (7, 5, 3)  # a pixel becomes a picture


def test_shrinking_averages() -> None:
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    np.testing.assert_allclose(decode(Image.fromarray(board), 8, 8, 1).astype(int), 127, atol=16)


def test_a_large_jpeg_comes_out_the_same_by_its_short_cut() -> None:
    rows, columns = np.mgrid[0:800, 0:1200]
    large = np.stack([rows / 4, columns / 6, 128 + 60 * np.sin(rows / 90)], axis=-1).astype(np.uint8)
    data = saved(Image.fromarray(large), "JPEG", quality=95)
    plain = decode(Image.open(io.BytesIO(data)), 48, 72, 3)  # a Pillow image of the caller's is not drafted
    np.testing.assert_allclose(decode(data, 48, 72, 3).astype(int), plain, atol=4)


def test_a_pillow_image_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(gradient()).resize((240, 160)).save(path)
    with Image.open(path) as image:
        decode(image, 8, 8, 1)
        assert image.size == (240, 160)
        assert image.mode == "RGB"
        assert decode(image, 8, 8, 3).shape == (8, 8, 3)


def test_the_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP", "TIFF", "PNG"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert decode(data, 8, 8, 3)[0, 0].tolist() == [255, 0, 0]


def png_claiming(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_000, 14_000, 60_000])  # Pillow lets the first two pass with a warning
def test_bombs_are_refused_without_a_warning(side: int) -> None:
    for read in (read_header, lambda data: decode(data, 8, 8, 3)):
        with pytest.raises(UnreadableError, match="decompression bomb"):
            read(png_claiming(side, side))


def test_the_limit_is_the_one_set_in_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(Image.fromarray(gradient()), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", WIDTH * HEIGHT)
    assert decode(data, 8, 8, 3).shape == (8, 8, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", WIDTH * HEIGHT - 1)
    with pytest.raises(UnreadableError, match="decompression bomb"):
        decode(data, 8, 8, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # switched off there, still guarded here
    with pytest.raises(UnreadableError, match="decompression bomb"):
        decode(png_claiming(60_000, 60_000), 8, 8, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_a_file_cut_short(tmp_path: Path, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = saved(Image.fromarray(noise), kind)
    path = tmp_path / "cut"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableError, match=r"cut short|damaged|not a picture") as caught:
        decode(path, 32, 32, 3)
    assert str(path) in str(caught.value)
    if kind in ("JPEG", "PNG", "BMP"):
        assert caught.value.reason == "the file is cut short"


def test_reasons_are_plain(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "folder.jpg").mkdir()
    reasons = {"empty.jpg": "empty", "text.jpg": "not a picture", "folder.jpg": "a folder", "none.jpg": "no such file"}
    for name, reason in reasons.items():
        for read in (read_header, lambda path: decode(path, 8, 8, 3)):
            with pytest.raises(DataError, match=reason) as caught:
                read(tmp_path / name)
            assert caught.value.__cause__ is None
            assert caught.value.__suppress_context__
    with pytest.raises(UnreadableError, match="given as bytes: the file is empty"):
        decode(b"", 8, 8, 3)


def test_programs_are_not_run_for_a_picture() -> None:
    with pytest.raises(UnreadableError, match="not a picture"):
        decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n", 8, 8, 3)


@pytest.mark.parametrize(("height", "width", "channels"), [(0, 8, 3), (8, -1, 3), (8, 8, 2), (8, 8, 4)])
def test_impossible_sizes_are_refused(height: int, width: int, channels: int) -> None:
    with pytest.raises(ConfigError, match="Received"):
        decode(Image.new("L", (8, 8)), height, width, channels)


WHOLE = {"JPEG": "RGB", "PNG": "P", "WEBP": "RGB", "GIF": "P", "TIFF": "RGB", "BMP": "RGB"}
SEEDS = [saved(in_mode(mode), kind) for kind, mode in WHOLE.items()]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_bytes_crash(data: st.DataObject) -> None:
    """Random bytes, and whole files with some bytes changed: a picture or an `UnreadableError`, nothing else."""
    content = bytearray(data.draw(st.one_of(st.binary(max_size=200), st.sampled_from(SEEDS))))
    for _ in range(data.draw(st.integers(0, 6))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    for read in (read_header, lambda file: decode(file, 8, 8, 3)):
        with contextlib.suppress(UnreadableError):
            read(bytes(content))


def test_many_come_in_order_with_their_reasons() -> None:
    pictures: list[Any] = [Image.new("L", (6, 6), shade) for shade in range(100)]
    pictures[13], pictures[77] = b"", b"nonsense"
    for workers in (1, 4, None):
        array, reasons = decode_many(pictures, 4, 4, 1, workers=workers)
        assert set(reasons) == {13, 77}
        shades = [0 if index in reasons else index for index in range(100)]
        np.testing.assert_array_equal(array[:, 0, 0, 0], shades)
    empty, reasons = decode_many([], 4, 4, 3)
    assert empty.shape == (0, 4, 4, 3)
    assert not reasons


def test_errors_in_a_thread_come_out() -> None:
    def work(item: int) -> int:
        if item == 40:
            raise RuntimeError("at 40")
        return item

    with pytest.raises(RuntimeError, match="at 40"):
        parallel(work, range(64), workers=3)
    assert parallel(work, range(40), workers=3) == list(range(40))


def test_warning_filters_are_left_as_they_were() -> None:
    before = list(warnings.filters)
    decode_many([png_claiming(10_000, 10_000)] * 20, 4, 4, 1, workers=4)
    assert warnings.filters == before
