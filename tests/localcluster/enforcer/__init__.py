"""Makes NetworkPolicies bite on the local node, whose network plugin knows none. Test material only.

Law: `facts`, `selection` and `ruleset` are pure; only `mirror` talks to the API server and only `__main__` to nft.
"""
