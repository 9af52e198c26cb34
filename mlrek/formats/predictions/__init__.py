"""What a model said of test images: saved answers in any form, and their join with the truth."""
