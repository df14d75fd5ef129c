"""NRRD and MetaImage files written by hand, as their formats are described, from a volume and its affine (RAS+)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LPS = np.diag([-1.0, -1.0, 1.0])


def vectors(matrix: NDArray[Any]) -> str:
    return " ".join("(" + ",".join(repr(float(each)) for each in column) + ")" for column in matrix.T)


def nrrd_header(values: NDArray[Any], affine: NDArray[Any] | None, **fields: str) -> str:
    """The header, without the blank line; `affine` None: it does not say how it lies. A field of "" is left out."""
    names = {"u1": "uchar", "i1": "int8", "u2": "unsigned short", "i2": "short", "u4": "uint", "i4": "int"}
    names |= {"u8": "uint64_t", "i8": "long long int", "f4": "float", "f8": "double"}
    lines = {"type": names[values.dtype.str[1:]], "dimension": str(values.ndim)}
    if affine is not None:
        lines["space"] = "left-posterior-superior"
    lines["sizes"] = " ".join(map(str, values.shape))
    if affine is not None:
        lines["space directions"] = vectors(LPS @ affine[:3, :3])
        lines["kinds"] = "domain domain domain"
    lines |= {"endian": "big" if values.dtype.str[0] == ">" else "little", "encoding": "raw"} | fields
    text = "".join(f"{key}: {value}\n" for key, value in lines.items() if value)
    return f"NRRD0004\n# a remark\n{text}"


def nrrd(values: NDArray[Any], affine: NDArray[Any] | None = None, data: bytes | None = None, **fields: str) -> bytes:
    return f"{nrrd_header(values, affine, **fields)}\n".encode() + (raw(values) if data is None else data)


def metaimage(
    values: NDArray[Any], affine: NDArray[Any] | None = None, data: bytes | None = None, **fields: str
) -> bytes:
    """A header and, unless it names another ElementDataFile, the values."""
    names = {"u1": "UCHAR", "i1": "CHAR", "u2": "USHORT", "i2": "SHORT", "u4": "UINT", "i4": "INT"}
    names |= {"u8": "ULONG_LONG", "i8": "LONG_LONG", "f4": "FLOAT", "f8": "DOUBLE"}
    lines = {"ObjectType": "Image", "NDims": str(values.ndim), "BinaryData": "True"}
    lines["BinaryDataByteOrderMSB"] = str(values.dtype.str[0] == ">")
    if affine is not None:
        axes = LPS @ affine[:3, :3]
        lengths = np.linalg.norm(axes, axis=0)
        lines["TransformMatrix"] = " ".join(repr(float(each)) for each in (axes / lengths).T.ravel())
        lines["ElementSpacing"] = " ".join(map(str, lengths))
    lines |= {"DimSize": " ".join(map(str, values.shape)), "ElementType": f"MET_{names[values.dtype.str[1:]]}"}
    lines |= fields
    lines["ElementDataFile"] = lines.pop("ElementDataFile", "LOCAL")  # the last
    head = "".join(f"{key} = {value}\n" for key, value in lines.items() if value).encode()
    return head + ((raw(values) if lines["ElementDataFile"] == "LOCAL" else b"") if data is None else data)


def raw(values: NDArray[Any]) -> bytes:
    return values.tobytes(order="F")
