"""The export `organ-pairs`: regions of label maps and what is said of each."""
