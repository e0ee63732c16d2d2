"""How Sphinx builds the site; `make site` stages its pages in build/site-src and runs it (tools/site.py).

One setting is for whoever publishes a copy: REPOSITORY, which the links to Binder and the forms lead to. On
GitHub it sets itself.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools import site_html  # noqa: E402

REPOSITORY = os.environ.get("GITHUB_REPOSITORY") or "OWNER/REPOSITORY"
BRANCH = "main"

project = "BatchNorm, layer by layer"
html_title = project
language = "en"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
exclude_patterns = ["_static"]
templates_path = [str(ROOT / "docs" / "site" / "templates")]

# Notebooks are shown as they were stored.
nb_execution_mode = "off"
nb_render_image_options = {"alt": ""}  # the text gives the answer away: it stands folded under the figure
nb_code_prompt_show = "The code"
nb_code_prompt_hide = "The code"
myst_enable_extensions = ["dollarmath", "html_image", "attrs_inline"]
myst_heading_anchors = 3
myst_dmath_double_inline = True
suppress_warnings = ["myst.header"]  # an exercise is an H3 wherever it stands

# Formulas, by the copy of MathJax 2.7 that tools/site.py puts there.
mathjax_path = "mathjax/MathJax.js?config=TeX-AMS-MML_HTMLorMML-full"
myst_update_mathjax_config = False  # it would write what MathJax 3 reads
mathjax2_config = {
    "messageStyle": "none",
    "showMathMenu": False,
    "menuSettings": {"inTabOrder": False},
    "tex2jax": {"inlineMath": [["\\(", "\\)"]], "displayMath": [["\\[", "\\]"]], "processClass": "math"},
    "HTML-CSS": {"availableFonts": [], "preferredFont": None, "webFont": "STIX-Web", "imageFont": None,
                 "matchFontHeight": False},
}  # fmt: skip

# The docstrings are in Google's style, with `names` between single backticks.
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True  # as they are written: no folder of the machine that builds
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
add_module_names = False
python_use_unqualified_type_names = True

html_theme = "furo"
html_css_files = ["site.css"]
html_scaled_image_link = False
html_copy_source = False
html_show_sourcelink = False
html_use_index = False
html_domain_indices = False
pygments_style = "a11y-light"
pygments_dark_style = "a11y-dark"
_light, _dark = site_html.palette()
html_theme_options = {"light_css_variables": _light, "dark_css_variables": _dark}


def setup(app):
    app.connect("autodoc-process-docstring", site_html.literal_examples, priority=400)  # before napoleon
    app.connect("doctree-resolved", site_html.link_terms)
    app.connect("html-page-context", site_html.finish)
