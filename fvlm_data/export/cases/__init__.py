"""The export `cases`: all images of a case with their patches, and one set of labels."""
