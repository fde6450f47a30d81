"""The guard beside its peers, in one run on one machine: figures are taken in turns, ratios are what counts."""
