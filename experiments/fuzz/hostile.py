"""Files made to cost a reader as much as can be: bombs, lies and endless nests."""

import gzip
import io
import struct
import zlib

import imagecodecs
import numpy as np
import volumes
from PIL import Image
from seeds import PATIENT

MIB = 2**20


def hostile() -> dict[str, bytes]:
    """Content by what it is."""
    return {**_pictures(), **_dicom(), **_nifti(), **volumes.hostile()}


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(width: int, height: int, depth: int, colour: int, row: int) -> bytes:
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(b"\0" * (row + 1)) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _pictures() -> dict[str, bytes]:
    side = 9400  # 88 million pixels, just below the limit
    found = {
        "png over the limit": _png(30000, 30000, 1, 0, 3750),
        "png at the limit, gray": _png(side, side, 8, 0, side),
        "png at the limit, 16 bits": _png(side, side, 16, 0, 2 * side),
        "png at the limit, RGBA": _png(side, side, 8, 6, 4 * side),
        "png with a comment that unpacks to a GiB": _png(8, 8, 8, 0, 8)[:33]
        + _chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * (64 * MIB)))
        + _png(8, 8, 8, 0, 8)[33:],
    }
    for name, kind in (("tiff at the limit, float", np.float32), ("tiff at the limit, 16 bits", np.uint16)):
        file = io.BytesIO()
        Image.fromarray(np.zeros((side, side), kind)).save(file, "TIFF", compression="tiff_adobe_deflate")
        found[name] = file.getvalue()
    file = io.BytesIO()
    Image.new("RGB", (side, side)).save(file, "WEBP" if side < 16383 else "PNG", quality=1, method=0)
    found["webp at the limit"] = file.getvalue()
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, "JPEG", progressive=True)
    found["jpeg at the limit, progressive"] = file.getvalue()
    scans = file.getvalue()
    last = scans.rindex(b"\xff\xda")
    found["jpeg of 2,000 scans"] = scans[:-2] + scans[last:-2] * 2000 + b"\xff\xd9"
    found["bmp that says it is huge"] = b"BM" + struct.pack(
        "<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 9000, 9000, 1, 24, 0, 0, 1, 1, 0, 0
    )
    return found


def element(group: int, element: int, vr: bytes, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    head = struct.pack("<HH2s", group, element, vr)
    if vr in (b"OB", b"OW", b"SQ", b"UC", b"UN"):
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def dicom(
    syntax: bytes,
    rows: int,
    columns: int,
    pixels: bytes,
    frames: bytes = b"1",
    bits: int = 8,
    more: bytes = b"",
    samples: int = 1,
) -> bytes:
    words = {2: samples, 6: 0, 0x10: rows, 0x11: columns, 0x100: bits, 0x101: bits, 0x102: bits - 1, 0x103: 0}
    parts = {key: element(0x28, key, b"US", struct.pack("<H", value)) for key, value in words.items()}
    parts[4], parts[8] = (
        element(0x28, 4, b"CS", b"MONOCHROME2" if samples == 1 else b"RGB"),
        element(0x28, 8, b"IS", frames),
    )
    body = element(0x10, 0x10, b"PN", PATIENT.encode()) + b"".join(parts[key] for key in sorted(parts)) + more + pixels
    if syntax.endswith(b".99"):
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        body = packer.compress(body) + packer.flush()
    return b"\0" * 128 + b"DICM" + element(2, 0x10, b"UI", syntax) + body


def encapsulated(*frames: bytes) -> bytes:
    items = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(each)) + each for each in (b"", *frames))
    return struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF) + items + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def native(value: bytes) -> bytes:
    return element(0x7FE0, 0x10, b"OW", value)


def _dicom() -> dict[str, bytes]:
    explicit, deflated, rle = b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.5"
    j2k, lossless, baseline = b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.4.70", b"1.2.840.10008.1.2.4.50"
    small, side = np.zeros((16, 16), np.uint8), 5792  # 33.5 million pixels, just below the limit of a slice
    runs = b"\x81\0" * (side * side // 128 + 1)
    stream = bytearray(imagecodecs.jpeg2k_encode(small, codecformat="j2k", reversible=True, level=0))
    tiles, vast = bytearray(stream), bytearray(stream)
    tiles[24:32] = struct.pack(">II", 1, 1)  # tiles of one pixel
    vast[8:16] = struct.pack(">II", 2**31, 2**31)
    tall = bytearray(imagecodecs.jpeg8_encode(small, lossless=True))
    place = tall.index(b"\xff\xc3")
    tall[place + 5 : place + 9] = struct.pack(">HH", 0xFFFF, 0xFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    nest = (
        struct.pack("<HH2sHI", 0x40, 0xA730, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    ) * 20000
    undefined = struct.pack("<HH2sHI", 0x5200, 0x9230, b"SQ", 0, 0xFFFFFFFF)
    tags = b"".join(struct.pack("<HH2sH", 0x6001 + 2 * (i >> 16), i & 0xFFFF, b"LO", 0) for i in range(2_000_000))
    pixels = native(bytes(256))
    black = imagecodecs.jpeg2k_encode(np.zeros((side, side), np.uint8), codecformat="j2k", reversible=True, level=0)
    flat = imagecodecs.jpeg8_encode(np.zeros((side, side), np.uint16), lossless=True, bitspersample=16)
    charls = imagecodecs.jpegls_encode(np.zeros((side, side), np.uint16))
    head = struct.pack("<16I", 1, 64, *[0] * 14)
    return {
        "dicom of 2 billion frames": dicom(explicit, 16, 16, pixels, b"2147483647"),
        "dicom of 65535 x 65535": dicom(explicit, 65535, 65535, pixels),
        "dicom of 1024 frames in one": dicom(rle, 16, 16, encapsulated(head + b"\x81\0\x81\0"), b"1024"),
        "dicom deflate bomb": dicom(deflated, 16, 16, native(bytes(1024 * MIB))),
        "dicom at the limit, deflated": dicom(deflated, side, side, native(bytes(2 * side * side)), bits=16),
        "dicom at the limit, RLE": dicom(rle, side, side, encapsulated(head + runs)),
        "dicom RLE bomb": dicom(rle, 16, 16, encapsulated(head + b"\x81\0" * (8 * MIB))),
        "dicom RLE of overlapping segments": dicom(
            rle, 16, 16, encapsulated(struct.pack("<16I", 15, *[64] * 15) + b"\x81\0" * MIB)
        ),
        "dicom JPEG 2000 of 2 billion pixels a side": dicom(j2k, 16, 16, encapsulated(bytes(vast))),
        "dicom JPEG 2000 in tiles of a pixel": dicom(j2k, 16, 16, encapsulated(bytes(tiles))),
        "dicom JPEG 2000 at the limit": dicom(j2k, side, side, encapsulated(black)),
        "dicom JPEG that says it is huge": dicom(lossless, 16, 16, encapsulated(bytes(tall))),
        "dicom lossless JPEG at the limit": dicom(lossless, side, side, encapsulated(flat), bits=16),
        "dicom JPEG-LS at the limit": dicom(b"1.2.840.10008.1.2.4.80", side, side, encapsulated(charls), bits=16),
        "dicom at the limit, colour": dicom(deflated, side, side, native(bytes(3 * side * side)), samples=3),
        "dicom whose pixels are text": dicom(explicit, 16, 16, element(0x7FE0, 0x10, b"LO", bytes(256))),
        "dicom JPEG that is empty": dicom(baseline, 16, 16, encapsulated(b"\xff\xd8\xff\xd9")),
        "dicom of nested sequences": dicom(explicit, 16, 16, pixels, more=nest),
        "dicom of 3 million items": dicom(explicit, 16, 16, pixels, more=undefined + item * 3_000_000),
        "dicom of 2 million elements": dicom(explicit, 16, 16, pixels, more=tags),
        "dicom of 2 million elements in an item": dicom(
            explicit, 16, 16, pixels, more=undefined + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + tags
        ),
        "dicom of elements in a sized sequence": dicom(
            explicit,
            16,
            16,
            pixels,
            more=element(0x5200, 0x9230, b"SQ", item[:4] + struct.pack("<I", len(tags)) + tags),
        ),
    }


def header(shape: tuple[int, ...], datatype: int = 4, bits: int = 16, offset: float = 352, **fields: float) -> bytes:
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, len(shape), *shape, *[1] * (7 - len(shape)))
    struct.pack_into("<hh", head, 70, datatype, bits)
    struct.pack_into("<8f", head, 76, *[fields.get("spacing", 1.0)] * 8)
    struct.pack_into("<fff", head, 108, offset, fields.get("slope", 1.0), fields.get("inter", 0.0))
    head[344:348] = b"n+1\0"
    return bytes(head)


def _nifti() -> dict[str, bytes]:
    big = 600  # 216 million voxels
    return {
        "nifti.gz bomb": gzip.compress(header((4, 4, 4)) + bytes(1024 * MIB), 1),
        "nifti.gz over the limit": gzip.compress(header((32767, 32767, 32767)) + bytes(MIB)),
        "nifti.gz of 216 million voxels": gzip.compress(header((big, big, big), 2, 8) + bytes(big**3), 1),
        "nifti.gz of a slice at the limit": gzip.compress(header((5792, 5792, 1), 64, 64) + bytes(8 * 5792**2), 1),
        "nifti.gz of 128 million floats": gzip.compress(
            header((500, 500, 512), 16, 32) + bytes(4 * 500 * 500 * 512), 1
        ),
        "nifti of another's data": header((500, 500, 500)),
        "nifti of negative sides": header((-4, 4, 4)) + bytes(999),
        "nifti of no sides": header((0, 0, 0)) + bytes(999),
        "nifti that begins nowhere": header((4, 4, 4), offset=float("nan")) + bytes(999),
        "nifti that begins before its start": header((4, 4, 4), offset=-1e9) + bytes(999),
        "nifti without size": header((4, 4, 4), spacing=float("nan")) + bytes(999),
        "nifti of vast scale": header((4, 4, 4), slope=3e38, inter=-3e38) + bytes(999),
        "nifti of many thin slices": header((2, 2, 32767), 2, 8) + bytes(4 * 32767),
        "gzip of gzip of gzip": gzip.compress(gzip.compress(gzip.compress(header((4, 4, 4)) + bytes(999)))),
    }
