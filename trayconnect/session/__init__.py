"""One session: the states, the table, and the manager that runs them."""
