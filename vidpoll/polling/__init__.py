"""The main loop (`loop`), its tasks (`task`, `watch`, `submit`, `list_polling`), a request and its answer (`call`)."""
