"""``python -m memberscan`` is the command ``memberscan``."""

from memberscan.cli import main

main()
