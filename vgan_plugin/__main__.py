"""`python -m vgan_plugin` is `vgan`, where nothing was installed."""

import sys

from vgan_plugin.cli import main

sys.exit(main())
