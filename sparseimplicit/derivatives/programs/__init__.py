"""Programs of an element, compiled: what they read, what they add, and where."""
