"""AutoML Vision (legacy) and Vertex AI: what Google's files hold -> an evaluation. No I/O.

`sniff_google` of `documents` tells what a file is, `collect_google` of `collection` finds the
versions in a tree of files, and `parse_google` of `evaluation` makes the evaluation of one:
Google's own numbers, and, where batch predictions and ground truth lie next to them, what was
predicted for each test image.
"""
