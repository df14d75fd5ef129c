from dataclasses import replace
from typing import Any

import pytest
from listing import DATA

from brain_tumor.data.classes import STANDARD, ClassList, name_classes, read_classes
from brain_tumor.errors import InputError

YES_NO = ClassList(("notumor", "tumour"), "notumor")


@pytest.mark.parametrize(
    ("folders", "keys", "names", "healthy"),
    [
        (("glioma_tumor", "Meningioma", "No Tumor", "pituitary"), {}, STANDARD.names, "notumor"),
        (("glioma", "meningioma", "pituitary"), {}, ("glioma", "meningioma", "pituitary"), None),
        (("yes", "no"), {}, ("notumor", "yes"), "notumor"),
        (("yes", "no"), {"rename": {"no": "notumor", "yes": "tumour"}}, ("notumor", "tumour"), "notumor"),
        (("yes", "no"), {"classes": ["yes", "no"]}, ("yes", "no"), "no"),
        (("Grade 1", "Grade 2", "Control"), {}, ("Grade 1", "Grade 2", "notumor"), "notumor"),
        (("glioma", "Metastasis", "meningioma"), {"healthy": None}, ("glioma", "meningioma", "Metastasis"), None),
        (("a", "b", "c"), {"healthy": "B"}, ("a", "b", "c"), "b"),
        (("HGG", "LGG", "healthy"), {"rename": {"HGG": "glioma", "LGG": "glioma"}}, ("glioma", "notumor"), "notumor"),
        (("glioma", "notumor", "pituitary"), {"classes": ["notumor", "glioma"]}, ("notumor", "glioma"), "notumor"),
        (("0", "1"), {"classes": [1, 0]}, ("1", "0"), None),
        (("größe é", "神经胶质瘤"), {}, ("größe é", "神经胶质瘤"), None),
        (("gro\N{COMBINING DIAERESIS}ße", "a"), {}, ("a", "größe"), None),  # as macOS stores it
        (("glioma 2", "glioma 3", "0_no_tumor"), {}, ("glioma 2", "glioma 3", "notumor"), "notumor"),
        (("glioma疑い", "noé"), {}, ("glioma疑い", "noé"), None),
        ((" a", "b "), {}, ("a", "b"), None),
        (("no", "yes"), {"healthy": "No"}, ("notumor", "yes"), "notumor"),
    ],
)
def test_folders_are_classes(
    folders: tuple[str, ...], keys: dict[str, Any], names: tuple[str, ...], healthy: str | None
) -> None:
    found = name_classes(folders, replace(DATA, **keys)).classes
    assert (found.names, found.healthy) == (names, healthy)


def test_parts_and_sites_may_spell_a_class_in_several_ways() -> None:
    naming = name_classes(["Metastasis", "no", "metastasis ", "No-Tumour", "METASTASIS"], DATA)
    assert naming.classes == ClassList(("Metastasis", "notumor"), "notumor")
    assert set(naming.label_of.values()) == {"Metastasis", "notumor"}


@pytest.mark.parametrize(
    ("folders", "keys", "message"),
    [
        (("tumor",), {}, "two classes at least, and there is only tumor"),
        (("a", "b"), {"classes": []}, "two classes at least, and there is none"),
        (("a", "_b"), {}, "cannot be called '_b'"),
        (("a", "b" * 61), {}, "60 in all"),
        (("no", "yes", "pred"), {}, r"'pred' is probably no class.*'data.classes=\[notumor,yes\]'"),
        (("glioma", "masks"), {}, "'masks' is probably no class"),
        (("a", "all"), {}, "cannot be called 'all'"),
        (("a", "site"), {}, "cannot be called 'site'"),
        (("a", "tumor (b)"), {}, r"'data.rename=\{tumor \\\(b\\\): NAME\}'"),
        (("a", "b"), {"classes": ["a", "c"]}, "data.classes names 'c', and no folder is called so: there are 'a', 'b'"),
        (("a", "b"), {"classes": ["a", "A"]}, "names one class twice: a and A"),
        (("a", "b"), {"rename": {"c": "d"}}, "data.rename names 'c', and no folder"),
        (("a", "b"), {"healthy": "c"}, "data.healthy=c is none of the classes a, b"),
    ],
)
def test_refuses(folders: tuple[str, ...], keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        name_classes(folders, replace(DATA, **keys))
    assert "\n" not in str(caught.value)


def test_a_model_keeps_its_classes() -> None:
    assert name_classes(["no"], DATA, STANDARD).classes is STANDARD
    assert name_classes(["Healthy", "yes"], replace(DATA, rename={"yes": "tumour"}), YES_NO).label_of == {
        "Healthy": "notumor",
        "yes": "tumour",
    }
    some = name_classes(["glioma", "no", "yes"], replace(DATA, classes=["glioma", "no"]), STANDARD)
    assert some.label_of == {"glioma": "glioma", "no": "notumor", "yes": None}
    with pytest.raises(
        InputError, match=r"does not know the class 'Metastasis' \(its classes: glioma, .*'data.classes=\[notumor\]'"
    ):
        name_classes(["no", "Metastasis"], DATA, STANDARD)
    with pytest.raises(
        InputError, match=r"the classes 'HGG', 'LGG' \(.*\): say .* 'data.rename=\{HGG: CLASS, LGG: CLASS\}'$"
    ):
        name_classes(["HGG", "LGG"], DATA, STANDARD)  # of which none can be left out
    with pytest.raises(InputError, match=r"data\.classes names 'yes', which the model does not know"):
        name_classes(["no", "yes"], replace(DATA, classes=["no", "yes"]), STANDARD)


def test_comes_back_from_json_and_was_standard_before_there_were_lists() -> None:
    assert read_classes(YES_NO.plain()) == YES_NO
    assert read_classes(replace(YES_NO, healthy=None).plain()).healthy is None
    assert read_classes(None) == read_classes({"digest": "x"}) == STANDARD
