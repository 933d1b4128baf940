"""What a person corrected in the reading of reports, kept beside the parser and put over it."""
