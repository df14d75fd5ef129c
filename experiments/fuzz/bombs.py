"""Files of a few bytes, or of few kinds of bytes, of which a reader would make far more."""

import gzip
import io
import struct

from hostile import MIB, dicom, element, encapsulated, header, native
from PIL import Image

DEFLATED = b"1.2.840.10008.1.2.1.99"
BASELINE, EXTENDED, J2K = b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.4.51", b"1.2.840.10008.1.2.4.90"


def bombs() -> dict[str, bytes]:
    """Content by what it is."""
    return {**_jpeg(), **_j2k(), **_pictures(), **_elements(), **_gzip()}


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)  # type: ignore[arg-type]
    return file.getvalue()


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">HH", marker, len(body) + 2) + body


def _jpeg() -> dict[str, bytes]:
    def scans(side: int, count: int, start: bytes = b"") -> bytes:
        content = _saved(Image.new("L", (side, side)), "JPEG", progressive=True)
        return content[:2] + start + content[2:-2] + content[content.rindex(b"\xff\xda") : -2] * count + b"\xff\xd9"

    side = 5600
    entries = struct.pack("<HHHIIHHIII", 2, 0xB001, 4, 1, 2, 0xB002, 7, 32, 38, 0) + bytes(32)
    index = _segment(0xFFE2, b"MPF\0II*\0" + struct.pack("<I", 8) + entries)
    exif = b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x11A, 5, 7_000_000, 26, 0)
    blocks = [exif, *[b"\1\0\0\0" * 16_000] * 900]
    return {
        "jpeg of 20,000 scans with an index of pictures": scans(side, 20_000, index),
        "jpeg of as many scans as may be": scans(side, 38),
        "jpeg of 500,000 scans of 64 pixels": scans(8, 500_000),
        "jpeg of 55 MiB of EXIF data": scans(8, 0, b"".join(_segment(0xFFE1, b"Exif\0\0" + each) for each in blocks)),
        "png of 60 MiB of EXIF data": _saved(
            Image.new("L", (8, 8)),
            "PNG",
            exif=b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x112, 3, 30 * MIB, 26, 0) + bytes(60 * MIB),
        ),
        "dicom JPEG of 20,000 scans": dicom(BASELINE, side, side, encapsulated(scans(side, 20_000))),
        "dicom JPEG (extended) of 20,000 scans": dicom(EXTENDED, side, side, encapsulated(scans(side, 20_000))),
        "dicom JPEG of 60 MiB of fill bytes": dicom(BASELINE, 16, 16, encapsulated(b"\xff\xd8" + b"\xff" * (60 * MIB))),
        "dicom JPEG of 15 million segments": dicom(
            BASELINE, 16, 16, encapsulated(b"\xff\xd8" + b"\xff\xfe\0\2" * (15 * MIB))
        ),
    }


def _j2k() -> dict[str, bytes]:
    def picture(side: int, main: bytes, tile: bytes = b"") -> bytes:
        size = struct.pack(">H8IH3B", 0, side, side, 0, 0, side, side, 0, 0, 1, 7, 1, 1)
        part = tile + b"\xff\x93" + bytes(64)
        start = _segment(0xFF90, struct.pack(">HIBB", 0, 12 + len(part), 0, 1)) + part
        stream = b"\xff\x4f" + _segment(0xFF51, size) + main + _segment(0xFF5C, b"\x40\x40") + start + b"\xff\xd9"
        return dicom(J2K, side, side, encapsulated(stream + b"\0" * (len(stream) % 2)))

    def cod(precinct: int, block: int, layers: int = 1) -> bytes:
        return _segment(0xFF52, struct.pack(">BBHBBBBBBB", 1, 0, layers, 0, 0, block, block, 0, 1, 17 * precinct))

    def coc(precinct: int) -> bytes:
        return _segment(0xFF53, struct.pack(">BBBBBBBB", 0, 1, 0, 4, 4, 0, 1, 17 * precinct))

    return {
        "dicom JPEG 2000 in precincts of a pixel": picture(2000, cod(0, 4)),
        "dicom JPEG 2000 in precincts of a pixel, by component": picture(2000, cod(15, 4) + coc(0)),
        "dicom JPEG 2000 in precincts of a pixel, by tile": picture(2000, cod(15, 4), cod(0, 4)),
        "dicom JPEG 2000 in precincts of a pixel, by both": picture(2000, cod(15, 4), coc(0)),
        "dicom JPEG 2000 in blocks of 16 pixels": picture(5600, cod(15, 0)),
        "dicom JPEG 2000 in as many blocks as may be": picture(2000, cod(15, 0)),
        "dicom JPEG 2000 of 65,535 layers": picture(5600, cod(15, 4, 0xFFFF)),
        "dicom JPEG 2000 behind an unknown marker": picture(2000, b"\xff\x30" + cod(0, 4) + bytes(65_500) + cod(15, 4)),
    }


def _pictures() -> dict[str, bytes]:
    def bmp(width: int, height: int, bits: int, data: bytes) -> bytes:
        palette = b"\0\0\0\0\xff\xff\xff\0" + bytes(4 * (2**bits - 2))
        sizes = (40, width, height, 1, bits, 1 if bits == 8 else 2, len(data), 0, 0, 2**bits, 0)
        start = 54 + len(palette)
        return b"BM" + struct.pack("<IHHIIiiHHIIiiII", start + len(data), 0, 0, start, *sizes) + palette + data

    def tiff(strips: int) -> bytes:
        tags = {256: 1, 258: 8, 259: 1, 262: 1, 277: 1, 278: 1, 279: 1}
        entries = {tag: (3, 1, value) for tag, value in tags.items()} | {257: (4, 1, strips), 273: (3, strips, 122)}
        directory = b"".join(struct.pack("<HHII", tag, *entries[tag]) for tag in sorted(entries))
        return b"II*\0" + struct.pack("<IH", 8, 9) + directory + bytes(4) + struct.pack("<H", 8) * strips

    def animated(width: int, height: int) -> bytes:
        frames = [Image.new("RGB", (16, 16), (50 * index, 0, 0)) for index in range(3)]
        content = bytearray(_saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
        place = content.index(b"VP8X") + 12
        content[place : place + 6] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        return bytes(content)

    return {
        "bmp of empty lines": bmp(65000, 1300, 8, b"\x01\x01\0\0" * 1300 + b"\0\1"),
        "bmp of runs of half a byte": bmp(9000, 9000, 4, (b"\xfa\x01" * 36 + b"\0\0") * 9000 + b"\0\1"),
        "bmp of 60 MiB of ends of lines": bmp(1000, 1000, 8, b"\0\0" * (30 * MIB)),
        "tiff of 8 million strips": tiff(8_000_000),
        "tiff of as many strips as may be": tiff(2**16),
        "webp that moves on a large canvas": animated(9000, 9900),
        "webp that moves on as large a canvas as may be": animated(4096, 4096),
    }


def _elements() -> dict[str, bytes]:
    def long(tag: int, value: bytes, vr: bytes = b"UN") -> bytes:
        return element(tag >> 16, tag & 0xFFFF, vr, value)

    def sequence(tag: int, *items: bytes) -> bytes:
        return long(tag, b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(each)) + each for each in items), b"SQ")

    numbers, pixels = b"1\\" * (30 * MIB) + b"1", native(bytes(256))
    characters = struct.pack("<HH2sHI", 8, 5, b"UN", 0, 20 * MIB) + b"ISO_IR 6\\\\" * (2 * MIB)
    groups = b"".join(  # of implicit elements, as UN holds them
        (
            struct.pack("<HH2sHI", 0x5200, 0x9229, b"UN", 0, 0xFFFFFFFF),
            struct.pack("<HHI", 0xFFFE, 0xE000, len(numbers) + 25),
            struct.pack("<HHI", 0x28, 0x9110, len(numbers) + 17),
            struct.pack("<HHI", 0xFFFE, 0xE000, len(numbers) + 9),
            struct.pack("<HHI", 0x28, 0x30, len(numbers) + 1),
            numbers + b" ",
            struct.pack("<HHI", 0xFFFE, 0xE0DD, 0),
        )
    )

    def tables(different: bool) -> bytes:
        def table(index: int) -> bytes:
            entries = struct.pack("<H", index if different else 0) + bytes(131_070)
            return sequence(
                0x00283010, long(0x00283002, struct.pack("<HHH", 0, 0, 16), b"US") + long(0x00283006, entries)
            )

        frames = [sequence(0x00289132, table(index)) for index in range(450)]
        return dicom(DEFLATED, 16, 16, native(bytes(256 * 450)), b"450", more=sequence(0x52009230, *frames))

    return {
        "dicom of 30 million window centers": dicom(DEFLATED, 16, 16, pixels, more=long(0x00281050, numbers)),
        "dicom of 30 million padding values": dicom(DEFLATED, 16, 16, pixels, more=long(0x00280120, bytes(60 * MIB))),
        "dicom of 30 million spacings in a group": dicom(DEFLATED, 16, 16, pixels, more=groups),
        "dicom of 2 million character sets": dicom(DEFLATED, 16, 16, pixels, more=characters),
        "dicom whose pixels are 30 million words": dicom(DEFLATED, 16, 16, element(0x7FE0, 0x10, b"UC", numbers)),
        "dicom of a table for each frame": tables(True),
        "dicom of equal tables for its frames": tables(False),
        "dicom of 8 million elements of group 2": bytes(128) + b"DICM" + b"\x02\0\x99\0UL\0\0" * (8 * MIB - 64),
    }


def _gzip() -> dict[str, bytes]:
    empty, packed = gzip.compress(b""), gzip.compress(header((8, 8, 8), 2, 8) + bytes(512))
    return {
        "gzip of 3 million empty members": empty * (60 * MIB // len(empty)) + packed,
        "gzip with a name of 60 MiB": b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * (60 * MIB) + b"\0" + packed[10:],
        "gzip of empty blocks": packed[:10] + b"\0\0\0\xff\xff" * (12 * MIB) + packed[10:],
    }
