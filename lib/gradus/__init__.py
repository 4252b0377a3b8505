"""Gradus: the reference library that the notebooks and the grader share.

One module a topic; import the one you need: `from gradus.data import digits`. The package imports
none of them itself, because an assignment withholds the module that it asks students to write.
"""
