"""What the commands of the command line do, a noun a file, as functions of explicit arguments."""
