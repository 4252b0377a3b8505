"""The checks, by topic: public ones, which students have, and hidden ones, for grading alone."""

TOPICS = {"02-convolution": "convolution", "03-lstm": "lstm", "06-vae": "vae", "07-gan": "gan"}
