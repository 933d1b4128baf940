"""Cases of several images: a dataset of them, and a model that attends to images."""
