"""Finding and probing the Jupyter behind a tunnel."""
