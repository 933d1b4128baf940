"""How a report is read: sections, sentences, anatomies, assertions, findings."""
