"""How the daemon is: what each part says of itself, and the one line made of it."""
