"""Typer: options -> one pipeline call -> one output call."""
