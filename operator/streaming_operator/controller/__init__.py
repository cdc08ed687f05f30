"""Keeps every endpoint as its spec says: one pass (`reconciler`), when it is due, and the process around it."""
