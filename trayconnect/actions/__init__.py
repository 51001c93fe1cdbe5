"""The handlers of commands, one module a family, and the dispatcher that finds them."""
