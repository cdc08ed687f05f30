"""From a measured stream to a verdict with hop, evidence and remedy. Pure."""
