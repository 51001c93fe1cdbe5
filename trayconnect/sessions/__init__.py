"""The life of a link: its state machine, worker, manager and snapshots."""
