"""Where a template of the shell may hold a value."""

from pathlib import Path

import pytest

from vmgen_build.errors import RecipeError
from vmgen_build.plan.text.render import Renderer

X = "$(touch /nowhere) ' \" `id`"
QUOTED = """'$(touch /nowhere) '"'"' " `id`'"""


def render(source: str, folder: Path) -> str:
    (folder / "t.sh.j2").write_text(source)
    return Renderer(folder).sh("t.sh.j2", x=X)


@pytest.mark.parametrize(
    "source",
    [
        "echo {{ x }}",
        "echo /srv/{{ x }}.d",
        "for i in {{ x }}; do echo $i; done # a comment\necho {{ x }}",
        'y="$(basename -- {{ x }})"',
        "y=$(cat <<'END'\n$(it's \"data`\nEND\n)\necho {{ x }}",
        "case $1 in\n  a) echo {{ x }} ;;\nesac",
        'f() { echo "${1:-\'}"; }\nf {{ x }}',
        'echo $# "$#" a#b {{ x }}',
        "cat <<-A <<B\n\ta '\n\tA\n\"\nB\necho {{ x }}",
        "{% if x %}\necho {{ x }}\n{% endif %}\n",
    ],
)
def test_a_word_may_be_a_value(source: str, tmp_path: Path) -> None:
    assert QUOTED in render(source, tmp_path)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ('echo "{{ x }}"', "inside double quotes"),
        ('echo "a\\"{{ x }}"', "inside double quotes"),
        ('echo "${y:-{{ x }}}"', "inside double quotes"),
        ('echo "${y:-"{{ x }}"}"', "double quotes in a ${...}"),
        ("echo '{{ x }}'", "inside single quotes"),
        ("true # {{ x }}", "in a comment"),
        ("#{{ x }}", "in a comment"),
        ("cat <<EOF\n{{ x }}\nEOF\n", "in a here-document"),
        ("cat <<'EOF'\n{{ x }}\nEOF\n", "in a here-document"),
        ('cat <<-"EOF" | wc\n\t{{ x }}\n\tEOF\n', "in a here-document"),
        ("echo `echo {{ x }}`", "backticks"),
        ('echo "`id`"', "backticks"),
        ("echo \\{{ x }}", "after a backslash"),
        ("echo ${{ x }}", "after a dollar sign"),
        ("echo $'a' {{ x }}", "shells read differently"),
        ("echo {{ x }}>file", "before a redirection"),
        ('y="$(case a in a) echo "{{ x }}" ;; esac)"', "case within double quotes"),
        ('"$(echo "{{ x }}")"', "inside double quotes"),
        ("echo 'open", "it ends inside single quotes"),
        ("echo {{ x }} \\", "it ends after a backslash"),
        ("(echo {{ x }}", "it ends inside parentheses"),
    ],
)
def test_elsewhere_it_is_refused(source: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="not allowed in a shell template") as caught:
        render(source, tmp_path)
    assert why in str(caught.value)
