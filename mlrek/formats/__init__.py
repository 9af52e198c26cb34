"""bytes -> Evaluation. Pure, one folder a provider: no network, no paths."""
