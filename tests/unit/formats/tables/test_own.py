"""The tables that mlrek writes itself are read: numbers made from decisions come out again."""

import json

import pytest
from builders.tables import answer, make_files

from mlrek.errors import ParseError
from mlrek.evaluation import Task
from mlrek.formats.tables import read_table_answers, read_table_truth
