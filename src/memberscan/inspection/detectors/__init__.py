"""What is looked for in files, one file each kind of finding."""
