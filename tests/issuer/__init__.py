"""An issuer of tokens for tests: keys of its own, tokens of any kind, good ones and forged ones."""
