"""Export `change`: what became of each finding from one study of a patient to the next."""
