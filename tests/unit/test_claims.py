"""The list of what the tests claim is whole."""

from claims import find_missing, list_claims, read_gone, read_made


def test_each_test_says_what_it_claims():
    """No test is without a claim."""
    assert "" not in list_claims()


def test_new_claims_are_listed():
    """What a test claims is in the list: `python tests/claims.py` adds it."""
    assert not list_claims() - read_made()


def test_claims_that_went_have_a_reason():
    """A claim that no test makes any more is accounted for."""
    assert find_missing(list_claims().elements()) == []


def test_reasons_are_given():
    """Each entry says why, of a claim that was made and is no longer."""
    assert all(read_gone().values())
    assert set(read_gone()) <= set(read_made())
