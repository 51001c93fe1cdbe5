"""From a server of the file to a live SSH link."""
