"""`fvlm-eval generated`: reports that a model wrote, against those of radiologists."""
