"""What the files of a release say about people, found without executing anything in them."""
