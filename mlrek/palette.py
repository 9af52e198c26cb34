"""The colours of figures and of runs, told apart with any kind of colour vision."""

from typing import Final

# Okabe and Ito's colours; yellow is too pale on white.
PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6b4c9a")
