"""How fast a packed folder is and how much memory it takes, beside its teacher and other runtimes."""
