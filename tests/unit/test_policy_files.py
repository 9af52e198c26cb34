"""Policies as editors save them."""

from mlrek.promotion.check import read_policy


def test_a_byte_order_mark_is_no_part_of_a_policy(tmp_path):
    """Notepad and PowerShell write one."""
    file = tmp_path / "policy.toml"
    text = '[[floor]]\nmetric = "aggregate/accuracy"\nmin = 0.8\n'
    file.write_text(text, "utf-8")
    plain = read_policy(str(file))
    file.write_text(text, "utf-8-sig")
    assert read_policy(str(file)) == plain
