"""Files of text: UTF-8, and told exactly where it is not."""

from __future__ import annotations

import codecs
import os
import sys
from pathlib import Path

from lamina.errors import DataError

__all__ = ["TEXT_FILES", "holds_texts", "read_utf8"]

TEXT_FILES = (".txt", ".text", ".md")
_LOOKED_AT = 2_000  # files of a folder


def read_utf8(source: str | os.PathLike[str]) -> str:
    """The text of a file, or of standard input for "-". Line ends become newlines; a byte order mark is heeded.

    Raises:
        DataError: for a file that cannot be read, or is not UTF-8: with the place of the first wrong byte.
    """
    name = os.fspath(source)
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).expanduser().read_bytes()
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}.") from error
    return _decode(content, "Standard input" if name == "-" else name)


def _decode(content: bytes, name: str) -> str:
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        place = error.start + (len(codecs.BOM_UTF8) if content.startswith(codecs.BOM_UTF8) else 0)
        line = content.count(b"\n", 0, place) + 1
        raise DataError(
            f"{name} is not UTF-8: byte {place} (line {line}) is 0x{content[place]:02x}, which has no place there.",
            "Convert it: iconv -f latin1 -t utf-8, or whatever it was written in.",
        ) from None
    if "\0" in text:
        place = text.index("\0")
        raise DataError(f"{name} is no text: it holds a zero byte, the first after {place} characters.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def holds_texts(folder: Path) -> bool:
    """Whether the files in a folder's sub-folders are texts: whether the first of them is, in order of names."""
    looked = 0
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            looked += 1
            if name.startswith(".") or Path(root) == folder:
                continue
            return name.lower().endswith(TEXT_FILES)
        if looked > _LOOKED_AT:
            break
    return False
