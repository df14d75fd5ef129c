"""What is said with a prediction: calibrated probabilities, sets, "not sure", "not a brain MRI"."""
