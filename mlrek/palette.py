"""The colours of figures and of runs, told apart with any kind of colour vision."""

from typing import Final

# Okabe and Ito's colours without yellow, which is too pale on white, and one of Tol's. Ordered so
# that the first ones differ most to an eye that cannot tell red from green: four versions do.
PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#56B4E9", "#E69F00", "#CC79A7", "#661100")
