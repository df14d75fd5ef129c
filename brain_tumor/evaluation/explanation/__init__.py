"""Maps of what a prediction rests on: drawn, scored by lesion masks, and checked."""
