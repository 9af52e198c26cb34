"""Label names as metric keys and as display names."""

import posixpath
import re
from hashlib import sha256
from unicodedata import is_normalized, normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrek.text import MAX_KEY_LENGTH, display_label, metric_key_label, metric_key_labels

LONGEST_PREFIX = "label_precision/"
MLFLOW_MAX_KEY = 250

# Plain text, and text that is made of the very pieces that escapes are made of.
names = st.one_of(st.text(max_size=40), st.text(alphabet="_xA1F2 ./é日\t", max_size=12))
composed_names = names.map(lambda name: normalize("NFC", name))


def unescape(key: str) -> str:
    """Read a key back, from left to right, as a reader of the definition would."""
    return re.sub(r"_x([0-9A-F]{2,6})_", lambda match: chr(int(match[1], 16)), key)


@pytest.mark.parametrize(
    ("label", "key"),
    [
        ("with_leaves", "with_leaves"),
        ("a/b", "a_x2F_b"),
        ("50%", "50_x25_"),
        ("_x2F_", "_x5F_x2F_"),
        ("..", "_x2E__x2E_"),
        ("\U0001f339", "_x1F339_"),
    ],
)
def test_promised_examples(label, key):
    """The examples of the promise hold to the letter."""
    assert metric_key_label(label) == key


@pytest.mark.parametrize(
    ("label", "key"),
    [
        ("café au lait", "café au lait"),
        ("日本語", "日本語"),
        ("v1.2-b", "v1.2-b"),
        ("a|b", "a_x7C_b"),
        ("a:b", "a_x3A_b"),
        ("tab\there", "tab_x09_here"),
        ("line\n", "line_x0A_"),
        (" padded ", "_x20_padded_x20_"),
        ("  ", "_x20__x20_"),
        (".", "_x2E_"),
        ("...", "_x2E__x2E__x2E_"),
        ("(none)", "_x28_none_x29_"),
        ("\ud800", "_xD800_"),
        ("", "_x_"),
    ],
)
def test_what_is_escaped(label, key):
    """Everything but word characters, inner spaces, dots and dashes is spelled as code points."""
    assert metric_key_label(label) == key


@pytest.mark.parametrize(
    ("label", "key"),
    [
        ("_x2f_", "_x2f_"),
        ("_x2_", "_x2_"),
        ("_x2F", "_x2F"),
        ("__x2F_", "__x5F_x2F_"),
        ("_x2F/", "_x5F_x2F_x2F_"),
        ("/x2F_", "_x2F_x2F_"),
        ("_x2F ", "_x5F_x2F_x20_"),
    ],
)
def test_underscores_that_read_like_escapes(label, key):
    """An underscore is escaped exactly where the key would otherwise be read as another label."""
    assert metric_key_label(label) == key


def test_decomposed_accents_are_composed():
    """E and a combining accent become the one character that MLflow accepts."""
    assert metric_key_label("cafe\u0301") == "caf\u00e9"


def test_200_characters_are_kept():
    """A key of just 200 characters is not cut."""
    assert metric_key_label("a" * 200) == "a" * 200


def test_longer_keys_are_cut_and_signed():
    """Past 200 characters 190 are left, with 8 digits of the SHA-256 of the whole label."""
    label = "é" * 201
    digest = sha256(label.encode()).hexdigest()[:8]
    assert metric_key_label(label) == "é" * 190 + "_" + digest


def test_the_length_that_counts_is_the_keys():
    """A label of 60 percent signs is 300 characters as a key, so it is cut."""
    label = "%" * 60
    digest = sha256(label.encode()).hexdigest()[:8]
    assert metric_key_label(label) == "_x25_" * 38 + "_" + digest


def test_the_digest_is_of_the_label_as_written():
    """The digest is taken before composition, so composed and decomposed long names differ."""
    composed, decomposed = "\u00e9" * 201, "e\u0301" * 201
    assert metric_key_label(composed) != metric_key_label(decomposed)
    assert metric_key_label(decomposed)[-8:] == sha256(decomposed.encode()).hexdigest()[:8]


@given(names)
def test_keys_are_valid_for_mlflow(label):
    """MLflow accepts every key: its characters, its length, and no path that resolves elsewhere."""
    key = LONGEST_PREFIX + metric_key_label(label)
    assert re.fullmatch(r"[/\w.\- ]+", key)
    assert posixpath.normpath(key) == key
    assert key.count("/") == 1
    assert len(key) <= MLFLOW_MAX_KEY


@pytest.mark.parametrize(
    "label",
    ["a/b", "50%", "..", " ", "", "\n", "e\u0301", "日本語", "\U0001f339", "x" * 256, "|" * 256],
)
def test_mlflow_itself_accepts_the_key(label):
    """MLflow's own validation raises for none of them."""
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(LONGEST_PREFIX + metric_key_label(label))


@given(composed_names.filter(bool))
def test_keys_can_be_read_back(label):
    """Composed labels of up to 200 characters can be recovered, so no two share a key."""
    key = metric_key_label(label)
    if len(key) < MAX_KEY_LENGTH:
        assert unescape(key) == label


@given(st.lists(st.one_of(names, st.text("é e\u0301", max_size=4)), unique=True, max_size=12))
def test_keys_of_a_run_are_distinct(labels):
    """Different labels never end in one metric, not even composed and decomposed twins."""
    keys = metric_key_labels(labels)
    assert len(set(keys)) == len(labels)
    assert all(len(key) <= MAX_KEY_LENGTH for key in keys)


def test_the_composed_twin_keeps_the_plain_key():
    """Of two spellings of café the composed one has the plain key, in whichever order they come."""
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    signed = f"{composed}_{sha256(decomposed.encode()).hexdigest()[:8]}"
    assert metric_key_labels([composed, decomposed]) == (composed, signed)
    assert metric_key_labels([decomposed, composed]) == (signed, composed)


def test_a_label_that_spells_a_signed_key_does_not_collide():
    """A name chosen to look like another's signed key is still kept apart."""
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    forged = f"{composed}_{sha256(decomposed.encode()).hexdigest()[:8]}"
    keys = metric_key_labels([composed, decomposed, forged])
    assert keys[0] == composed
    assert keys[2] == forged
    assert len(set(keys)) == 3


def test_single_keys_and_keys_of_a_run_agree():
    """Without twins the keys of a run are the keys of its labels."""
    labels = ["roses", "a/b", "..", "日本語"]
    assert metric_key_labels(labels) == tuple(metric_key_label(label) for label in labels)


@pytest.mark.parametrize("own", ["(none)", "(other)", "(background)", "(all)"])
def test_a_real_label_named_like_our_row_is_quoted(own):
    """Our rows and a real label of that name are told apart by quotes."""
    assert display_label(own) == f'"{own}"'
    assert display_label(f'"{own}"') == f'""{own}""'


@pytest.mark.parametrize("label", ["roses", "none", '"roses"', "( none )", "(none) b", ""])
def test_other_labels_are_shown_as_they_are(label):
    """Nothing else gets quotes."""
    assert display_label(label) == label


@given(st.lists(st.text('"()none', max_size=10), unique=True))
def test_display_names_are_distinct(labels):
    """No two labels are shown alike, and none like one of our rows."""
    shown = {display_label(label) for label in labels}
    assert len(shown) == len(labels)
    assert "(none)" not in shown


def test_twins_are_one_text_in_two_spellings():
    """The twins used above are what they claim to be."""
    assert is_normalized("NFC", "caf\u00e9")
    assert normalize("NFC", "cafe\u0301") == "caf\u00e9"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("cat", "Cat"),
        ("cafe", "café"),
        ("dog", "dog "),
        ("STRASSE", "straße"),
        ("mas", "maß"),
        ("ol", "øl"),
        ("か", "ガ"),
        ("つ", "ッ"),
        ("3", "٣"),
        ("I", "ı"),
        ("fi", "ﬁ"),
        ("１", "1"),
        ("𠀀", "𠀁"),
        ("ΣΑΣ", "σας"),
        ("е", "ё"),
        ("_X25_", "%"),
    ],
)
def test_labels_that_databases_confuse_have_other_base_characters(first, second):
    """One keeps its key, whatever their order; the other has 8 digits of its own behind it."""
    keys = dict(zip((first, second), metric_key_labels([first, second]), strict=True))
    turned = dict(zip((second, first), metric_key_labels([second, first]), strict=True))
    changed = [label for label in keys if keys[label] != metric_key_label(label)]

    assert turned == keys
    assert [keys[label] for label in changed if not label.endswith(" ")] == [
        f"{metric_key_label(label)}_{sha256(label.encode()).hexdigest()[:8]}"
        for label in changed
        if not label.endswith(" ")
    ]
    assert keys[first].rstrip().casefold() != keys[second].rstrip().casefold()


def test_labels_that_no_database_confuses_keep_their_keys():
    """Nothing changes for a run without such labels."""
    labels = ["cat", "dog", "cats", "kα", "犬", "猫", "10", "01"]

    assert metric_key_labels(labels) == tuple(labels)
