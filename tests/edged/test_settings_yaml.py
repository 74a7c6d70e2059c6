"""YAML without its guesses: positions, bounds, single values."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edged.settings import Secret
from edged.settings_yaml import WrongValueError, YamlSyntaxError, compose, describe, read_any, read_scalar


def value_node(text: str):
    return compose(f"k: {text}").value[0][1]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (str, "farm", "farm"),
        (str, '"no"', "no"),
        (str, "'0777'", "0777"),
        (str, "a b", "a b"),
        (str, "!!str no", "no"),
        (bool, "true", True),
        (bool, "false", False),
        (int, "-5", -5),
        (int, "0", 0),
        (float, "5", 5.0),
        (float, "2.5", 2.5),
        (float, "1e3", 1000.0),
    ],
)
def test_a_value_is_read(kind, text, value):
    read = read_scalar(kind, value_node(text))
    assert read == value
    assert type(read) is kind


@pytest.mark.parametrize(
    ("text", "guess"),
    [
        ("no", "true or false"),
        ("on", "true or false"),
        ("0777", "a number"),
        ("12:30:45", "a number"),
        ("1.5", "a number"),
        ("2020-01-01", "a date"),
        ("~", "nothing"),
        ("", "nothing"),
        ("null", "nothing"),
    ],
)
def test_what_yaml_takes_for_something_else_is_no_text(text, guess):
    with pytest.raises(WrongValueError, match=guess):
        read_scalar(str, value_node(text))


def test_the_advice_for_a_guess_shows_the_quoted_value():
    with pytest.raises(WrongValueError, match='put it in quotes: "no"'):
        read_scalar(str, value_node("no"))


@pytest.mark.parametrize("text", ["123456", "0777", "[12345]", "{a: 123456}", "!x 123456", "!123456", "~"])
def test_a_wrong_secret_is_not_shown(text):
    with pytest.raises(WrongValueError) as caught:
        read_scalar(Secret, value_node(text))
    assert "123456" not in str(caught.value)
    assert "0777" not in str(caught.value)


@pytest.mark.parametrize("text", ["*123456", "&123456 *123456", "!123456!x a"])
@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml.CSafeLoader])
def test_a_secret_that_breaks_the_syntax_is_not_shown(text, loader):
    with pytest.raises(YamlSyntaxError) as caught:
        compose(f"k: {text}", loader)
    assert "123456" not in caught.value.problem


def test_a_text_that_yaml_takes_for_a_comment_or_a_tag_is_told_to_be_quoted():
    with pytest.raises(WrongValueError, match="begins with # in quotes"):
        read_scalar(str, value_node("#hunter2"))
    with pytest.raises(WrongValueError, match="begins with ! in quotes"):
        read_scalar(str, value_node("!hunter2"))


@pytest.mark.parametrize("text", ["yes", "on", "True", '"true"', "1", "[]", "~"])
def test_only_true_and_false_are_booleans(text):
    with pytest.raises(WrongValueError, match="expected true or false"):
        read_scalar(bool, value_node(text))


@pytest.mark.parametrize("text", ["1.0", "1e3", "0x10", "1_000", "1:30", "five", "~", "[1]", "9" * 20])
def test_only_decimal_digits_are_a_whole_number(text):
    with pytest.raises(WrongValueError, match="expected a whole number"):
        read_scalar(int, value_node(text))


def test_a_number_in_quotes_is_told_to_lose_them():
    with pytest.raises(WrongValueError, match="remove the quotes: 1883"):
        read_scalar(int, value_node('"1883"'))


def test_an_octal_number_is_told_to_lose_its_zero():
    with pytest.raises(WrongValueError, match="octal"):
        read_scalar(int, value_node("0777"))


@pytest.mark.parametrize("text", [".inf", ".nan", "5s", "1e999", "1:30", "true", "0x1p3"])
def test_only_finite_decimals_are_numbers(text):
    with pytest.raises(WrongValueError, match="expected a number"):
        read_scalar(float, value_node(text))


@pytest.mark.parametrize(
    ("text", "value"), [("a", "a"), ("5", 5), ("1.5", 1.5), ("true", True), ("~", None), ('"5"', "5")]
)
def test_free_values_keep_their_type(text, value):
    assert read_any(value_node(text)) == value


@pytest.mark.parametrize("text", ["2020-01-01", "off", "12:30:45", "!x a", "[1]"])
def test_free_values_are_not_guessed_either(text):
    with pytest.raises(WrongValueError):
        read_any(value_node(text))


@pytest.mark.parametrize(
    ("text", "line", "column", "advice"),
    [
        ("a:\n\tb: 1", 2, 1, "tab"),
        ("a:\n  b: x: y", 2, 7, "quote"),
        ("a:\n  b: 1\n\tc: 1", 3, 1, "tab"),
        ("a:\n  b:1\n  c: 2", 3, 4, "space after the ':' above"),
        ('a:\n  b: "x', 2, 6, "closing quote"),
        ('a:\n  b: "x\n  c: 2\n', 2, 6, "closing quote"),
        ("a: 1\n---\nb: 2", 2, 1, "one"),
        ("a: *b", 1, 4, "quotes"),
        ("a: *", 1, 5, "begins with * or & in quotes"),
        ("a:\n  b: 1\n c: 2", 3, 2, "indent"),
        ("a: [", 2, 1, "not closed"),
        ("a: [b", 1, 4, "not closed"),
        ("a: ]", 1, 4, "not valid YAML"),
        ("a\x01: 1", 1, 2, "U+0001"),
        ("ok: 1\nnext: \ud800", 2, 7, "U+D800"),
        ("a: " + "[" * 100_000, 1, 35, "levels deep"),
        ("a: [" + "1," * 60_000 + "]", 1, 99998, "values"),
    ],
)
def test_a_syntax_error_is_a_sentence_with_its_place(text, line, column, advice):
    with pytest.raises(YamlSyntaxError) as caught:
        compose(text)
    assert advice in caught.value.problem
    assert caught.value.line == line
    assert abs(caught.value.column - column) <= 1


def test_an_empty_file_has_no_nodes():
    assert compose("") is None
    assert compose("# only a comment\n") is None


def test_a_description_is_bounded():
    assert len(describe(value_node("x" * 1000))) < 60


def place_of_fault(text):
    """The place where a text is refused; (1, 1) where it is not."""
    try:
        compose(text)
    except YamlSyntaxError as err:
        return err.line, err.column
    return 1, 1


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_refused_with_a_place(text):
    assert min(place_of_fault(text)) >= 1


@given(st.text(alphabet=":-[]{}#&*!|>'\"%@`, \nab01", max_size=60))
def test_yaml_shaped_noise_is_parsed_or_refused_with_a_place(text):
    assert min(place_of_fault(text)) >= 1
