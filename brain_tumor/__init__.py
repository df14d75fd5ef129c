"""Classifiers of brain-tumour MRI slices whose numbers can be believed. Research software, not a medical device."""

NOTICE = "Research software, not a medical device: not for diagnosis."
