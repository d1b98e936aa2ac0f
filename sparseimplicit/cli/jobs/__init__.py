"""A job is a file: its schema, its reading with errors that name the line, and its carrying out."""
