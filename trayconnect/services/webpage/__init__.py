"""Web pages: direct addresses, and the pages of forwards."""
