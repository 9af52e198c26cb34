"""The public names of `import mlrek`: frozen objects over what the rooms below make."""
