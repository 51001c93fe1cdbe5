"""Finding out what is wrong: doctor and reports."""
