"""SSH, over paramiko, which is imported nowhere else."""
