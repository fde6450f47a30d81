"""The demo's model server: real HTTP, the protocols that the guard speaks, foretold answers, standard library only."""
