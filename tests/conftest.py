"""What every test begins with: none of the developer's own settings, and no time limit for a single example."""

import os

from hypothesis import settings

for _name in [name for name in os.environ if name.startswith("COUNTINGHOUSE_")]:
    del os.environ[_name]

settings.register_profile("suite", deadline=None, print_blob=True)
settings.load_profile("suite")
