"""Local listeners and the connections that they carry; SOCKS."""
