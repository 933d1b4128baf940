"""Reports as they came, and which of them later ones replace or withdraw."""
