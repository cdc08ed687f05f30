"""From a timeline to a verdict with its evidence and remedy. Pure; `verdict` decides whether a stream was buffered."""
