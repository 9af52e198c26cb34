"""The public names of `import mlrek`: frozen objects over what the rooms below make."""

import logging

logging.getLogger("mlrek").addHandler(logging.NullHandler())  # a program decides who hears it
