"""A function in plain numpy as a graph of operations: traced, differentiated, interpreted."""
