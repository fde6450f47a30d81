"""What is fetched for an image whose base has another patch release of Python than the machine that builds it."""

import pytest
from images.parts import of_every_patch_release


@pytest.mark.parametrize(
    ("line", "fetched"),
    [
        ("async-timeout==5.0.1 ; python_full_version < '3.11.3' \\", "async-timeout==5.0.1 \\"),
        ("tomli==2.0 ; python_full_version >= '3.11.3'", "tomli==2.0"),
        ("pywin32==1 ; sys_platform == 'win32' \\", "pywin32==1 ; sys_platform == 'win32' \\"),
        (
            "odd==1 ; python_full_version >= '3.12' and sys_platform == 'emscripten' \\",
            "odd==1 ; python_full_version >= '3.12' and sys_platform == 'emscripten' \\",
        ),
        ("plain==1 \\", "plain==1 \\"),
    ],
)
def test_whatever_a_patch_release_needs_is_fetched(line: str, fetched: str) -> None:
    rest = "\n    --hash=sha256:00\n"
    assert of_every_patch_release(line + rest) == fetched + rest
