"""One HTTP exchange: send a request, read its response, over a socket whose reads have an arrival time."""
