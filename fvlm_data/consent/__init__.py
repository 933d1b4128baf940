"""For which purposes patients' data may be used; their rows and arrays stay as they are."""
