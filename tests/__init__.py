"""The tests of the project; `from tests...` imports what they share."""
