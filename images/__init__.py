"""Builds the images; see `images/build --help`. Not part of the product: nothing under operator/ imports it."""
