"""A store as a user of Python sees it: tables, studies, volumes, masks and reports."""
