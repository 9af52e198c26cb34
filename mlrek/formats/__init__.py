"""bytes -> Evaluation. Pure, one module a provider: no network, no paths."""
