"""The file of servers: its types, its reader, its schema."""
