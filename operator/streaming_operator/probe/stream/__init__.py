"""From the parts of a response to a measured stream of events. Pure."""
