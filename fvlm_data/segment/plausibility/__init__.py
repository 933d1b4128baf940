"""Whether a label map can be that of its image: what classes are, and how that is checked."""
