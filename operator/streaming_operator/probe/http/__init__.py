"""One HTTP exchange: a request out, a response in, over a socket whose reads carry the time they arrived."""
