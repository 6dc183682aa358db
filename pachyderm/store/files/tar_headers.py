"""Headers of TAR members, byte for byte as `tarfile` writes them in PAX format, but faster."""

from __future__ import annotations

import tarfile

TAR_BLOCK = 512
"""Bytes in a header; a member's content is padded to a multiple."""

_LONGEST_NAME = 100
_LARGEST_SIZE = 8**11 - 1
_SIZE, _CHECKSUM = slice(124, 136), slice(148, 156)


def tar_header(path: str, size: int, *, folder: bool) -> bytes:
    """Return the header of one member, with mode 0777.

    Args:
        path: path of the file or directory; a directory's ends in a slash.
        size: bytes in the file; 0 for a directory.
        folder: whether it is a directory.

    Returns:
        512 bytes; more if the path is longer than 100 characters or not ASCII, or the size is 8 GiB or more.
    """
    if len(path) > _LONGEST_NAME or size > _LARGEST_SIZE or not path.isascii():
        return _member(path, size, folder).tobuf(tarfile.PAX_FORMAT)
    template, checksum = _TEMPLATES[folder]
    name, size_field = path.encode(), b"%011o\0" % size
    header = bytearray(template)
    header[: len(name)] = name
    header[_SIZE] = size_field
    header[_CHECKSUM] = b"%06o\0 " % (checksum + sum(name) + sum(size_field))
    return bytes(header)


def _member(path: str, size: int, folder: bool) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path)
    member.mode, member.size = 0o777, size
    member.type = tarfile.DIRTYPE if folder else tarfile.REGTYPE
    return member


def _template(folder: bool) -> tuple[bytes, int]:
    """Return a header without name and size, and its checksum."""
    header = bytearray(_member("", 0, folder).tobuf(tarfile.PAX_FORMAT))
    if folder:
        header[0] = 0  # tarfile appends a slash to a directory's name
    header[_SIZE] = bytes(12)
    header[_CHECKSUM] = b" " * 8
    return bytes(header), sum(header)


_TEMPLATES = {folder: _template(folder) for folder in (False, True)}
