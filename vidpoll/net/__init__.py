"""Who may see a key, one HTTP request, and the threads that send it."""
