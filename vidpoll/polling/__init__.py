"""The main loop (`loop`), its tasks (`task`, `watch`, `submit`, `list_polling`), one request (`call`)."""
