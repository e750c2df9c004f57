"""Point mass in a walled arena: the context is the hidden goal position."""
