"""One section of the spec a file: `judge`, its shape as data, and `build`, which makes values of what passed."""
