"""What the tool says when it cannot or will not go on."""


class Complaint(Exception):  # noqa: N818 (it is shown to people as it stands, without a traceback)
    """One sentence on what is wrong and one on the remedy."""
