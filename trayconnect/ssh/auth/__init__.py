"""User authentication: keys, agent, certificates, passwords."""
