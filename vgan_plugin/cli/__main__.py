"""`python -m vgan_plugin.cli`: the command line where no script is installed."""

import sys

from vgan_plugin.cli import main

sys.exit(main())
