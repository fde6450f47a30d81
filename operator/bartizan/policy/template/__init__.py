"""The pod template's allow-list: tables that name every field that may stand there, and rules across fields.

What no table names is refused with its path. Adding a field means a line in a table and a case in the tests; the
reference page is generated from the same tables.
"""
