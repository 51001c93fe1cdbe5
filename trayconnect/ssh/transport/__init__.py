"""The SSH transport: the only folder that touches paramiko's private names."""
