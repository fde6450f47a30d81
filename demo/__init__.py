"""The story that `make demo` tells: real commands against a real cluster, each step checked."""
