"""The demo's model server: real HTTP, OpenAI's protocol, foretold answers, standard library only."""
