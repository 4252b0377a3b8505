"""nbgrader's settings for this course. In another folder, copy the lines about Autograde."""

from pathlib import Path

import nbgrader

import autograder

c = get_config()  # noqa: F821

c.CourseDirectory.course_id = "gradus"
# What students receive stands in assignments/, for nbgrader as for everyone else.
c.CourseDirectory.release_directory = "assignments"
# A page that a student handed in would be released as feedback, or stand where that is written.
c.CourseDirectory.ignore.append("*.html")

# Gradus grades in place of nbgrader's Execute and SaveAutoGrades.
c.Autograde.exporter_class = "autograder.adapters.nbgrader.SubmissionExporter"
c.Autograde.pre_convert_hook = "autograder.adapters.nbgrader.find_renamed"
c.Autograde.autograde_preprocessors = [
    "autograder.adapters.nbgrader.Grade",
    "nbgrader.preprocessors.IgnorePattern",
    "nbconvert.preprocessors.ClearMetadataPreprocessor",
    "nbgrader.preprocessors.LimitOutput",
    "autograder.adapters.nbgrader.SaveReport",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]

# The feedback that students get fits a phone's screen: our template builds on nbgrader's.
formgrader = Path(nbgrader.__file__).parent / "server_extensions" / "formgrader"
ours = Path(autograder.__file__).parent / "adapters" / "templates"
stock, css = formgrader / "templates", formgrader / "static/node_modules/bootstrap/dist/css"
c.GenerateFeedback.HTMLExporter.template_name = "gradus"
c.GenerateFeedback.HTMLExporter.extra_template_basedirs = [str(ours), str(stock)]
c.GenerateFeedback.HTMLExporter.extra_template_paths = [str(stock), str(css)]
