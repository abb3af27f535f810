"""What each command needs of this host: a module each, called as the command is."""
