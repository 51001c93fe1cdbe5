"""Logging in: keys, agent, certificates, passwords."""
