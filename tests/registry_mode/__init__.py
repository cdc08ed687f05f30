"""`IMAGES=registry make demo` as its users run it: a registry on loopback, an ordinary user, a root without Go."""
