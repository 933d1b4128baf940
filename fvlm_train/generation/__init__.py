"""A small decoder that writes the sentences of an anatomy from its embedding and the context."""
