"""The model card: what a training run and the evaluations of its model hold, as sections, and these as text."""
