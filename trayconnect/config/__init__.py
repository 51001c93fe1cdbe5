"""The YAML file of servers: reading, checking, editing and watching it."""
