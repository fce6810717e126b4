"""What memberscan costs, measured against the plain work it is built from; and what a kill does to it."""
