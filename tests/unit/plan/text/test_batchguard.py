"""Where a batch template may hold a value, and through which filter."""

from pathlib import Path

import pytest

from vmgen_build.errors import RecipeError
from vmgen_build.plan.text.batch import BATCH
from vmgen_build.plan.text.render import Renderer

X = "50% & more"


def render(source: str, folder: Path) -> str:
    (folder / "t.bat.j2").write_text(source)
    return Renderer(folder, BATCH).render("t.bat.j2", x=X, n=7, mac="00:50:56:00:00:01", code="net start a")


@pytest.mark.parametrize(
    ("source", "rendered"),
    [
        ("net user {{ x }} /add", 'net user "50%% & more" /add'),
        ("netsh name={{ x }} {{ n }}", 'netsh name="50%% & more" 7'),
        ("net %1 %~dp0 %PATH% 100%% {{ x }}", 'net %1 %~dp0 %PATH% 100%% "50%% & more"'),
        ("net ^> {{ x }}", 'net ^> "50%% & more"'),
        ("net /x:{% if x %}{{ x }}{% endif %} y", 'net /x:"50%% & more" y'),
        ('{{ x | assigned("Y") }}', 'set "Y=50%% & more"'),
        ('    {{ x | assigned("Y") }}  ', '    set "Y=50%% & more"  '),
        ("{{ code | trusted }}", "net start a"),
        ("echo it is {{ x | echoed }}", "echo it is 50%% ^& more"),
        ("if exist {{ x | quoted }} goto end", 'if exist "50%% & more" goto end'),
        ('if "%A%"=={{ x | quoted }} goto end', 'if "%A%"=="50%% & more" goto end'),
        ("rd {{ x | quoted }}", 'rd "50%% & more"'),
        ("call {{ code | called }} a", 'call "net start a" a'),
        (
            """wmic nic where "MACAddress='{{ mac | plain }}'" get""",
            """wmic nic where "MACAddress='00:50:56:00:00:01'" get""",
        ),
        ("""wmic "x={{ mac | plain }}" get""", 'wmic "x=00:50:56:00:00:01" get'),
        ("goto has_{{ n | plain }}\n:has_{{ n | plain }}", "goto has_7\r\n:has_7"),
        ("set /p A=<{{ x }}", 'set /p A=<"50%% & more"'),
        ("set /p A=<s\\{{ n | plain }}.txt", "set /p A=<s\\7.txt"),
        ("echo done>{{ x }}", 'echo done>"50%% & more"'),
        ("net {{ (x ~ n) }}", 'net "50%% & more7"'),
        ("rem it's \"open\nnet {{ x }}", 'rem it\'s "open\r\nnet "50%% & more"'),
        ("{% for i in [1, 2] %}\nnet {{ i }}\n{% endfor %}\n", "net 1\r\nnet 2\r\n"),
    ],
)
def test_a_value_may_stand(source: str, rendered: str, tmp_path: Path) -> None:
    assert render(source, tmp_path) == rendered


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ('net "{{ x }}"', "inside double quotes"),
        ('net "a{% if x %}b"{% endif %}', "inside double quotes"),
        ("rem {{ x }}", "in a comment"),
        (":: {{ x }}", "in a comment"),
        (":: {{ n | plain }}", "in a comment"),
        (":: {% if x %}{% endif %}", "in a comment"),
        (":a{{ x }}", "in a label"),
        ("net %{{ x }}%", "inside %...%"),
        ("net %A:{{ n | plain }}=b%", "inside %...%"),
        ("net %%{{ x }}", "after a percent sign"),
        ("net ^{{ x }}", "after a caret"),
        ("net C:\\{{ x }}", "after a backslash"),
        ('net "a"{{ x }}', "after a double quote"),
        ("net {{ x }}{{ x }}", "directly behind another value"),
        ('net {{ x }}"a"', "a double quote directly behind a value"),
        ("net {{ x }}>file", "directly before a redirection"),
        ("net {{ n | plain }}>file", "directly before a redirection"),
        ("{{ x }}", "as a command"),
        ("  {{ x }} a", "as a command"),
        ('{{ x | assigned("A") }} & b', "more text on the line of a value"),
        ('{{ x | assigned("A") }}{{ n | plain }}', "on the line of a value"),
        ('net {{ x | assigned("A") }}', "through the filter assigned in a line of net"),
        ("set A={{ x }}", "in a line of set, where it goes through the filter plain alone"),
        ("echo a {{ x }}", "in a line of echo"),
        ("echo {{ x | echoed }}", "as the first word of echo"),
        ("echo {{ n | plain }}", "as the first word of echo"),
        ("if exist {{ x }} goto a", "in a line of if, where it goes through the filter quoted or plain alone"),
        ("for %%i in ({{ x }}) do set A=%%i", "in a line of for"),
        ("call {{ x }}", "in a line of call"),
        ("goto {{ x }}", "in a line of goto"),
        ("net {{ x | echoed }}", "through the filter echoed in a line of net"),
        ("net {{ x | called }}", "through the filter called in a line of net"),
        ("net {{ x | quoted }}", "not for programs such as net"),
        ('net "{{ x ~ n | plain }}"', "inside double quotes"),
        ('net "{{ n | plain if x else x }}"', "inside double quotes"),
        ('net "{{ x | plain[0] }}"', "inside double quotes"),
        ('net "open\n', "ends inside double quotes"),
        ("net a ^\n", "goes on after a caret"),
    ],
)
def test_elsewhere_it_is_refused(source: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"t.bat.j2:2: template: not allowed in a batch template") as caught:
        render("@echo off\n" + source, tmp_path)
    assert why in str(caught.value)
