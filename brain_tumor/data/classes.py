"""The classes of a data set or a model, and how they are found in the names of folders. A list of classes is data."""

import re
import shlex
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from brain_tumor.config.train import DataConfig
from brain_tumor.errors import InputError

AUTO = "auto"  # `data.healthy`: found by its usual names
RESERVED = frozenset({"all", "part", "site"})  # rows and columns of several tables
# What MLflow takes in the name of a metric; matplotlib leaves out of a legend what begins with _.
_NAME = re.compile(r"(?!_)\w[\w .\-]{0,58}[\w.\-]|[^\W_]")


def _key(name: str) -> str:
    """What tells names apart: letters and digits, in lower case, and the American spelling."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(filter(str.isalnum, folded)).replace("tumour", "tumor")


@dataclass(frozen=True)
class ClassList:
    """Classes in the order of a model's outputs, and which of them has no lesion.

    Raises:
        InputError: there are fewer than two, a name cannot be used, or `healthy` is none of them.
    """

    names: tuple[str, ...]
    healthy: str | None  # the class without a lesion; None: there is none

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            there = f"only {self.names[0]}" if self.names else "none"
            raise InputError(f"a classifier needs two classes at least, and there is {there}")
        for name in self.names:
            if not _NAME.fullmatch(name) or name in RESERVED:
                raise InputError(
                    f"a class cannot be called {name!r} (letters and digits, and within them blanks and _ - . are "
                    f"possible, 60 in all): call it something else with {renaming(name)}"
                )
        if self.healthy is not None and self.healthy not in self.names:
            raise InputError(f"data.healthy={self.healthy} is none of the classes {', '.join(self.names)}")

    def __str__(self) -> str:
        return ", ".join(f"{name} (healthy)" if name == self.healthy else name for name in self.names)

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Place of a class among the outputs."""
        return self.names.index(name)

    @property
    def healthy_index(self) -> int | None:
        """Place of the class without a lesion among the outputs; None: there is none."""
        return None if self.healthy is None else self.index(self.healthy)

    def plain(self) -> dict[str, object]:
        """As JSON has it, for `read_classes`."""
        return {"classes": list(self.names), "healthy": self.healthy}


# What splits and models were logged with that say nothing of classes: there were no others.
STANDARD = ClassList(("glioma", "meningioma", "notumor", "pituitary"), "notumor")

# Compared by `_key`, without a number in front: "No Tumor", "0_no_tumor" and "no-tumour" are one, "glioma 2" is none.
_SPELLINGS: Mapping[str, frozenset[str]] = {
    "glioma": frozenset({"glioma", "gliomas", "gliomatumor", "gliomatumors"}),
    "meningioma": frozenset({"meningioma", "meningiomas", "meningiomatumor", "meningiomatumors"}),
    "notumor": frozenset(
        {"notumor", "notumors", "nontumor", "no", "none", "normal", "healthy", "control", "controls", "negative"}
    ),
    "pituitary": frozenset({"pituitary", "pituitarytumor", "pituitarytumors", "pituitaryadenoma"}),
}
# Folders that stand beside class folders in public sets, and hold no class.
_NO_CLASS = frozenset(
    f"{name}{ending}"
    for name in (
        "annotation",
        "image",
        "label",
        "mask",
        "pred",
        "prediction",
        "segmentation",
        "unlabeled",
        "unlabelled",
    )
    for ending in ("", "s")
)


@dataclass(frozen=True)
class Naming:
    """Which class each folder holds."""

    classes: ClassList
    label_of: Mapping[str, str | None]  # folder name -> class; None: `data.classes` leaves it out


def read_classes(facts: Mapping[str, object] | None) -> ClassList:
    """What `ClassList.plain` gave; STANDARD where `facts` say nothing of classes."""
    names = (facts or {}).get("classes")
    if not isinstance(names, Sequence):
        return STANDARD
    healthy = (facts or {}).get("healthy")
    return ClassList(tuple(map(str, names)), None if healthy is None else str(healthy))


def standard_name(name: str) -> str | None:
    """The one of the STANDARD classes whose usual spellings `name` is one of; None if it is of none."""
    bare = _key(name).lstrip("0123456789")
    return next((standard for standard, known in _SPELLINGS.items() if bare in known), None)


def name_classes(folders: Iterable[str], data: DataConfig, known: ClassList | None = None) -> Naming:
    """The classes that folders of these names hold, by `data.classes`, `data.healthy` and `data.rename`.

    Without `data.classes` every folder is a class: a usual spelling of a standard one (`No Tumor`, `glioma_tumor`) is
    that one, any other name stays as it is first met; case and what is no letter or digit tell no two apart. They are
    sorted by name. With `data.classes` those alone, so called and in that order.

    Args:
        folders: names, repeated ones too.
        data: the three keys.
        known: the classes of the model that shall answer: no others are possible, and all are in the list.

    Raises:
        InputError: a folder holds no class or an unknown one, `data.rename` or `data.healthy` names what is not there,
            or fewer than two classes are left.
    """
    names = list(dict.fromkeys(folders))
    keys = [_key(name) for name in data.classes or ()]
    twice = [name for name, key in zip(data.classes or (), keys, strict=True) if keys.count(key) > 1]
    if twice:
        raise InputError(f"data.classes names one class twice: {' and '.join(twice)}")
    renamed = renamed_folders(names, data.rename)
    wanted = data.classes if data.classes is not None or known is None else known.names
    label_of = {name: _label(name, renamed, wanted) for name in names}
    if data.classes is None:
        _refuse_unknown(label_of, known)
        label_of = _merged({name: label or name for name, label in label_of.items()})
    found = {label for label in label_of.values() if label is not None}
    absent = [name for name in data.classes or () if name not in found]
    if absent:
        raise InputError(f"data.classes names {absent[0]!r}, and no folder is called so: there are {_listed(names)}")
    if known is not None:
        return Naming(known, _as_known(label_of, known))
    classes = tuple(wanted) if wanted is not None else tuple(sorted(found, key=lambda name: (name.casefold(), name)))
    return Naming(ClassList(classes, _healthy(classes, data.healthy)), label_of)


def renamed_folders(names: Iterable[str], rename: Iterable[tuple[str, str]]) -> dict[str, str]:
    """New name of each folder that `data.rename` names; InputError where it names one that is not there."""
    found: dict[str, str] = {}
    for old, new in rename:
        folders = [name for name in names if _key(name) == _key(old)]
        if not folders:
            raise InputError(f"data.rename names {old!r}, and no folder is called so: there are {_listed(names)}")
        found |= dict.fromkeys(folders, new)
    return found


def _label(name: str, renamed: Mapping[str, str], wanted: Collection[str] | None) -> str | None:
    target = renamed.get(name, name)
    if wanted is None:
        return unicodedata.normalize("NFC", target if name in renamed else standard_name(name) or target).strip()
    same = [each for each in wanted if _key(each) == _key(target)]
    alike = [each for each in wanted if standard_name(target) and standard_name(each) == standard_name(target)]
    return next(iter(same or alike), None)


def _merged(label_of: Mapping[str, str]) -> dict[str, str | None]:
    """Labels that differ in case and separators alone, as the first of them."""
    first: dict[str, str] = {}
    return {name: first.setdefault(_key(label), label) for name, label in label_of.items()}


def _refuse_unknown(label_of: Mapping[str, str | None], known: ClassList | None) -> None:
    unknown = [name for name, label in label_of.items() if label is None]
    others = [label for label in label_of.values() if label is not None]
    if known is not None and unknown:
        leave = f"leave {'it' if len(unknown) == 1 else 'them'} out with {_listing(others)}, or " if others else ""
        raise InputError(
            f"the model does not know the class{'es' if len(unknown) > 1 else ''} {_listed(unknown)} (its classes: "
            f"{', '.join(known.names)}): {leave}say which one each is with {renaming(*unknown, new='CLASS')}"
        )
    for name, label in label_of.items():
        if known is None and label == name and _key(name) in _NO_CLASS:
            rest = [each for folder, each in label_of.items() if folder != name and each is not None]
            raise InputError(
                f"the folder {name!r} is probably no class: move it elsewhere, or say which folders are with "
                f"{_listing(rest)}"
            )


def _as_known(label_of: Mapping[str, str | None], known: ClassList) -> dict[str, str | None]:
    """Labels as the model calls them; InputError for a name in `data.classes` that it does not know."""
    names: dict[str, str | None] = {}
    for folder, label in label_of.items():
        names[folder] = None if label is None else _label(label, {}, known.names)
        if label is not None and names[folder] is None:
            raise InputError(
                f"data.classes names {label!r}, which the model does not know (its classes: {', '.join(known.names)})"
            )
    return names


def _healthy(names: Sequence[str], healthy: str | None) -> str | None:
    if healthy == AUTO:
        return next((name for name in names if standard_name(name) == STANDARD.healthy), None)
    return None if healthy is None else _label(healthy, {}, names) or healthy


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "none"


def renaming(*names: str, new: str = "NAME") -> str:
    """As it is typed in a shell; a backslash keeps what has a meaning for Hydra."""
    pairs = (re.sub(r"([\\()\[\]{}:=,'\"])", r"\\\1", name) + f": {new}" for name in names)
    return shlex.quote(f"data.rename={{{', '.join(pairs)}}}")


def _listing(names: Sequence[str]) -> str:
    return shlex.quote(f"data.classes=[{','.join(dict.fromkeys(names)) or 'A,B'}]")
