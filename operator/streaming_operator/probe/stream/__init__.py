"""From the bytes of a response to a timeline of its events: when each arrived, and in which read. Pure."""
