"""Run the command line by `python -m geotranslate.cli`."""

from geotranslate.cli import main

main()
