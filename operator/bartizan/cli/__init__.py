"""The command line: one console script for the operator, the guard and the people who use them."""
