"""NRRD and MetaImage: valid files, and some that are made to cost as much as can be."""

import bz2
import gzip
import zlib

import numpy as np

MIB = 2**20
DIRECTIONS = "(1,0,0) (0,0.1,-1) (0,4,0)"


def _nrrd(kind: str, sizes: tuple[int, ...], data: bytes, encoding: str = "raw", more: str = "") -> bytes:
    text = f"NRRD0005\ntype: {kind}\ndimension: {len(sizes)}\nsizes: {' '.join(map(str, sizes))}\n"
    return f"{text}endian: little\nencoding: {encoding}\n{more}\n".encode() + data


def _metaimage(kind: str, sizes: tuple[int, ...], data: bytes, more: str = "") -> bytes:
    text = f"ObjectType = Image\nNDims = {len(sizes)}\n{more}DimSize = {' '.join(map(str, sizes))}\n"
    return f"{text}ElementType = MET_{kind}\nElementDataFile = LOCAL\n".encode() + data


def seeds() -> dict[str, list[bytes]]:
    """Files by the name of their format."""
    rng, shape = np.random.default_rng(0), (12, 11, 9)
    small, deep, real = (rng.integers(0, 250, shape).astype(kind).tobytes() for kind in ("u1", "<i2", "<f4"))
    placed = f"space: left-posterior-superior\nspace directions: {DIRECTIONS}\nkinds: domain domain domain\n"
    several = f"space: RAS\nspace directions: none {DIRECTIONS}\nkinds: list domain domain domain\n"
    turned = "TransformMatrix = 0 1 0 0 0 -1 1 0 0\nElementSpacing = 1 1 4\n"
    return {
        "nrrd": [
            _nrrd("short", shape, deep, more=placed),
            _nrrd("float", shape, gzip.compress(real), "gzip", placed + "thicknesses: nan nan 4\n"),
            _nrrd("uchar", shape, bz2.compress(small), "bzip2", "spacings: 1 1 4\n"),
            _nrrd("uchar", (1, *shape), small, more=several),
            _nrrd("short", shape, b"a\nb" + deep, more="line skip: 1\nbyte skip: 1\n"),
        ],
        "metaimage": [
            _metaimage("SHORT", shape, deep, turned),
            _metaimage("FLOAT", shape, zlib.compress(real), f"{turned}CompressedData = True\nBinaryData = True\n"),
            _metaimage("UCHAR", shape, small, "BinaryDataByteOrderMSB = True\nHeaderSize = -1\n"),
        ],
    }


def hostile() -> dict[str, bytes]:
    """Content by what it is."""
    shape, big = (8, 8, 8), 2**27
    empty = gzip.compress(b"")
    floats = gzip.compress(bytes(4 * big), 1)
    return {
        "nrrd gzip bomb": _nrrd("uchar", shape, gzip.compress(bytes(1024 * MIB), 1), "gzip"),
        "nrrd bzip2 bomb": _nrrd("uchar", shape, bz2.compress(bytes(1024 * MIB)), "bzip2"),
        "nrrd of 3 million empty members": _nrrd("uchar", shape, empty * (60 * MIB // len(empty)), "gzip"),
        "nrrd of 128 million floats": _nrrd("float", (512, 512, 512), floats, "gzip"),
        "nrrd of 128 million floats, volumes first": _nrrd(
            "float", (2, 512, 512, 256), floats, "gzip", "kinds: list domain domain domain\n"
        ),
        "nrrd of 60 MiB of header": b"NRRD0004\n" + b"type: short\n" * (5 * MIB),
        "nrrd of a MiB of fields": _nrrd("uchar", shape, bytes(512), more="sizes: 1\n" * 100_000),
        "nrrd of a MiB of sizes": _nrrd("uchar", (1,) * 500_000, bytes(512)),
        "nrrd with lines to skip": _nrrd("uchar", shape, bytes(60 * MIB), more="line skip: 4096\n"),
        "metaimage bomb": _metaimage("UCHAR", shape, zlib.compress(bytes(1024 * MIB), 1), "CompressedData = True\n"),
        "metaimage of blank lines": b"\n" * (60 * MIB) + b"NDims = 3\n",
        "metaimage of one line": b"NDims = " + b"3" * (60 * MIB),
        "metaimage of 60 MiB of header": b"NDims = 3\n" * (6 * MIB),
        "metaimage of a MiB of numbers": _metaimage("UCHAR", (1,) * 500_000, bytes(512)),
        "metaimage of a long number": _metaimage("UCHAR", shape, bytes(512), f"HeaderSize = {'9' * MIB}\n"),
        "metaimage with a matrix of a MiB": _metaimage(
            "UCHAR", shape, bytes(512), "TransformMatrix = " + "1 " * 500_000 + "\n"
        ),
    }
