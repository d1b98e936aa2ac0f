"""Terms of many unknowns through few linear combinations of them."""
