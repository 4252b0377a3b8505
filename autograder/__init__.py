"""Gradus's grader. `autograder.notebook` is what students use, `autograder.grade` what grades."""
