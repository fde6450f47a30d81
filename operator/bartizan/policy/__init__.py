"""What is allowed: pure values and rules that operator, guard and CLI share; no I/O, no clock, no randomness."""
