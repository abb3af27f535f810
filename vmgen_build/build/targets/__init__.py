"""Where an artifact can be installed: a module of this package each, which holds it as TARGET."""
