"""`streamctl`: one module a command; `main` is where the process begins and ends."""
