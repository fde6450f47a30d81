"""One owned kind a file; each `build` is pure and returns the whole manifest, which nobody edits afterwards."""
