"""Promises of the keys under which images are cached."""

from pathlib import Path

from images import content


def tree(root: Path, **files: str) -> Path:
    for name, text in files.items():
        (root / name).write_text(text)
    return root


def test_the_same_files_elsewhere_have_the_same_key(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    assert content.key(tree(first, a="1", b="2")) == content.key(tree(second, b="2", a="1"))


def test_a_changed_byte_changes_the_key(tmp_path: Path) -> None:
    before = content.key(tree(tmp_path, a="1"))
    assert content.key(tree(tmp_path, a="2")) != before


def test_a_renamed_file_changes_the_key(tmp_path: Path) -> None:
    before = content.key(tree(tmp_path, a="1"))
    (tmp_path / "a").rename(tmp_path / "b")
    assert content.key(tmp_path) != before


def test_what_belongs_to_one_part_is_never_taken_for_another() -> None:
    assert content.key("ab", "c") != content.key("a", "bc")
