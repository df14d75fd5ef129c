"""Classifiers of brain-tumour MRI slices whose numbers can be believed. Research software, not a medical device."""

CLASSES: tuple[str, ...] = ("glioma", "meningioma", "notumor", "pituitary")
