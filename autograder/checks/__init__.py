"""The checks, by topic: public ones, which students have, and hidden ones, which only grading runs."""

TOPICS = {"02-convolution": "convolution"}
